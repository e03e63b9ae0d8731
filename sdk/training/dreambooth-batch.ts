/**
 * One batch of the DreamBooth algorithm: photos of the subject first, then as many pictures of its class. Drawn from one
 * generator in this order, as diffusers' scripts do: which pictures and prompts, the autoencoder's noise, the noise to predict,
 * its offsets, the timesteps, which photos lose their prompt.
 */
import type { Feeds } from '../graph/session';
import type { BaseModel } from '../models/base-model';
import { type LatentDistribution, sampleLatents, scaleLatents } from '../models/latents';
import {
  conditionFeeds,
  type PictureSizes,
  type PromptCondition,
  type PromptTokens,
  sizeFeeds,
  tokenFeeds,
} from '../models/text-condition';
import type { Random } from '../random';
import type { NoiseSchedule } from '../schedulers/noise-schedule';
import { float32, type Tensor } from '../tensor';
import { snrWeight, targetOf } from './diffusion-target';
import type { TrainingSettings } from './presets';

/** Height and width of latents. */
export type LatentSize = readonly [number, number];

/** The distribution of a picture's latents, and the sizes it comes from. */
export interface TrainingPicture extends LatentDistribution {
  readonly size: LatentSize;
  readonly sizes: PictureSizes;
  /** How much each place counts, [...size]; absent: 1. */
  readonly lossMask?: Float32Array;
}

/** A prompt: its tokens are read where text is encoded in the graph, else what it is to the UNet. */
export interface TrainingPrompt {
  readonly tokens: PromptTokens;
  readonly condition?: PromptCondition;
}

export interface TrainingPhoto {
  /** Crops, mirrored ones: one is drawn each time. All of one size. */
  readonly variants: readonly TrainingPicture[];
  /** One is drawn each time. */
  readonly prompts: readonly TrainingPrompt[];
}

/** Whether prompts are encoded in the graph, since what they are to the UNet changes with the training. */
export const encodesText = ({
  kind,
  trainTextEncoder,
}: Pick<TrainingSettings, 'kind' | 'trainTextEncoder'>): boolean => trainTextEncoder || kind === 'embedding';

/** A picture of the class under the prompt that drew it. */
export interface ClassPicture extends TrainingPicture {
  readonly prompt: TrainingPrompt;
}

export interface BatchSource {
  readonly base: BaseModel;
  readonly settings: TrainingSettings;
  readonly photos: readonly TrainingPhoto[];
  /** Pictures of the class, some of every size that photos have; read where the prior is `images`. */
  readonly classImages: readonly ClassPicture[];
  /** Where the prior is `adapter-off`, each photo is the class under one of them. */
  readonly classPrompts: readonly TrainingPrompt[];
  /** What the base takes for no prompt. */
  readonly noPrompt: TrainingPrompt;
}

export interface DrawnBatch {
  readonly feeds: Feeds;
  readonly size: LatentSize;
  /** What is left of the order of the data. */
  readonly order: readonly number[];
}

export const sameSize = (a: LatentSize, b: LatentSize): boolean => a[0] === b[0] && a[1] === b[1];

/** Whether photos without a prompt are zeroed in the graph, since their text is encoded there. */
export const zerosPrompts = (
  base: BaseModel,
  settings: Pick<TrainingSettings, 'kind' | 'trainTextEncoder' | 'captionDropout'>,
): boolean => encodesText(settings) && settings.captionDropout > 0 && base.zerosForNoPrompt;

/** `order` is used up and renewed an epoch at a time. */
export function drawBatch(
  source: BatchSource,
  noises: NoiseSchedule,
  random: Random,
  order: readonly number[],
): DrawnBatch {
  const { base, settings, noPrompt } = source;
  const { batchSize, prior } = settings;
  const { shown, prompts: drawnPrompts, left } = drawPictures(source, random, order);
  const rows = shown.length;
  const { size, mean } = shown[0]!;
  const elements = mean.length;
  const places = size[0] * size[1];
  const latents = drawLatents(shown, random);
  const scaled = scaleLatents(base.vae.config, latents, places);
  const noise = random.normals(rows * elements);
  if (settings.noiseOffset > 0) {
    const offsets = random.normals((rows * elements) / places);
    offsetNoise(noise, offsets, settings.noiseOffset);
  }
  const timesteps = Float32Array.from({ length: rows }, () => random.integer(noises.numTrainTimesteps));
  const prompted = Array.from(
    { length: rows },
    (_, row) =>
      row >= batchSize || settings.captionDropout === 0 || random.uniform() >= settings.captionDropout,
  );

  const sample = new Float32Array(rows * elements);
  const target = new Float32Array(rows * elements);
  const lossWeights = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const timestep = timesteps[row]!;
    const part = (x: Float32Array) => x.subarray(row * elements, (row + 1) * elements);
    sample.set(noises.addNoise(part(scaled), part(noise), timestep), row * elements);
    target.set(targetOf(noises, part(scaled), part(noise), timestep), row * elements);
    lossWeights[row] =
      row < batchSize
        ? snrWeight(noises, timestep, settings.snrGamma) / batchSize
        : settings.priorLossWeight / batchSize;
  }

  const shape = [rows, elements / places, ...size];
  const targets = prior === 'adapter-off' ? batchSize : rows;
  const prompts = prompted.map((given, row) => (given ? drawnPrompts[row]! : noPrompt));
  const feeds: Record<string, Tensor> = {
    sample: float32(shape, sample),
    timesteps: float32([rows], timesteps),
    lossWeights: float32([rows], lossWeights),
    target: float32([targets, ...shape.slice(1)], target.subarray(0, targets * elements)),
    ...(settings.masks === 'none' ? {} : { lossMask: float32([rows, 1, ...size], masksOf(shown, places)) }),
    ...(zerosPrompts(base, settings)
      ? { prompted: float32([rows], Float32Array.from(prompted, Number)) }
      : {}),
    ...sizeFeeds(
      base,
      shown.map(({ sizes }) => sizes),
    ),
    ...(encodesText(settings)
      ? tokenFeeds(
          base,
          prompts.map(({ tokens }) => tokens),
        )
      : conditionFeeds(
          base,
          prompts.map(({ condition }) => condition!),
        )),
  };
  return { feeds, size, order: left };
}

/** The next photos that are of one size, and as many pictures of the class of that size, each with its prompt. */
function drawPictures(
  { settings, photos, classImages, classPrompts }: BatchSource,
  random: Random,
  order: readonly number[],
): { shown: TrainingPicture[]; prompts: TrainingPrompt[]; left: number[] } {
  const ofClass = settings.prior === 'images';
  const epoch = Math.max(photos.length, ofClass ? classEpoch(photos, classImages) : 0);
  const sizeOf = (photo: number) => photos[photo]!.variants[0]!.size;
  const left = [...order];
  const indices: number[] = [];
  while (indices.length < settings.batchSize) {
    const [first] = indices;
    const next = left.findIndex(
      (index) =>
        first === undefined || sameSize(sizeOf(index % photos.length), sizeOf(first % photos.length)),
    );
    if (next < 0) left.push(...random.permutation(epoch));
    else indices.push(...left.splice(next, 1));
  }
  const chosen = indices.map((index) => photos[index % photos.length]!);
  const oneOf = <Item>(items: readonly Item[]): Item =>
    items.length === 1 ? items[0]! : items[random.integer(items.length)]!;
  const shown: TrainingPicture[] = chosen.map(({ variants }) => oneOf(variants));
  const prompts = chosen.map((photo) => oneOf(photo.prompts));
  if (ofClass) {
    const { size } = shown[0]!;
    const peers = photos.flatMap((_, photo) => (sameSize(sizeOf(photo), size) ? [photo] : []));
    const fitting = classImages.filter((picture) => sameSize(picture.size, size));
    // Counted among the photos of this size, so that the class's pictures come up equally often.
    const place = (index: number) =>
      Math.floor(index / photos.length) * peers.length + peers.indexOf(index % photos.length);
    const drawn = indices.map((index) => fitting[place(index) % fitting.length]!);
    shown.push(...drawn);
    prompts.push(...drawn.map(({ prompt }) => prompt));
  }
  // Without class images the class is seen through the photos: the base model says what "a [class]" makes of them.
  if (settings.prior === 'adapter-off') {
    prompts.push(...shown.map(() => oneOf(classPrompts)));
    shown.push(...shown.map(({ lossMask, ...picture }) => picture));
  }
  return { shown, prompts, left };
}

/**
 * How long an epoch is in which every class image comes up: as many as there are where all photos are of one size, as in
 * diffusers' scripts; longer where one size has few of the photos and many of the class images.
 */
function classEpoch(photos: readonly TrainingPhoto[], classImages: readonly ClassPicture[]): number {
  const lengths = photos.map(({ variants: [first] }) => {
    const { size } = first!;
    const peers = photos.flatMap(({ variants: [one] }, i) => (sameSize(one!.size, size) ? [i] : []));
    const last = classImages.filter((picture) => sameSize(picture.size, size)).length - 1;
    return Math.floor(last / peers.length) * photos.length + (peers.at(last % peers.length) ?? 0) + 1;
  });
  return Math.max(...lengths);
}

/** A draw from each picture's distribution. */
function drawLatents(pictures: readonly TrainingPicture[], random: Random): Float32Array {
  const elements = pictures[0]!.mean.length;
  const latents = new Float32Array(pictures.length * elements);
  const noise = random.normals(latents.length);
  pictures.forEach((picture, row) => {
    const [start, end] = [row * elements, (row + 1) * elements];
    latents.set(sampleLatents(picture, noise.subarray(start, end)), start);
  });
  return latents;
}

/** Adds `strength` times its own offset to every channel of every row, in single precision. */
export function offsetNoise(noise: Float32Array, offsets: Float32Array, strength: number): void {
  const places = noise.length / offsets.length;
  for (let i = 0; i < noise.length; i++) {
    noise[i]! += Math.fround(Math.fround(strength) * offsets[Math.floor(i / places)]!);
  }
}

function masksOf(pictures: readonly TrainingPicture[], places: number): Float32Array {
  const masks = new Float32Array(pictures.length * places).fill(1);
  pictures.forEach(({ lossMask }, row) => {
    if (lossMask) masks.set(lossMask, row * places);
  });
  return masks;
}
