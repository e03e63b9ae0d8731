/** Base models and pipelines as an engine keeps them: opened once, shared by every run. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint';
import { autoencoderFingerprint, checkpointFingerprint } from '../checkpoint/fingerprint';
import { assertFinite } from '../checkpoint/finite-weights';
import { InvalidOptionError } from '../errors';
import type { CreateSession } from '../graph/session';
import { type BaseModel, readBaseModel, tensorsOf } from '../models/base-model';
import { createSession, type LoadedGraph, type SessionOptions } from '../runtime/session';
import { createPipeline, type Pipeline, type PipelineShape } from '../sampling/pipeline';
import type { WorkContext } from './work-context';

export interface OpenedBase {
  readonly base: BaseModel;
  /** Of the checkpoint as published: what a subject is learned on. */
  readonly fingerprint: string;
  /** Of all in it, another autoencoder included: what latents and pictures were made with. */
  readonly contents: string;
  readonly defaults: BaseDefaults;
}

/** What a base recommends for itself, in `_dreambooth` of its model_index.json; else what Stable Diffusion is used with. */
export interface BaseDefaults {
  readonly preset: string;
  readonly steps: number;
  readonly guidanceScale: number;
}

/** Guidance as diffusers' pipelines have it. */
const usualOf = ({ family }: BaseModel): BaseDefaults =>
  family.addsSizes
    ? { preset: 'sdxl-lora', steps: 25, guidanceScale: 5 }
    : { preset: 'sd15-lora', steps: 25, guidanceScale: 7.5 };

/** Reads configs and locates weights, of the autoencoder at `vae` in place of its own where one is given; throws what the folder, its files and its configs are refused with. */
export function openBase(path: string, vae: string | null = null): OpenedBase {
  const folder = openCheckpoint(path, vae);
  const base = readBaseModel(folder);
  const usual = usualOf(base);
  const fingerprint = checkpointFingerprint(path);
  const own = (folder.modelIndex['_dreambooth'] ?? {}) as Record<string, unknown>;
  return {
    base,
    fingerprint,
    contents: vae === null ? fingerprint : `${fingerprint} ${autoencoderFingerprint(vae)}`,
    defaults: {
      preset: typeof own['preset'] === 'string' ? own['preset'] : usual.preset,
      steps: typeof own['num_inference_steps'] === 'number' ? own['num_inference_steps'] : usual.steps,
      guidanceScale: typeof own['guidance_scale'] === 'number' ? own['guidance_scale'] : usual.guidanceScale,
    },
  };
}

/** The side of the pictures that a base was made for, in pixels. */
export const usualSide = ({ unet, vae }: BaseModel): number => unet.config.sampleSize * vae.config.factor;

/**
 * Whether pictures of `pixels` go through the autoencoder in tiles where nobody says: above the size that it or the UNet
 * was made for, so that usual sizes have diffusers' usual numbers. Whole, memory grows with the area, and the scores of
 * the one attention with its square: an autoencoder with a quarter of Stable Diffusion's channels took 0.45 GB for 512²,
 * and for 1024² 1.6 GB, in tiles 0.66 GB.
 */
export const wantsTiles = (base: BaseModel, pixels: number): boolean =>
  pixels > Math.max(usualSide(base), base.vae.config.sampleSize) ** 2;

/** Sessions on the device and threads that the engine was told. How long those of large bases take to load is told. */
export function sessionsOf(
  { device, threads, home, onTimed }: WorkContext,
  purpose: SessionOptions = {},
): CreateSession {
  const graphCache = join(home.cache, 'graphs');
  // A builder builds its graph between being given this and calling it, or between two calls.
  let begun = performance.now();
  return async (outputs) => {
    const graph = graphNames.find(([output]) => output in outputs)?.[1] ?? 'graph';
    const built = (performance.now() - begun) / 1000;
    const onLoaded = ({ seconds, cached, weights }: LoadedGraph) => {
      if (weights !== 'mapped') return;
      onTimed(`${graph} built`, built);
      onTimed(`${graph} ${cached ? 'loaded as optimised before' : 'optimised and loaded'}`, seconds);
    };
    const options = { ...purpose, device, graphCache, onLoaded, ...(threads === null ? {} : { threads }) };
    const session = await createSession(outputs, options);
    begun = performance.now();
    return session;
  };
}

/** What a graph is, by one of its outputs. */
const graphNames = [
  ['loss', 'training graph'],
  ['output', 'UNet'],
  ['textEmbeddings', 'text encoders'],
  ['picture', 'decoder'],
  ['mean', 'encoder'],
] as const;

/**
 * A pipeline, kept loaded. `weights` names what of the base was exchanged (a fully trained subject), if anything.
 * `beforeLoading` is called unless it is resident.
 */
export function loadPipeline(
  context: WorkContext,
  { base, contents }: OpenedBase,
  weights: string,
  shape: PipelineShape,
  beforeLoading: () => Promise<void> = async () => {},
): Promise<Pipeline> {
  const what = JSON.stringify([contents, weights, shape, context.device, context.threads]);
  const key = `pipeline ${createHash('sha256').update(what).digest('hex')}`;
  return context.loadedModels.get(key, async () => {
    await beforeLoading();
    checkWeights(base);
    return createPipeline(base, shape, sessionsOf(context));
  });
}

/** Throws NonFiniteWeightError before a NaN becomes a black picture or a lost training. About a second a gigabyte. */
export function checkWeights(base: BaseModel): void {
  for (const component of [...base.family.textEncoders, 'unet', 'vae'] as const) {
    assertFinite([...tensorsOf(base, component)].map(([key, stored]) => [`${component}.${key}`, stored]));
  }
}

/**
 * Latents' height and width for a picture, which is given by both sides or as a square of `resolution`.
 * Throws InvalidOptionError for a size that the base cannot make.
 */
export function latentSize(
  base: BaseModel,
  picture: { readonly width: number; readonly height: number } | { readonly resolution: number },
): [number, number] {
  const { factor } = base.vae.config;
  for (const [name, value] of Object.entries(picture)) {
    if (value % factor !== 0) {
      const near = Math.max(factor, Math.round(value / factor) * factor);
      throw new InvalidOptionError(
        name,
        `${name} is ${value}; this base makes multiples of ${factor} pixels: ${near} is the nearest.`,
      );
    }
  }
  const { width, height } =
    'resolution' in picture ? { width: picture.resolution, height: picture.resolution } : picture;
  return [height / factor, width / factor];
}
