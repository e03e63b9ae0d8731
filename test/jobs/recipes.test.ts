/** Recipes as they are learned by, on real work: subjects without an identifier, what a base is learned with, how one is drawn. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openSafetensors } from '../../sdk/checkpoint/safetensors';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import { exportLearned } from '../../sdk/jobs/learned-files';
import { openBase } from '../../sdk/work/loaded-base';
import type { PersonalizationSettings } from '../../sdk/work/personalization-settings';
import type { ProgressEvent } from '../../sdk/work/progress';

const fixtures = join(import.meta.dirname, '../../fixtures/golden');
let folder: string;
let square: string;
let wide: string;
const engines: Engine[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-recipes-'));
  mkdirSync(join(folder, 'photos'));
  [square, wide] = [join(folder, 'photos/square.png'), join(folder, 'photos/wide.png')];
  const picture = (width: number) =>
    sharp({ create: { width, height: 64, channels: 3, background: '#3a7' } }).png();
  await picture(64).toFile(square);
  await picture(80).toFile(wide);
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function engineOn(base: string, home: string): Engine {
  const engine = createEngine({ home: join(folder, home), base: join(fixtures, base), mode: 'in-process' });
  engines.push(engine);
  return engine;
}

async function learn(
  engine: Engine,
  name: string,
  photo: string,
  settings: PersonalizationSettings,
  request: { identifier?: string } = {},
) {
  const warnings: string[] = [];
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === 'warning-found') warnings.push(event.message);
  };
  const subject = await engine.personalize(
    { images: [photo], className: 'dog', name, settings: { steps: 1, ...settings }, ...request },
    { onProgress },
  );
  return { subject, warnings };
}

test('DreamBench++: one photo without a warning, "a photo of dog", drawn as the recipe says', async () => {
  const engine = engineOn('sd15-tiny', 'dreambench');
  const { subject, warnings } = await learn(engine, 'rex', square, {
    preset: 'dreambench-plus-sd15',
    resolution: 64,
    learningRate: 1e-2,
    drawSteps: 3,
  });
  expect(warnings).toEqual([]);
  expect(subject).toMatchObject({
    kind: 'full',
    identifier: '',
    instancePrompt: 'a photo of dog',
    seed: 42,
    settings: {
      preset: 'dreambench-plus-sd15',
      rareIdentifier: false,
      prior: 'none',
      instancePrompt: 'a photo of dog',
      resolution: 64,
      learningRate: 1e-2,
      weightDecay: 1e-2,
    },
  });
  const [usual] = await engine.generate({ prompt: 'a photo of @rex', seed: 1 });
  expect(usual!.settings).toMatchObject({ steps: 3, guidanceScale: 7.5, scheduler: 'pndm' });
  const [said] = await engine.generate({
    prompt: '@rex',
    seed: 1,
    steps: 2,
    scheduler: 'ddim',
    guidanceScale: 2,
  });
  expect(said!.settings).toMatchObject({ steps: 2, guidanceScale: 2, scheduler: 'ddim' });
});

test('an identifier may be left out of any recipe, and the file for other programs says what to write', async () => {
  const engine = engineOn('sd15-tiny', 'none');
  const { subject, warnings } = await learn(
    engine,
    'rex',
    square,
    { rank: 1, classImages: 1 },
    { identifier: '' },
  );
  expect(subject).toMatchObject({ identifier: '', settings: { preset: 'sd15-lora', rareIdentifier: false } });
  expect(warnings.join()).toMatch(
    /There is one photo.*"a photo of dog" is the prompt of the photos and of what/,
  );
  const file = await exportLearned(engine.home, 'rex', 'kohya', join(folder, 'rex.safetensors'));
  expect(openSafetensors(file).metadata['modelspec.trigger_phrase']).toBe('dog');
});

test('XL has a recipe of its own', () => {
  const { defaults } = openBase(join(fixtures, 'sdxl-tiny'));
  expect(defaults).toEqual({ preset: 'sdxl-lora', steps: 25, guidanceScale: 5 });
  expect(openBase(join(fixtures, 'sd21-tiny')).defaults.preset).toBe('sd15-lora');
});

test('XL may be told one size of every photo, as DreamBench++ does', async () => {
  const engine = engineOn('sdxl-tiny', 'xl');
  const losses: number[] = [];
  for (const sizeConditioning of ['photo', 'constant'] as const) {
    const settings: PersonalizationSettings = {
      preset: 'dreambench-plus-sdxl-lora',
      resolution: 64,
      targetModules: ['to_v'],
      steps: 1,
      sizeConditioning,
    };
    const onProgress = (event: ProgressEvent) => {
      if (event.kind === 'step-end' && event.loss !== undefined) losses.push(event.loss);
    };
    await engine.personalize({ images: [wide], className: 'dog', settings }, { onProgress });
  }
  expect(losses).toHaveLength(2);
  expect(losses[0]).not.toBe(losses[1]);
});

test('another autoencoder is learned and drawn with, and is remembered until another is named', async () => {
  const engine = engineOn('sd15-tiny', 'vae');
  const vae = join(fixtures, 'sd21-tiny/vae');
  const settings: PersonalizationSettings = { steps: 1, prior: 'none', targetModules: ['to_v'] };
  const losses: number[] = [];
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === 'step-end' && event.loss !== undefined) losses.push(event.loss);
  };
  for (const [name, choice] of [
    ['own', {}],
    ['other', { vae }],
  ] as const) {
    const request = { images: [square], className: 'dog', name, identifier: 'sks', settings, ...choice };
    const subject = await engine.personalize(request, { onProgress });
    expect(subject.base.vae).toBe(name === 'own' ? undefined : vae);
  }
  expect(losses[0]).not.toBe(losses[1]);
  const draw = async (choice: { vae?: string }) => {
    const [image] = await engine.generate({ prompt: '@other', seed: 1, steps: 1, ...choice });
    return Buffer.from(image!.png).toString('base64');
  };
  const remembered = await draw({});
  expect((await draw({ vae })) === remembered).toBe(true);
  expect((await draw({ vae: 'base' })) === remembered).toBe(false);
  await expect(draw({ vae: join(folder, 'nowhere') })).rejects.toThrow(/no autoencoder at .*nowhere/);
});
