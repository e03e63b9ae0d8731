/** What runs on a base of Stable Diffusion 1.5's size take, told from its configs alone: its weights are nowhere. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { clipVocabulary } from '../../sdk/checkpoint/clip-vocabulary';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { InsufficientMemoryError } from '../../sdk/errors';
import { type BaseModel, type ComponentName, readBaseModel } from '../../sdk/models/base-model';
import { weightsDeclaredBy } from '../../sdk/models/declared-weights';
import { availableMemory } from '../../sdk/runtime/memory';
import { openHome } from '../../sdk/subjects/home';
import { sizeOf } from '../../sdk/tensor';
import { effectiveSettings, type TrainingSettings } from '../../sdk/training/presets';
import { foretellDrawing } from '../../sdk/work/estimate';
import { type ForetoldTraining, foretellTraining } from '../../sdk/work/foretell-training';
import type { Estimate } from '../../sdk/work/progress';
import { createLoadedModels, type WorkContext } from '../../sdk/work/work-context';

vi.mock('../../sdk/runtime/memory', () => ({ availableMemory: vi.fn() }));
vi.mock('../../sdk/runtime/speed', async (original) => ({
  ...(await original<typeof import('../../sdk/runtime/speed')>()),
  measureSpeed: async () => ({
    convolutionOperations: 1e11,
    productOperations: 1e11,
    moved: 1e10,
    transcendentals: 1e9,
  }),
}));

const gib = 2 ** 30;
const published = join(import.meta.dirname, '../../fixtures/published/sd15');
const json = (path: string) => JSON.parse(readFileSync(join(published, path), 'utf8'));

function trueSize(): BaseModel {
  const component = (name: ComponentName, className: string) => {
    const config = json(`${name}/config.json`);
    const tensors = weightsDeclaredBy(name, config).map(({ key, shape }) => {
      const stored = {
        dtype: 'float16',
        shape,
        file: 'nowhere',
        offset: 0,
        length: 2 * sizeOf(shape),
      } as const;
      return [key, stored] as const;
    });
    return [name, { className, config, tensors: new Map(tensors) }] as const;
  };
  return readBaseModel({
    directory: 'nowhere',
    modelIndex: json('model_index.json'),
    pipelineClass: 'StableDiffusionPipeline',
    components: new Map([
      component('unet', 'UNet2DConditionModel'),
      component('vae', 'AutoencoderKL'),
      component('text_encoder', 'CLIPTextModel'),
    ]),
    schedulerConfig: json('scheduler/scheduler_config.json'),
    tokenizers: new Map([['tokenizer', clipVocabulary()]]),
  });
}

const base = trueSize();
let told: Estimate[];
const context = (memoryCheck = true): WorkContext => ({
  home: openHome('nowhere'),
  folder: 'nowhere',
  device: 'cpu',
  threads: null,
  memoryCheck,
  onEstimate: (estimate) => told.push(estimate),
  onTimed() {},
  onRecipe() {},
  onProgress() {},
  onPicture() {},
  onSample() {},
  onWarning() {},
  signal: new AbortController().signal,
  loadedModels: createLoadedModels(1),
});
beforeEach(() => {
  told = [];
  vi.mocked(availableMemory).mockReturnValue(20 * gib);
});

const shape = { pictures: 1, size: [64, 64], guided: true, loraPaths: [] } as const;
const training = (given: Parameters<typeof effectiveSettings>[1]): ForetoldTraining => ({
  settings: effectiveSettings('sd15-lora', { steps: 10, classImages: 3, ...given }),
  side: 512,
  photos: [{ width: 600, height: 600 }],
  usual: { steps: 25, guidanceScale: 7.5 },
  missingClassImages: 3,
});

describe('drawing', () => {
  test('is told with its memory, its mapped weights and its time', async () => {
    await foretellDrawing(base, shape, { pictures: 2, steps: 10 }, context());
    const [estimate] = told as [Estimate];
    expect(estimate.memoryBytes / gib).toBeGreaterThan(2);
    expect(estimate.memoryBytes / gib).toBeLessThan(5);
    // 1.07 thousand million half-precision numbers, but for the encoder's.
    expect(estimate.mappedBytes / gib).toBeCloseTo(1.92, 1);
    // 1.6 TFLOP for each of 20 evaluations, at 0.1 a second.
    expect(estimate.seconds).toBeGreaterThan(20 * 16);
    expect(estimate.seconds).toBeLessThan(20 * 16 * 2.5);
  });

  test('from a photo counts what reads the photo, and the steps that are left of it', async () => {
    await foretellDrawing(base, shape, { pictures: 1, steps: 10 }, context());
    await foretellDrawing(base, shape, { pictures: 1, steps: 10, photo: true }, context());
    const [plain, fromPhoto] = told as [Estimate, Estimate];
    expect(fromPhoto.mappedBytes).toBeGreaterThan(plain.mappedBytes);
    expect(fromPhoto.seconds).toBeGreaterThan(plain.seconds);
  });

  test('that does not fit is refused, with what does', async () => {
    vi.mocked(availableMemory).mockReturnValue(2.5 * gib);
    const refused = foretellDrawing(base, shape, { pictures: 1, steps: 10 }, context());
    const error = await refused.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(InsufficientMemoryError);
    const { message, fits, availableBytes, code } = error as InsufficientMemoryError;
    expect(code).toBe('insufficient-memory');
    expect(availableBytes).toBe(2.5 * gib);
    expect(message).toMatch(/Drawing 512 × 512 pixels needs about \d\.\d GiB of memory, and 2\.5 GiB/);
    expect(fits.map(({ change }) => change)).toContain('width 256 and height 256');
    for (const { bytes } of fits) expect(bytes).toBeLessThanOrEqual(2.5 * gib);
    expect(told.length).toBe(1);
  });

  test('is tried all the same where the check is off', async () => {
    vi.mocked(availableMemory).mockReturnValue(gib / 4);
    await foretellDrawing(base, shape, { pictures: 1, steps: 10 }, context(false));
    expect(told.length).toBe(1);
  });
});

describe('learning', () => {
  test('a LoRA is told part by part; the training is the most of it', async () => {
    await foretellTraining(base, training({ prior: 'images' }), context());
    const [{ parts, memoryBytes }] = told as [Estimate];
    expect(parts.map(({ phase }) => phase)).toEqual(['class-images', 'encode', 'train']);
    expect(parts.at(-1)!.memoryBytes).toBe(memoryBytes);
    expect(memoryBytes / gib).toBeGreaterThan(5);
    expect(memoryBytes / gib).toBeLessThan(11);
  });

  test('class images that lie in the cache are no work', async () => {
    const cached = { ...training({ prior: 'images' }), missingClassImages: 0 };
    await foretellTraining(base, cached, context());
    expect(told[0]!.parts.map(({ phase }) => phase)).toEqual(['encode', 'train']);
  });

  test('every graph that is held counts: of gathered gradients, of each shape of photos, of samples', async () => {
    const needed = async (given: Partial<TrainingSettings>, photos: ForetoldTraining['photos'] = []) => {
      told = [];
      const one = training({ prior: 'none', ...given });
      await foretellTraining(base, { ...one, photos: [...one.photos, ...photos] }, context(false));
      return told[0]!.memoryBytes / gib;
    };
    const once = await needed({});
    const graph = (await needed({ gradientAccumulationSteps: 4 })) - once;
    expect(graph / once).toBeGreaterThan(0.8);
    const wide = [{ width: 900, height: 600 }];
    expect((await needed({ aspectBuckets: true }, wide)) - once).toBeCloseTo(graph, 1);
    expect(await needed({}, wide)).toBe(once);
    expect((await needed({ sampleEvery: 5 })) - once).toBeGreaterThan(1);
  });

  test('every weight takes the memory of weights, sums and their copies, and a LoRA is named', async () => {
    const full = training({ kind: 'full', prior: 'none' });
    await expect(foretellTraining(base, full, context())).rejects.toThrow(
      /Learning at 512 × 512 pixels needs about [3-9]\d\.\d GiB.*20\.0 GiB are available.*kind=lora \(\d\.\d GiB\)/,
    );
  });
});

test('a small base is not counted', async () => {
  const small = readBaseModel(
    openDiffusersFolder(join(import.meta.dirname, '../../fixtures/golden/sd15-tiny')),
  );
  vi.mocked(availableMemory).mockReturnValue(0);
  await foretellDrawing(small, { ...shape, size: [8, 8] }, { pictures: 1, steps: 1 }, context());
  expect(told).toEqual([]);
});
