import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readImage } from '../../sdk/images/read-image';
import type { RgbImage } from '../../sdk/images/rgb-image';
import { latentMask, readMasks } from '../../sdk/work/photo-masks';

const grey = (width: number, height: number, value: (x: number, y: number) => number): RgbImage => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return value(pixel % width, Math.floor(pixel / width));
  }),
});

test('latents’ weights: the mean of their pixels, and a floor', () => {
  // Two places: the left one white but for one of its four pixels, the right one black.
  const mask = grey(4, 2, (x, y) => (x < 2 && !(x === 0 && y === 0) ? 255 : 0));
  const [left, right] = latentMask(mask, 2, 0);
  expect(left).toBeCloseTo(0.75, 6);
  expect(right).toBe(0);
  expect(latentMask(mask, 2, 0.1)[1]).toBeCloseTo(0.1, 6);
  expect(latentMask(mask, 2, 0.9)[0]).toBeCloseTo(0.9, 6);
});

describe('reading', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dreambooth-masks-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function photo(
    name: string,
    mask?: readonly [number, number],
    alpha?: boolean,
    orientation?: number,
  ) {
    const file = join(folder, name);
    const channels = alpha ? (4 as const) : (3 as const);
    // The left half is transparent.
    const data = Uint8Array.from({ length: 8 * 4 * channels }, (_, i) =>
      channels === 4 && i % 4 === 3 ? (Math.floor(i / 4) % 8 < 4 ? 0 : 255) : 100,
    );
    const image = sharp(data, { raw: { width: 8, height: 4, channels } });
    await (orientation ? image.withMetadata({ orientation }) : image).png().toFile(file);
    const own = { file, name };
    if (!mask) return { photo: own, picture: await readImage(file) };
    const [width, height] = mask;
    const create = { width, height, channels: 3 as const, background: '#fff' };
    await sharp({ create })
      .png()
      .toFile(join(folder, `${name}-mask`));
    return { photo: { ...own, mask: join(folder, `${name}-mask`) }, picture: await readImage(file) };
  }

  test('a mask beside a photo, scaled to it; a photo without one is told and counts as a whole', async () => {
    const warnings: string[] = [];
    const photos = [await photo('1.png', [16, 8]), await photo('2.png')];
    const masks = await readMasks(photos, 'file', (message) => warnings.push(message));
    expect(masks[0]).toMatchObject({ width: 8, height: 4 });
    expect(masks[0]!.data.every((value) => value === 255)).toBe(true);
    expect(masks[1]).toBeUndefined();
    expect(warnings).toEqual(['Without a mask, so that all of it counts: 2.png.']);
  });

  test('a photo’s transparency, turned as the photo is', async () => {
    const [mask, turned] = await readMasks(
      [await photo('1.png', undefined, true), await photo('2.png', undefined, true, 6)],
      'alpha',
      () => {},
    );
    expect(Array.from({ length: 8 }, (_, x) => mask!.data[x * 3])).toEqual([0, 0, 0, 0, 255, 255, 255, 255]);
    expect(turned).toMatchObject({ width: 4, height: 8 });
    expect(Array.from({ length: 8 }, (_, y) => turned!.data[y * 4 * 3])).toEqual([
      0, 0, 0, 0, 255, 255, 255, 255,
    ]);
  });

  test('what does not fit is refused with the mend, and masks that are not asked for are told', async () => {
    const none = () => {};
    const masked = await photo('1.png', [8, 8]);
    await expect(readMasks([masked], 'file', none)).rejects.toThrow(
      /mask of 1.png is 8×8 pixels, the photo 8×4/,
    );
    const plain = await photo('2.jpg');
    await expect(readMasks([plain], 'file', none)).rejects.toThrow(/2-masklabel\.png beside the photo/);
    await expect(readMasks([plain], 'alpha', none)).rejects.toThrow(/no photo has transparent parts/);
    const warnings: string[] = [];
    expect(await readMasks([masked], 'none', (message) => warnings.push(message))).toEqual([undefined]);
    expect(warnings.join()).toMatch(/--set masks=file/);
  });
});
