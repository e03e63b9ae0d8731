import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type ResizeFilter, resize, resizeShorterSide } from '../../sdk/images/resize';

interface Reference {
  width: number;
  height: number;
  data: string;
}
const reference: Reference & { cases: (Reference & { filter: ResizeFilter })[] } = JSON.parse(
  readFileSync(new URL('../../fixtures/resize/pillow.json', import.meta.url), 'utf8'),
);
const pictureOf = ({ width, height, data }: Reference) => ({
  width,
  height,
  data: new Uint8Array(Buffer.from(data, 'hex')),
});
const source = pictureOf(reference);

test.each(reference.cases)('$filter to $width×$height, every byte as Pillow', (wanted) => {
  expect(resize(source, wanted.width, wanted.height, wanted.filter)).toEqual(pictureOf(wanted));
});

test('the same size changes nothing', () => {
  expect(resize(source, source.width, source.height)).toBe(source);
});

describe('by the shorter side', () => {
  test.each([
    [37, 23, 12, 19, 12],
    [23, 37, 12, 12, 19],
    [30, 30, 7, 7, 7],
    [4, 3, 64, 85, 64],
  ])('%i×%i to %i gives %i×%i', (width, height, size, newWidth, newHeight) => {
    const image = { width, height, data: new Uint8Array(width * height * 3).fill(77) };
    const small = resizeShorterSide(image, size);
    expect([small.width, small.height]).toEqual([newWidth, newHeight]);
    expect(new Set(small.data)).toEqual(new Set([77]));
  });
});

test('a size that cannot be', () => {
  expect(() => resize(source, 0, 5)).toThrow(/0×5/);
  expect(() => resize(source, 2.5, 5)).toThrow(RangeError);
});
