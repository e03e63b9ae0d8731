import { expect, test } from 'vitest';
import { fromPlanes, toPlanes } from '../../sdk/images/pixel-planes';
import {
  centerOffset,
  crop,
  flipHorizontally,
  type RgbImage,
  roundHalfToEven,
} from '../../sdk/images/rgb-image';

const numbered = (width: number, height: number): RgbImage => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => i % 256),
});

test('a crop', () => {
  expect([...crop(numbered(4, 3), 2, 2, { left: 1, top: 1 }).data]).toEqual([
    15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32,
  ]);
  expect(() => crop(numbered(4, 3), 2, 2, { left: 3, top: 0 })).toThrow(/2×2 at \(3, 0\) .* 4×3/);
  expect(() => crop(numbered(4, 3), 2, 2, { left: 0, top: -1 })).toThrow(RangeError);
});

test('the middle, halves to even as Python rounds', () => {
  expect(centerOffset(numbered(5, 7), 4, 4)).toEqual({ left: 0, top: 2 });
  expect(centerOffset(numbered(8, 4), 4, 4)).toEqual({ left: 2, top: 0 });
});

test('a mirror image, twice the same again', () => {
  const image = numbered(3, 2);
  expect([...flipHorizontally(image).data.subarray(0, 9)]).toEqual([6, 7, 8, 3, 4, 5, 0, 1, 2]);
  expect(flipHorizontally(flipHorizontally(image))).toEqual(image);
});

test('rounding', () => {
  expect([0.5, 1.5, 2.5, 2.4999, 2.5001, 3].map(roundHalfToEven)).toEqual([0, 2, 2, 2, 3, 3]);
});

test('planes hold red, green, blue apart, in [-1, 1]', () => {
  const planes = toPlanes({ width: 2, height: 1, data: Uint8Array.of(0, 128, 255, 255, 127, 0) });
  expect([...planes]).toEqual([
    -1,
    1,
    Math.fround(0.003921627998352051),
    Math.fround(-0.003921568393707275),
    1,
    -1,
  ]);
});

test('every byte comes back from its planes', () => {
  const image: RgbImage = {
    width: 16,
    height: 16,
    data: Uint8Array.from({ length: 768 }, (_, i) => (i * 7) % 256),
  };
  const planes = toPlanes(image);
  expect(fromPlanes(planes, { width: 16, height: 16 })).toEqual(image);
  const unit = planes.map((value) => value / 2 + 0.5);
  expect(fromPlanes(unit, { width: 16, height: 16, range: 'unit' })).toEqual(image);
});

test('values beyond the range are clamped, halves go to even', () => {
  const unit = Float32Array.of(-3, 2, Number.POSITIVE_INFINITY);
  expect([...fromPlanes(unit, { width: 1, height: 1, range: 'unit' }).data]).toEqual([0, 255, 255]);
  const halves = Float32Array.of(0, 0, 0);
  expect([...fromPlanes(halves, { width: 1, height: 1 }).data]).toEqual([128, 128, 128]);
  expect(() => fromPlanes(halves, { width: 2, height: 1 })).toThrow(/3 values are not 3 planes of 2×1/);
});
