/** Photos as they are trained on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readImage } from '../../sdk/images/read-image';
import type { RgbImage } from '../../sdk/images/rgb-image';
import { createRandom } from '../../sdk/random';
import { asWhole, trainedSizes, variantsOf } from '../../sdk/work/training-pictures';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-pictures-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a photo’s variants', () => {
  /** Every column has its own grey, so that a crop shows where it was taken. */
  const wide: RgbImage = {
    width: 24,
    height: 8,
    data: Uint8Array.from({ length: 24 * 8 * 3 }, (_, i) => Math.floor(i / 3) % 24),
  };
  const square = { width: 8, height: 8 };
  const firstColumns = (variants: readonly RgbImage[]) => variants.map(({ data }) => data[0]);
  const variants = (settings: { centerCrop: boolean; flip: boolean }, seed = 1) =>
    variantsOf({ picture: wide }, square, settings, createRandom(seed)).map(({ picture }) => picture);

  test('the middle', () => {
    const [one, ...others] = variants({ centerCrop: true, flip: false });
    expect(others).toEqual([]);
    expect(one).toMatchObject({ width: 8, height: 8 });
    expect([one!.data[0], one!.data[21]]).toEqual([8, 15]);
  });

  test('mirrored beside as it is', () => {
    expect(firstColumns(variants({ centerCrop: true, flip: true }))).toEqual([8, 15]);
  });

  test('random parts, the same for a seed and others for another', () => {
    const columns = firstColumns(variants({ centerCrop: false, flip: false }));
    expect(columns).toHaveLength(4);
    expect(new Set(columns).size).toBeGreaterThan(1);
    for (const column of columns) expect(column).toBeLessThanOrEqual(16);
    expect(firstColumns(variants({ centerCrop: false, flip: false }))).toEqual(columns);
    expect(firstColumns(variants({ centerCrop: false, flip: false }, 2))).not.toEqual(columns);
  });

  test('with the sizes that they come from: original, where it was cut, and what is shown', () => {
    const doubled: RgbImage = { width: 48, height: 16, data: new Uint8Array(48 * 16 * 3) };
    const both = variantsOf({ picture: doubled }, square, { centerCrop: true, flip: true }, createRandom(1));
    expect(both.map(({ sizes }) => sizes)).toEqual([
      [16, 48, 0, 8, 8, 8],
      [16, 48, 0, 8, 8, 8],
    ]);
    expect(both.map(asWhole).map(({ sizes }) => sizes)).toEqual([
      [8, 8, 0, 0, 8, 8],
      [8, 8, 0, 0, 8, 8],
    ]);
    expect(both.map(asWhole)[0]!.picture).toBe(both[0]!.picture);
    const random = variantsOf(
      { picture: doubled },
      square,
      { centerCrop: false, flip: true },
      createRandom(3),
    );
    for (let i = 0; i < random.length; i += 2) expect(random[i]!.sizes[3] + random[i + 1]!.sizes[3]).toBe(16);
  });

  test('of a photo that EXIF turns, the upright one', async () => {
    const file = join(folder, 'turned.png');
    const raw = { width: wide.width, height: wide.height, channels: 3 as const };
    // 6: turn by 90° clockwise to see it upright; the first column becomes the first row.
    await sharp(wide.data, { raw }).withMetadata({ orientation: 6 }).png().toFile(file);
    const [one] = variantsOf(
      { picture: await readImage(file) },
      square,
      { centerCrop: true, flip: false },
      createRandom(1),
    );
    const column = Array.from({ length: 8 }, (_, y) => one!.picture.data[y * 8 * 3]);
    expect(column).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  });
});

describe('sizes', () => {
  const photos = [
    { width: 300, height: 300 },
    { width: 600, height: 400 },
    { width: 300, height: 600 },
  ];
  const sizes = (side: number, inBuckets: boolean) =>
    trainedSizes(photos, side, 8, { aspectBuckets: inBuckets }).map(
      ({ width, height }) => `${width}×${height}`,
    );

  test('squares, or the nearest of kohya’s', () => {
    expect(sizes(512, false)).toEqual(['512×512', '512×512', '512×512']);
    expect(sizes(512, true)).toEqual(['512×512', '640×384', '320×704']);
    expect(sizes(64, true)).toEqual(['64×64', '80×48', '40×88']);
  });

  test('a photo and its mask are cut alike, and SDXL is told the size that is shown', () => {
    const width = 12;
    const data = Uint8Array.from({ length: width * 8 * 3 }, (_, i) => (Math.floor(i / 3) % width) * 20);
    const photo = { width, height: 8, data };
    const variants = variantsOf(
      { picture: photo, mask: photo },
      { width: 6, height: 8 },
      { centerCrop: false, flip: true },
      createRandom(2),
    );
    expect(variants).toHaveLength(8);
    for (const { picture, mask, sizes } of variants) {
      expect(picture).toMatchObject({ width: 6, height: 8 });
      expect(mask).toEqual(picture);
      expect(sizes).toEqual([8, 12, 0, expect.any(Number), 8, 6]);
    }
    expect(variants[0]!.picture.data[0]).toBe(variants[0]!.sizes[3] * 20);
  });
});
