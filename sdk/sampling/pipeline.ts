/** Text encoder, denoiser and autoencoder together: prompts, seeds and perhaps a photo in, pictures out. */
import type { CreateSession } from '../graph/session';
import type { WeightedLora } from '../lora/lora-weights';
import type { BaseModel } from '../models/base-model';
import { type LatentDistribution, sampleLatents, scaleLatents } from '../models/latents';
import type { PromptChunks, PromptCondition } from '../models/text-condition';
import { createRandom, type Random } from '../random';
import { createScheduler, type SchedulerName } from '../schedulers/index';
import { withZeroTerminalSnr } from '../schedulers/zero-terminal-snr';
import { createDecoder, createEncoder, type Encoder } from './autoencoder';
import { denoise } from './denoise';
import { createDenoiser, type DenoiserShape } from './denoiser';
import { type EncodedPhoto, encodePhoto, type Photo, type PhotoUse, photoRun } from './photo';
import { createTextEncoder, pathsIn, type TextEncoderShape, type TokenEmbedding } from './text-encoder';

/** `loraPaths` has those of the UNet, too, as `unet.PATH`. */
export interface PipelineShape extends DenoiserShape, TextEncoderShape {
  /** Whether pictures are encoded and decoded in tiles. */
  readonly tiled?: boolean;
}

export interface Drawing {
  /** Of one picture each; as many as the pipeline's `pictures`. None has more than the pipeline's `chunks`. */
  readonly prompts: readonly PromptChunks[];
  /** Null: none. */
  readonly negativePrompt: PromptChunks | null;
  /** One each: a picture's noise comes from its own seed alone. */
  readonly seeds: readonly number[];
  readonly scheduler: SchedulerName;
  readonly steps: number;
  /** Whether the noise is that of a subject learned so, not the checkpoint's. */
  readonly zeroTerminalSnr?: boolean;
  readonly guidanceScale: number;
  /** 0 to 1; only where the pipeline's shape says `rescaled`. */
  readonly guidanceRescale?: number;
  /** A photo to begin from, and by how much it changes: above 0 to 1. */
  readonly photo?: Pick<PhotoUse, 'photo' | 'strength'>;
  readonly loras: readonly WeightedLora[];
  /** Those that the prompts were tokenized with, in that order; default: none. */
  readonly embeddings?: readonly TokenEmbedding[];
  readonly onStep?: (done: number, of: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Pipeline {
  /** For `draw`. The autoencoder's encoder is loaded at the first call. */
  encode(photo: Photo): Promise<EncodedPhoto>;
  /** Pictures [3, H, W] in about [−1, 1], in the order of the seeds. */
  draw(drawing: Drawing): Promise<Float32Array[]>;
  release(): Promise<void>;
}

/** `random` gives each seed its numbers: of a picture first its noise, then its photo's, then what the sampler draws. */
export async function createPipeline(
  base: BaseModel,
  shape: PipelineShape,
  createSession: CreateSession,
  random: (seed: number) => Pick<Random, 'normals'> = createRandom,
): Promise<Pipeline> {
  const textEncoder = await createTextEncoder(base, shape, createSession);
  const denoiser = await orRelease([textEncoder], () =>
    createDenoiser(base, shape, pathsIn('unet', shape.loraPaths), createSession),
  );
  const decoder = await orRelease([textEncoder, denoiser], () =>
    createDecoder(base, shape.size, createSession, shape.tiled),
  );
  const { config } = base.vae;
  const [height, width] = shape.size.map((side) => side * config.factor) as [number, number];
  const places = shape.size[0] * shape.size[1];
  const elements = config.latentChannels * places;
  let encoder: Encoder | undefined;
  return {
    async encode(photo) {
      encoder ??= await createEncoder(base, height, width, createSession, shape.tiled);
      return encodePhoto(base, encoder, photo, width);
    },
    async draw(drawing) {
      const { prompts, negativePrompt, seeds, scheduler, steps, loras, photo, onStep, signal } = drawing;
      const { guidanceScale, guidanceRescale } = drawing;
      const options = { loras, embeddings: drawing.embeddings ?? [], chunks: shape.chunks ?? 1 };
      const known = new Map<string, PromptCondition>();
      const lines: PromptCondition[] = [];
      for (const prompt of prompts) {
        const key = prompt.map((tokens) => tokens.join()).join();
        const line = known.get(key) ?? (await textEncoder.encode([prompt], options))[0]!;
        known.set(key, line);
        lines.push(line);
      }
      const negative = shape.guided
        ? (await textEncoder.encode([negativePrompt], { ...options, negative: true }))[0]!
        : undefined;
      const randoms = seeds.map(random);
      const draw = () => {
        const noise = new Float32Array(elements * randoms.length);
        randoms.forEach((random, i) => {
          noise.set(random.normals(elements), i * elements);
        });
        return noise;
      };
      const noise = draw();
      const stepper = createScheduler(
        scheduler,
        drawing.zeroTerminalSnr ? withZeroTerminalSnr(base.schedulerConfig) : base.schedulerConfig,
        steps,
        randoms.length,
      );
      const sample = (distribution: LatentDistribution) => {
        const each = draw();
        for (let at = 0; at < each.length; at += elements) {
          const latents = sampleLatents(distribution, each.subarray(at, at + elements));
          each.set(scaleLatents(config, latents, places), at);
        }
        return each;
      };
      const { masked, ...photoParts } = photo
        ? photoRun({ ...photo, scheduler: stepper, steps, pictures: seeds.length, sample })
        : {};
      const predict = denoiser.under({
        prompts: lines,
        negativePrompts: negative ? lines.map(() => negative) : [],
        guidanceScale,
        loras,
        ...(guidanceRescale === undefined ? {} : { guidanceRescale }),
        ...(masked ? { masked } : {}),
      });
      const latents = await denoise({
        scheduler: stepper,
        noise,
        ...photoParts,
        drawNoise: draw,
        predict,
        ...(onStep ? { onStep } : {}),
        ...(signal ? { signal } : {}),
      });
      const pictures: Float32Array[] = [];
      for (let i = 0; i < randoms.length; i++) {
        pictures.push(await decoder.decode(latents.subarray(i * elements, (i + 1) * elements)));
      }
      return pictures;
    },
    async release() {
      await textEncoder.release();
      await denoiser.release();
      await decoder.release();
      await encoder?.release();
    },
  };
}

/** What `load` gives; where it fails, what was loaded before it is let go of. */
async function orRelease<Loaded>(
  before: readonly { release(): Promise<void> }[],
  load: () => Promise<Loaded>,
): Promise<Loaded> {
  try {
    return await load();
  } catch (error) {
    for (const one of before) await one.release();
    throw error;
  }
}
