/** Photos as they are trained on, and class images as they are kept. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { readImage } from '../../sdk/images/read-image';
import type { RgbImage } from '../../sdk/images/rgb-image';
import { readBaseModel } from '../../sdk/models/base-model';
import { createRandom } from '../../sdk/random';
import type { Drawing, Pipeline } from '../../sdk/sampling/pipeline';
import { openHome } from '../../sdk/subjects/home';
import type { OpenedBase } from '../../sdk/work/loaded-base';
import {
  asWhole,
  type ClassImages,
  classImages,
  trainedSizes,
  variantsOf,
} from '../../sdk/work/training-pictures';
import { createLoadedModels, type WorkContext } from '../../sdk/work/work-context';

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

describe('class images', () => {
  const fixture = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
  const base = readBaseModel(openDiffusersFolder(fixture));
  const wanted: ClassImages = {
    prompt: 'a dog',
    count: 3,
    size: { width: 8, height: 8 },
    steps: 2,
    guidanceScale: 7.5,
    clipSkip: 0,
  };
  let drawn: number[];
  const pipeline: Pipeline = {
    async draw({ seeds }: Drawing) {
      drawn.push(...seeds);
      return seeds.map((seed) => new Float32Array(3 * 8 * 8).fill(seed / 10));
    },
    encode: () => expect.fail('class images begin from no photo'),
    async release() {},
  };

  function draw(change: Partial<ClassImages & { contents: string }> = {}, signal?: AbortSignal) {
    const { contents = 'one', ...rest } = change;
    const context: WorkContext = {
      home: openHome(folder),
      folder,
      device: 'cpu',
      threads: null,
      onProgress() {},
      onRecipe() {},
      onSample() {},
      onEstimate() {},
      onTimed() {},
      memoryCheck: true,
      onWarning() {},
      signal: signal ?? new AbortController().signal,
      loadedModels: createLoadedModels(1),
    };
    drawn = [];
    const opened = { base, contents } as OpenedBase;
    return classImages({ ...wanted, ...rest }, opened, 2, async () => pipeline, context);
  }

  test('are drawn once for all that makes them, and more of them are added to those there are', async () => {
    const first = await draw();
    expect(first).toHaveLength(3);
    expect(drawn).toEqual([0, 1, 2, 3]);
    expect(await draw()).toEqual(first);
    expect(drawn).toEqual([]);
    expect((await draw({ count: 6 })).slice(0, 3)).toEqual(first);
    expect(drawn).toEqual([4, 5]);
  });

  test.each<[string, Parameters<typeof draw>[0]]>([
    ['base', { contents: 'other' }],
    ['prompt', { prompt: 'a cat' }],
    ['size', { size: { width: 16, height: 16 } }],
    ['number of steps', { steps: 3 }],
    ['guidance', { guidanceScale: 1 }],
    ['skipped layers', { clipSkip: 1 }],
  ])('are drawn anew for another %s', async (_, change) => {
    await draw();
    await draw(change).catch(() => {});
    expect(drawn.length).toBeGreaterThan(0);
    expect(readdirSync(join(folder, 'cache/class-images'))).toHaveLength(2);
  });

  test('a stop in between keeps those that are whole', async () => {
    const stop = new AbortController();
    const whole = pipeline.draw;
    pipeline.draw = (drawing) => {
      if (drawing.seeds[0] === 0) queueMicrotask(() => stop.abort());
      return whole(drawing);
    };
    await expect(draw({}, stop.signal)).rejects.toThrow();
    pipeline.draw = whole;
    expect(drawn).toEqual([0, 1]);
    await draw();
    expect(drawn).toEqual([2, 3]);
  });

  test('one that is missing is drawn again, to the same picture', async () => {
    const first = await draw();
    const [key] = readdirSync(join(folder, 'cache/class-images'));
    const file = join(folder, 'cache/class-images', key!, '1.png');
    const bytes = readFileSync(file);
    rmSync(file);
    expect(await draw()).toEqual(first);
    expect(readFileSync(file).equals(bytes)).toBe(true);
  });
});
