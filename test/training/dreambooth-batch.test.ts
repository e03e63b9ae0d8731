/** What a batch holds, row by row: where the scripts that this follows put rows, weights and sizes of others. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { type BaseModel, readBaseModel } from '../../sdk/models/base-model';
import { tokenizePrompt } from '../../sdk/models/text-condition';
import { createRandom } from '../../sdk/random';
import { createNoiseSchedule } from '../../sdk/schedulers/noise-schedule';
import { snrWeight } from '../../sdk/training/diffusion-target';
import {
  type BatchSource,
  drawBatch,
  type LatentSize,
  offsetNoise,
  type TrainingPicture,
  type TrainingPrompt,
} from '../../sdk/training/dreambooth-batch';
import { effectiveSettings, type TrainingSettings } from '../../sdk/training/presets';

const open = (name: string) =>
  readBaseModel(openDiffusersFolder(join(import.meta.dirname, '../../fixtures/golden', name)));
const sd15 = open('sd15-tiny');
const sdxl = open('sdxl-tiny');

/** Latents that all have one value, without noise of the autoencoder's. */
function picture(
  value: number,
  size: LatentSize = [2, 2],
  more: Partial<TrainingPicture> = {},
): TrainingPicture {
  const length = 4 * size[0] * size[1];
  return {
    mean: new Float32Array(length).fill(value),
    logvar: new Float32Array(length).fill(-30),
    size,
    sizes: [value, value, 1, 2, 3, 4],
    ...more,
  };
}

const promptOf = (base: BaseModel, text: string, value: number): TrainingPrompt => ({
  tokens: tokenizePrompt(base, text).tokens,
  condition: {
    textEmbeddings: new Float32Array(base.unet.config.crossAttentionDim).fill(value),
    pooledEmbeddings: new Float32Array(2).fill(value),
  },
});

function source(
  base: BaseModel,
  settings: Partial<TrainingSettings>,
  photos: readonly TrainingPicture[],
  classImages: readonly TrainingPicture[] = [],
): BatchSource {
  const prompt = (text: string, value: number) => promptOf(base, text, value);
  return {
    base,
    settings: effectiveSettings('sd15-lora', settings),
    photos: photos.map((one, i) => ({ variants: [one], prompts: [prompt('a sks dog', 10 + i)] })),
    classImages: classImages.map((one) => ({ ...one, prompt: prompt('a dog', 2) })),
    classPrompts: [prompt('a dog', 2)],
    noPrompt: prompt('', 0),
  };
}

const draw = (from: BatchSource, seed = 1, order: readonly number[] = []) =>
  drawBatch(from, createNoiseSchedule(from.base.schedulerConfig), createRandom(seed), order);
const numbers = (feeds: ReturnType<typeof draw>['feeds'], name: string) =>
  Array.from(feeds[name]!.data as Float32Array);
/** The first number of every row. */
const rows = (feeds: ReturnType<typeof draw>['feeds'], name: string) => {
  const all = numbers(feeds, name);
  const count = feeds[name]!.shape[0]!;
  return Array.from({ length: count }, (_, row) => all[(row * all.length) / count]);
};

describe('photos and class images in one batch', () => {
  const both = { prior: 'images', batchSize: 2, priorLossWeight: 3, snrGamma: 5 } as const;
  const batch = draw(source(sdxl, both, [picture(101), picture(102)], [picture(201), picture(202)]));

  test('every row has its own prompt: photos first, then the class', () => {
    const embeddings = rows(batch.feeds, 'textEmbeddings');
    expect(embeddings.slice(0, 2).sort()).toEqual([10, 11]);
    expect(embeddings.slice(2)).toEqual([2, 2]);
    expect(rows(batch.feeds, 'pooledEmbeddings')).toEqual(embeddings);
  });

  test('and its own sizes, class images theirs', () => {
    const sizes = rows(batch.feeds, 'timeIds');
    expect(sizes.slice(0, 2).sort()).toEqual([101, 102]);
    expect(sizes.slice(2).sort()).toEqual([201, 202]);
    // The prompt of photo i belongs to photo i.
    expect(sizes.slice(0, 2).map((size) => size! - 91)).toEqual(
      rows(batch.feeds, 'textEmbeddings').slice(0, 2),
    );
  });

  test('min-SNR weighs the photos by their own timesteps, and the class by λ alone', () => {
    const noises = createNoiseSchedule(sdxl.schedulerConfig);
    const timesteps = numbers(batch.feeds, 'timesteps');
    const wanted = [0, 1].map((row) => snrWeight(noises, timesteps[row]!, 5) / 2);
    numbers(batch.feeds, 'lossWeights').forEach((weight, row) => {
      expect(weight).toBeCloseTo(wanted[row] ?? 1.5, 6);
    });
  });

  test.each([0, 2])('λ %d', (priorLossWeight) => {
    const { feeds } = draw(
      source(sd15, { ...both, snrGamma: 0, priorLossWeight }, [picture(1)], [picture(2)]),
    );
    expect(numbers(feeds, 'lossWeights')).toEqual([0.5, 0.5, priorLossWeight / 2, priorLossWeight / 2]);
  });
});

describe('a class that is asked for in several ways', () => {
  const [plain, hatted] = [promptOf(sd15, 'a dog', 2), promptOf(sd15, 'a dog wearing a hat', 3)];

  test('its pictures come with the prompts that drew them', () => {
    const base = source(sd15, { prior: 'images', batchSize: 4 }, [picture(1)]);
    const classImages = [
      { ...picture(2), prompt: plain },
      { ...picture(3), prompt: hatted },
    ];
    const { feeds } = draw({ ...base, classImages, classPrompts: [plain, hatted] });
    const shown = rows(feeds, 'sample').slice(4);
    const asked = rows(feeds, 'textEmbeddings').slice(4);
    expect([...asked].sort()).toEqual([2, 2, 3, 3]);
    // The picture that says 3 is the hatted one: with the noise of its row taken off, so is its sample.
    const noises = createNoiseSchedule(sd15.schedulerConfig);
    const [timesteps, targets] = [rows(feeds, 'timesteps'), rows(feeds, 'target')].map((all) => all.slice(4));
    const scale = sd15.vae.config.scalingFactor;
    shown.forEach((value, i) => {
      const noise = Float32Array.of(targets![i]!);
      const wanted = noises.addNoise(Float32Array.of(asked[i]! * scale), noise, timesteps![i]!)[0]!;
      expect(value).toBeCloseTo(wanted, 4);
    });
  });

  test('without class images each photo is the class under one of them', () => {
    const from = source(sd15, { prior: 'adapter-off', batchSize: 100 }, [picture(1)]);
    const asked = rows(draw({ ...from, classPrompts: [plain, hatted] }).feeds, 'textEmbeddings').slice(100);
    expect(new Set(asked)).toEqual(new Set([2, 3]));
    expect(asked.filter((value) => value === 2).length / 100).toBeCloseTo(0.5, 0);
  });
});

describe('photos of several sizes', () => {
  const wide: LatentSize = [2, 4];
  const square: LatentSize = [3, 3];
  const photos = [picture(1, wide), picture(2, square), picture(3, wide)];
  const classes = [10, 11, 12, 13]
    .map((value) => picture(value, wide))
    .concat([20, 21].map((value) => picture(value, square)));
  const from = source(sdxl, { prior: 'images', batchSize: 2 }, photos, classes);

  test('a batch is of one size, and every photo and class image comes up equally often', () => {
    const noises = createNoiseSchedule(sdxl.schedulerConfig);
    const random = createRandom(3);
    let order: readonly number[] = [];
    const counts = new Map<number, number>();
    for (let i = 0; i < 150; i++) {
      const batch = drawBatch(from, noises, random, order);
      order = batch.order;
      expect(batch.feeds['sample']!.shape).toEqual([4, 4, ...batch.size]);
      for (const value of rows(batch.feeds, 'timeIds')) counts.set(value!, (counts.get(value!) ?? 0) + 1);
    }
    const share = (...values: number[]) => values.reduce((sum, value) => sum + counts.get(value)!, 0) / 300;
    for (const photo of [1, 2, 3]) expect(share(photo)).toBeCloseTo(1 / 3, 1);
    for (const value of [10, 11, 12, 13, 20, 21]) expect(share(value)).toBeCloseTo(1 / 6, 1);
  });
});

test('every class image comes up, where the photo of its size is one of several', () => {
  const photos = [1, 2, 3].map((value) => picture(value, [2, 4])).concat(picture(4, [3, 3]));
  const classes = [20, 21, 22, 23, 24].map((value) => picture(value, [3, 3])).concat(picture(10, [2, 4]));
  const from = source(sdxl, { prior: 'images', batchSize: 1 }, photos, classes);
  const noises = createNoiseSchedule(sdxl.schedulerConfig);
  const random = createRandom(3);
  let order: readonly number[] = [];
  const seen = new Set<number>();
  do {
    const batch = drawBatch(from, noises, random, order);
    order = batch.order;
    seen.add(rows(batch.feeds, 'timeIds')[1]!);
  } while (order.length > 0);
  expect([...seen].sort()).toEqual([10, 20, 21, 22, 23, 24]);
});

describe('options', () => {
  test('noise offset: a draw more for each channel of each row, the rest as it was', () => {
    const noise = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    offsetNoise(noise, Float32Array.of(10, -10), 0.1);
    expect([...noise]).toEqual([2, 3, 4, 5, 4, 5, 6, 7]);
    const plain = draw(source(sd15, { prior: 'none' }, [picture(0)])).feeds;
    const shifted = draw(source(sd15, { prior: 'none', noiseOffset: 0.5 }, [picture(0)])).feeds;
    const difference = numbers(shifted, 'target').map((value, i) => value - numbers(plain, 'target')[i]!);
    for (let channel = 0; channel < 4; channel++) {
      const [first, ...others] = difference.slice(channel * 4, channel * 4 + 4);
      expect(Math.abs(first!)).toBeGreaterThan(1e-3);
      for (const other of others) expect(other).toBeCloseTo(first!, 5);
    }
  });

  test('caption dropout: no photo, about half, every photo; never the class', () => {
    const share = (captionDropout: number) => {
      const settings = { prior: 'images', batchSize: 200, captionDropout } as const;
      const embeddings = rows(
        draw(source(sd15, settings, [picture(1)], [picture(2)])).feeds,
        'textEmbeddings',
      );
      expect(embeddings.slice(200).every((value) => value === 2)).toBe(true);
      return embeddings.slice(0, 200).filter((value) => value === 0).length / 200;
    };
    expect(share(0)).toBe(0);
    expect(share(0.5)).toBeCloseTo(0.5, 0);
    expect(share(0.5)).not.toBe(0);
    expect(share(1)).toBe(1);
  });

  test('caption dropout where the text encoders of SDXL train: what they say is zeroed in the graph', () => {
    const settings = { prior: 'images', captionDropout: 1, trainTextEncoder: true } as const;
    const { feeds } = draw(source(sdxl, settings, [picture(1)], [picture(2)]));
    expect(numbers(feeds, 'prompted')).toEqual([0, 1]);
    expect(draw(source(sd15, settings, [picture(1)], [picture(2)])).feeds).not.toHaveProperty('prompted');
  });

  test.each(['images', 'adapter-off'] as const)('masks weigh photos, not the class (%s)', (prior) => {
    const lossMask = Float32Array.of(1, 0.1, 0.1, 0.5);
    const { feeds } = draw(
      source(sd15, { prior, masks: 'file' }, [picture(1, [2, 2], { lossMask })], [picture(2)]),
    );
    expect(feeds['lossMask']!.shape).toEqual([2, 1, 2, 2]);
    expect(numbers(feeds, 'lossMask')).toEqual([...lossMask, 1, 1, 1, 1]);
  });
});
