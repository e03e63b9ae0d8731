/** Pictures as networks that look at them take them: resized, cut, normalised. */
import { type ResizeFilter, resize, resizeShorterSide } from './resize';
import type { RgbImage } from './rgb-image';

export interface Preprocessing {
  /** The shorter side is resized to so many pixels; null: both sides to the sides of `crop`, whatever the shape. */
  readonly shorterSide: number | null;
  readonly filter: ResizeFilter;
  /** A square of so many pixels is cut from the middle; null: the picture stays as it is, and nothing is resized. */
  readonly crop: number | null;
  /** Of each channel, over values from 0 to 1. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** Planes R, G, B of [3, H, W], with the sides they have; bit for bit as Pillow and torchvision resize and cut. */
export function preprocess(
  image: RgbImage,
  { shorterSide, filter, crop, mean, std }: Preprocessing,
): { readonly planes: Float32Array; readonly width: number; readonly height: number } {
  const { width, height, data } = crop === null ? image : cutSquare(image, shorterSide, filter, crop);
  const size = width * height;
  const planes = new Float32Array(3 * size);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < size; i++) {
      planes[channel * size + i] = (data[i * 3 + channel]! / 255 - mean[channel]!) / std[channel]!;
    }
  }
  return { planes, width, height };
}

function cutSquare(
  image: RgbImage,
  shorterSide: number | null,
  filter: ResizeFilter,
  side: number,
): RgbImage {
  const resized =
    shorterSide === null ? resize(image, side, side, filter) : resizeShorterSide(image, shorterSide, filter);
  const [left, top] = [resized.width, resized.height].map((length) => Math.round((length - side) / 2)) as [
    number,
    number,
  ];
  const data = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    const from = ((top + y) * resized.width + left) * 3;
    data.set(resized.data.subarray(from, from + side * 3), y * side * 3);
  }
  return { width: side, height: side, data };
}
