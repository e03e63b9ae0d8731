import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageModelV3 } from '@ai-sdk/provider';
import { generateImage } from 'ai';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dreamboothImageModel } from '../../adapters/ai-sdk/index';
import { createEngine, type Engine } from '../../sdk/jobs/engine';

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  mkdirSync(join(folder, 'base'));
  engine = createEngine({
    home: join(folder, 'home'),
    base: join(folder, 'base'),
    mode: 'in-process',
    workerModule: join(import.meta.dirname, '../operations/drawing-work.mjs'),
  });
  const photo = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#f00' } })
    .png()
    .toBuffer();
  await engine.personalize({ images: [photo], className: 'dog', name: 'rex' });
});
afterAll(() => rmSync(folder, { recursive: true }));

const model = (subject?: string): ImageModelV3 => dreamboothImageModel(subject, { engine });

test('the AI SDK draws with it: pictures of the size, the number and the seed that were asked for', async () => {
  const { images, warnings, providerMetadata } = await generateImage({
    model: model('rex'),
    prompt: 'in the snow',
    n: 2,
    size: '128x64',
    seed: 7,
    providerOptions: { dreambooth: { steps: 2, negativePrompt: 'rain' } },
  });
  expect(warnings).toEqual([]);
  expect(images.map(({ mediaType }) => mediaType)).toEqual(['image/png', 'image/png']);
  const { width, height } = await sharp(images[0]!.uint8Array).metadata();
  expect([width, height]).toEqual([128, 64]);
  expect(providerMetadata['dreambooth']!.images).toEqual([
    { seed: 7, width: 128, height: 64 },
    { seed: 8, width: 128, height: 64 },
  ]);
});

test('a photo to begin from and a mask reach the engine; an aspect ratio is told to be none', async () => {
  const image = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#0f0' } })
    .png()
    .toBuffer();
  const { images } = await generateImage({
    model: model(),
    prompt: { text: '@rex on the sofa', images: [image], mask: image },
  });
  expect(images).toHaveLength(1);
  const { warnings } = await generateImage({ model: model(), prompt: 'a dog', aspectRatio: '2:1' });
  expect(warnings).toMatchObject([{ type: 'unsupported', feature: 'aspectRatio' }]);
});

test('what is wrong is told at once, and not tried again', async () => {
  let calls = 0;
  const one = model('mia');
  const counted: ImageModelV3 = {
    ...one,
    doGenerate(options) {
      calls++;
      return one.doGenerate(options);
    },
  };
  await expect(generateImage({ model: counted, prompt: 'x' })).rejects.toThrow(
    /no subject @mia\. There is @rex/,
  );
  expect(calls).toBe(1);
  const asked = generateImage({ model: model(), prompt: 'x', providerOptions: { dreambooth: { stepz: 1 } } });
  await expect(asked).rejects.toThrow(/stepz[\s\S]*it may have negativePrompt, steps/);
});

test('a call is stopped', async () => {
  const stop = AbortSignal.timeout(100);
  const slow = generateImage({
    model: model(),
    prompt: 'slow',
    abortSignal: stop,
    providerOptions: { dreambooth: { steps: 500 } },
  });
  await expect(slow).rejects.toThrow(/Stopped/);
});
