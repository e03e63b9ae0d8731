/** Pictures from and into photos, from the call to the PNG, on real work. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSafetensors, readTensor, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import type { GeneratedImage, GenerateRequest } from '../../sdk/jobs/generation';
import { listJobs } from '../../sdk/jobs/jobs';
import { subjectNames } from '../../sdk/subjects/subjects';
import type { Tensor } from '../../sdk/tensor';

const fixtures = join(import.meta.dirname, '../../fixtures');
const tiny = join(fixtures, 'golden/sd15-tiny');
let folder: string;
let toybox: Engine;
/** Drawn by the toybox, enlarged to 150 × 100; and a mask over its middle. */
let photo: Buffer;
let mask: Buffer;
const engines: Engine[] = [];

function engineOn(base: string): Engine {
  const engine = createEngine({ home: join(folder, `home-${engines.length}`), base, mode: 'in-process' });
  engines.push(engine);
  return engine;
}

const rectangle = (width: number, height: number, colour: string) =>
  sharp({ create: { width, height, channels: 3, background: colour } }).png();
const pixelsOf = (png: Uint8Array) => sharp(png).removeAlpha().raw().toBuffer();

async function draw(engine: Engine, request: Partial<GenerateRequest>, warnings: string[] = []) {
  return engine.generate(
    { prompt: 'a red dog in a meadow', seed: 5, steps: 6, ...request },
    { onProgress: (event) => event.kind === 'warning-found' && warnings.push(event.message) },
  );
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-photo-'));
  toybox = engineOn('toybox');
  const [drawn] = await draw(toybox, { seed: 3, steps: 12, width: 96 });
  photo = await sharp(drawn!.png).resize(150, 100, { fit: 'fill' }).png().toBuffer();
  const white = await rectangle(50, 40, '#fff').toBuffer();
  mask = await rectangle(150, 100, '#000')
    .composite([{ input: white, left: 50, top: 30 }])
    .toBuffer();
});
afterAll(async () => {
  for (const engine of engines) await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('from a photo', () => {
  test('the less strength, the nearer to it; its shape, at the area that the base is used to', async () => {
    const apart = async (strength: number) => {
      const [image] = await draw(toybox, { image: photo, strength });
      // 3 : 2, as nearly as multiples of 8 pixels allow within 64².
      expect(image).toMatchObject({ width: 80, height: 48, settings: { strength } });
      const start = await sharp(photo).resize(80, 48, { fit: 'fill' }).removeAlpha().raw().toBuffer();
      const pixels = await pixelsOf(image!.png);
      return pixels.reduce((sum, byte, i) => sum + Math.abs(byte - start[i]!), 0) / pixels.length;
    };
    const [little, much] = [await apart(0.2), await apart(0.95)];
    expect(little).toBeLessThan(much / 2);
  });

  test('a file is turned upright by its EXIF', async () => {
    const file = join(folder, 'sideways.jpg');
    await sharp(photo).withMetadata({ orientation: 6 }).jpeg().toFile(file);
    const [image] = await draw(toybox, { image: file, steps: 2 });
    expect(image).toMatchObject({ width: 48, height: 80 });
    const [asked] = await draw(toybox, { image: file, steps: 2, width: 48 });
    expect(asked).toMatchObject({ width: 48, height: 72 });
    const [both] = await draw(toybox, { image: file, steps: 2, width: 48, height: 48 });
    expect(both).toMatchObject({ width: 48, height: 48 });
  });
});

describe('into a photo', () => {
  const changes = async (image: GeneratedImage, before: Buffer, masked: Buffer) => {
    const [after, white] = [await pixelsOf(image.png), await pixelsOf(masked)];
    const differ = [...after.keys()].filter((i) => after[i] !== before[i]);
    return {
      inside: differ.filter((i) => white[i] === 255).length,
      outside: differ.filter((i) => white[i] === 0).length,
    };
  };

  test('it comes back in its own size, unharmed where the mask is black', async () => {
    const [image] = await draw(toybox, { image: photo, mask });
    expect(image).toMatchObject({
      width: 150,
      height: 100,
      settings: { strength: 1, width: 80, height: 48 },
    });
    const { inside, outside } = await changes(image!, await pixelsOf(photo), mask);
    expect(outside).toBe(0);
    expect(inside).toBeGreaterThan(50 * 40);
  });

  test('in a size that is asked for, the photo at that size is unharmed', async () => {
    const start = await sharp(photo).resize(96, 64, { fit: 'fill' }).png().toBuffer();
    const small = await sharp(mask).resize(96, 64, { fit: 'fill', kernel: 'nearest' }).png().toBuffer();
    const [image] = await draw(toybox, { image: start, mask: small, width: 96, height: 64 });
    expect(image).toMatchObject({ width: 96, height: 64 });
    expect((await changes(image!, await pixelsOf(start), small)).outside).toBe(0);
  });

  test('a mask that is white all over is warned of, a smaller one of the same shape fits', async () => {
    const warnings: string[] = [];
    const white = await rectangle(75, 50, '#fff').toBuffer();
    await draw(toybox, { image: photo, mask: white, steps: 1 }, warnings);
    expect(warnings).toEqual(['The whole photo is drawn anew, since the mask is white all over.']);
  });
});

test('several at a time, the last group short: as each alone, but for rounding', async () => {
  const together = await draw(toybox, { count: 3, batch: 2, image: photo });
  expect(together.map(({ seed, settings }) => [seed, settings['batch']])).toEqual(
    [5, 6, 7].map((seed) => [seed, 2]),
  );
  for (const image of together) {
    const [alone] = await draw(toybox, { seed: image.seed, image: photo });
    const [ours, theirs] = [await pixelsOf(image.png), await pixelsOf(alone!.png)];
    expect(Math.max(...ours.map((byte, i) => Math.abs(byte - theirs[i]!)))).toBeLessThanOrEqual(2);
  }
  expect(Buffer.compare(together[0]!.png, together[2]!.png)).not.toBe(0);
});

test('tiles and guidance rescale change the picture, and are asked for', async () => {
  const bytesOf = async (request: Partial<GenerateRequest>) =>
    Buffer.from(
      await pixelsOf((await draw(toybox, { width: 128, height: 72, steps: 2, ...request }))[0]!.png),
    );
  const [plain, tiled, whole, rescaled] = [
    await bytesOf({}),
    await bytesOf({ vaeTiling: true }),
    await bytesOf({ vaeTiling: false }),
    await bytesOf({ guidanceRescale: 0.7 }),
  ];
  // Larger than the toybox's 64²: in tiles where nobody says.
  expect(plain.equals(tiled)).toBe(true);
  expect(whole.equals(tiled)).toBe(false);
  expect(rescaled.equals(plain)).toBe(false);
});

describe('refused', () => {
  test.each([
    ['mask is given without image', () => ({ mask })],
    ['strength is given without image', () => ({ strength: 0.5 })],
    ['strength 0 leaves the photo as it is', () => ({ image: photo, strength: 0 })],
    ['strength is 1.5: give a number above 0 to 1', () => ({ image: photo, strength: 1.5 })],
    ['strength is NaN', () => ({ image: photo, strength: Number.NaN })],
    [
      'strength 0.1 of 6 steps is less than one step: give at least 0.16',
      () => ({ image: photo, strength: 0.1 }),
    ],
    ['guidanceRescale is 2', () => ({ guidanceRescale: 2 })],
    ['batch is 0', () => ({ batch: 0 })],
    ['There is no photo /nowhere.jpg', () => ({ image: '/nowhere.jpg' })],
    ['is a folder, not a photo', () => ({ image: folder })],
    ['the image cannot be read as a photo', () => ({ image: Buffer.from('a text, and no photo') })],
    ['width is 60; this base makes multiples of 8', () => ({ image: photo, width: 60 })],
    [
      'since the mask has no white',
      async () => ({ image: photo, mask: await rectangle(150, 100, '#000').toBuffer() }),
    ],
    [
      'differ in shape, the mask being 100×100 pixels and the photo 150×100',
      async () => ({ image: photo, mask: await rectangle(100, 100, '#fff').toBuffer() }),
    ],
  ])('%s', async (message, request) => {
    await expect(draw(toybox, await request())).rejects.toThrow(message);
  });
});

describe('a model made for inpainting', () => {
  /** The tiny Stable Diffusion with a first layer of so many channels. */
  function tinyWith(channels: number, pipelineClass: string): string {
    const base = join(folder, `${pipelineClass}-${channels}`);
    cpSync(tiny, base, { recursive: true });
    const rewrite = (file: string, change: object) => {
      const path = join(base, file);
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
    };
    rewrite('model_index.json', { _class_name: pipelineClass });
    rewrite('unet/config.json', { in_channels: channels });
    const weights = join(base, 'unet/diffusion_pytorch_model.safetensors');
    const first = openSafetensors(join(fixtures, 'pictures/inpainting.safetensors')).tensors;
    const own = [...openSafetensors(weights).tensors].map(([key, stored]): [string, Tensor] => [
      key,
      readTensor(stored),
    ]);
    const layer = readTensor(first.get('sd15-tiny/conv_in.weight')!);
    if (channels === 9) writeSafetensors(weights, new Map([...own, ['conv_in.weight', layer]]));
    return base;
  }

  test('needs photo and mask, says how to give them, and draws with them', async () => {
    const engine = engineOn(tinyWith(9, 'StableDiffusionInpaintPipeline'));
    const how = '--image photo.jpg), and with mask (--mask mask.png, white where something new is drawn';
    await expect(draw(engine, {})).rejects.toMatchObject({
      option: 'image',
      message: expect.stringContaining(how),
    });
    await expect(draw(engine, { image: photo })).rejects.toMatchObject({
      option: 'mask',
      message: expect.stringContaining(how),
    });
    const [image] = await draw(engine, { image: photo, mask, steps: 2 });
    expect(image).toMatchObject({ width: 150, height: 100 });
  });

  test('is not learned on: refused before anything is computed, and no subject is there', async () => {
    const engine = engineOn(tinyWith(9, 'StableDiffusionInpaintPipeline'));
    await expect(
      engine.personalize({ images: [photo], className: 'dog', name: 'rex' }),
    ).rejects.toMatchObject({
      code: 'unsupported-model',
      message: expect.stringMatching(/is an inpainting model.*Learn on the model that it was made from/),
    });
    expect(subjectNames(engine.home)).toEqual([]);
    expect(listJobs(engine.home)[0]).toMatchObject({ state: 'failed' });
  });

  test('pipelines of photos open as their families; InstructPix2Pix and depth models are refused by name', async () => {
    const opened = await draw(engineOn(tinyWith(4, 'StableDiffusionImg2ImgPipeline')), { steps: 1 });
    expect(opened).toHaveLength(1);
    const drawn = (channels: number, name: string) => draw(engineOn(tinyWith(channels, name)), {});
    await expect(drawn(8, 'StableDiffusionInstructPix2PixPipeline')).rejects.toThrow(/InstructPix2Pix/);
    await expect(drawn(8, 'StableDiffusionPipeline')).rejects.toThrow(
      /takes 8 channels, as InstructPix2Pix has/,
    );
    await expect(drawn(5, 'StableDiffusionPipeline')).rejects.toThrow(
      /takes 5 channels\. Supported are 4 .* and 9/,
    );
  });
});
