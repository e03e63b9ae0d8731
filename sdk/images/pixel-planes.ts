import { type RgbImage, roundHalfToEven } from './rgb-image';

const { fround } = Math;

/** Byte → [-1, 1], by the two float32 steps of torchvision's ToTensor and Normalize(0.5, 0.5). */
const signedOfByte = Float32Array.from({ length: 256 }, (_, byte) => fround(fround(byte / 255) - 0.5) / 0.5);

/** A picture as a model takes it: planes R, G, B of `[3, height, width]` in [-1, 1]. */
export function toPlanes({ width, height, data }: RgbImage): Float32Array {
  const size = width * height;
  const planes = new Float32Array(3 * size);
  for (let i = 0; i < size; i++) {
    planes[i] = signedOfByte[data[i * 3]!]!;
    planes[size + i] = signedOfByte[data[i * 3 + 1]!]!;
    planes[2 * size + i] = signedOfByte[data[i * 3 + 2]!]!;
  }
  return planes;
}

/**
 * Planes `[3, height, width]` as a model gives them → a picture. `range` says what black and white are: `signed`
 * -1 and 1, `unit` 0 and 1; values beyond are clamped, halves go to the even byte, in float32 as diffusers does.
 */
export function fromPlanes(
  planes: Float32Array,
  { width, height, range = 'signed' }: { width: number; height: number; range?: 'signed' | 'unit' },
): RgbImage {
  const size = width * height;
  if (planes.length !== 3 * size) {
    throw new RangeError(`${planes.length} values are not 3 planes of ${width}×${height} (${3 * size}).`);
  }
  const data = new Uint8Array(3 * size);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < size; i++) {
      const value = planes[channel * size + i]!;
      const unit = range === 'signed' ? fround(fround(value / 2) + 0.5) : value;
      data[i * 3 + channel] = roundHalfToEven(fround(Math.min(1, Math.max(0, unit)) * 255));
    }
  }
  return { width, height, data };
}
