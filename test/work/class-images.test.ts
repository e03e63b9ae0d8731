/** Class images as they are kept. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { readBaseModel } from '../../sdk/models/base-model';
import type { Drawing, Pipeline } from '../../sdk/sampling/pipeline';
import { openHome } from '../../sdk/subjects/home';
import { effectiveSettings } from '../../sdk/training/presets';
import { type ClassImages, classImages, missingClassImages } from '../../sdk/work/class-images';
import type { OpenedBase } from '../../sdk/work/loaded-base';
import { createLoadedModels, type WorkContext } from '../../sdk/work/work-context';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-pictures-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

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
      onPicture() {},
      onSample() {},
      onEstimate() {},
      onTimed() {},
      onRecipe() {},
      memoryCheck: true,
      onWarning() {},
      signal: signal ?? new AbortController().signal,
      loadedModels: createLoadedModels(1),
    };
    drawn = [];
    const opened = { base, contents } as OpenedBase;
    return classImages({ ...wanted, ...rest }, opened, 2, async () => pipeline, context);
  }

  test.each([
    [['a dog'], 12],
    [['a dog', 'a dog in the snow', 'a dog at night'], 12],
    // Each prompt has its share of both sizes, in whole pictures.
    [['a dog', 'a dog', 'a dog in the snow', 'a dog at night', 'a dog'], 16],
  ])('are shared by their prompts: %j', (prompts, count) => {
    const opened = { base, contents: 'one', defaults: { steps: 2 } } as OpenedBase;
    const settings = effectiveSettings('sd15-lora', { classImages: 12 });
    const sizes = [8, 8, 16, 16].map((width) => ({ width, height: 8 }));
    expect(missingClassImages(opened, settings, prompts, sizes, openHome(folder))).toBe(count);
  });

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
