/** Pictures as networks that look at them take them: resized, cut, normalised. */
import { type ResizeFilter, resize, resizeShorterSide } from './resize';
import { centerOffset, crop as cut, type RgbImage } from './rgb-image';

export interface Preprocessing {
  /** The shorter side is resized to so many pixels; null: both sides to the sides of `crop`, whatever the shape. */
  readonly shorterSide: number | null;
  readonly filter: ResizeFilter;
  /** A square of so many pixels is cut from the middle; null: the picture stays as it is, and nothing is resized. */
  readonly crop: number | null;
  /** Where half a pixel of the middle goes: to the even neighbour as in torchvision, down as in transformers. */
  readonly halves: 'even' | 'down';
  /** Of each channel, over values from 0 to 1. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/**
 * Planes R, G, B of [3, H, W], with the sides they have; bit for bit as Pillow resizes, and torchvision or transformers
 * cut. Throws RangeError where the square to be cut is larger than the resized picture.
 */
export function preprocess(
  image: RgbImage,
  preparation: Preprocessing,
): { readonly planes: Float32Array; readonly width: number; readonly height: number } {
  const { crop, mean, std } = preparation;
  const { width, height, data } = crop === null ? image : cutSquare(image, crop, preparation);
  const size = width * height;
  const planes = new Float32Array(3 * size);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < size; i++) {
      planes[channel * size + i] = (data[i * 3 + channel]! / 255 - mean[channel]!) / std[channel]!;
    }
  }
  return { planes, width, height };
}

function cutSquare(image: RgbImage, side: number, preparation: Preprocessing): RgbImage {
  const { shorterSide, filter, halves } = preparation;
  const resized =
    shorterSide === null ? resize(image, side, side, filter) : resizeShorterSide(image, shorterSide, filter);
  const down = (length: number) => Math.floor((length - side) / 2);
  const offset =
    halves === 'even'
      ? centerOffset(resized, side, side)
      : { left: down(resized.width), top: down(resized.height) };
  return cut(resized, side, side, offset);
}
