/** Masks over a photo: white where something new is drawn, black where the photo stays. */
import { type ResizeFilter, resize } from './resize';
import type { RgbImage } from './rgb-image';

/** One byte a pixel, rows from the top. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A picture's lightness (ITU-R 601, in the fixed point of Pillow's `convert("L")`). */
export function lightness({ width, height, data }: RgbImage): Mask {
  const light = new Uint8Array(width * height);
  for (let i = 0; i < light.length; i++) {
    light[i] = (data[i * 3]! * 19595 + data[i * 3 + 1]! * 38470 + data[i * 3 + 2]! * 7471 + 0x8000) >> 16;
  }
  return { width, height, data: light };
}

/** 1 where a mask is at least half white, else 0. */
export const binary = ({ data }: Mask): Float32Array =>
  Float32Array.from(data, (byte) => (byte < 127.5 ? 0 : 1));

/**
 * `drawn`, brought to the photo's size, in the photo: by as much as the mask is white. Where it is black, the photo's
 * bytes stand.
 */
export function paste(photo: RgbImage, drawn: RgbImage, mask: Mask, filter: ResizeFilter): RgbImage {
  const { width, height } = photo;
  const fitted = resize(drawn, width, height, filter);
  const data = photo.data.map((byte, i) => {
    const share = mask.data[Math.floor(i / 3)]! / 255;
    return Math.round(byte * (1 - share) + fitted.data[i]! * share);
  });
  return { width, height, data };
}
