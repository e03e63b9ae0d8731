/** Text encoder, denoiser and decoder together: prompts and seeds in, pictures out. */
import type { CreateSession } from '../graph/session';
import type { WeightedLora } from '../lora/lora-weights';
import type { BaseModel } from '../models/base-model';
import type { PromptCondition, PromptTokens } from '../models/text-condition';
import { createRandom } from '../random';
import { createScheduler, type SchedulerName } from '../schedulers/index';
import { createDecoder } from './autoencoder';
import { denoise } from './denoise';
import { createDenoiser, type DenoiserShape } from './denoiser';
import { createTextEncoder, pathsIn } from './text-encoder';

export interface PipelineShape extends DenoiserShape {
  /** Layers that may carry a LoRA, as `unet.PATH` and `text_encoder.PATH`. */
  readonly loraPaths: readonly string[];
}

export interface Drawing {
  /** Of one picture each; as many as the pipeline's `pictures`. */
  readonly prompts: readonly PromptTokens[];
  /** Null: none. */
  readonly negativePrompt: PromptTokens | null;
  /** One each: a picture's noise comes from its own seed alone. */
  readonly seeds: readonly number[];
  readonly scheduler: SchedulerName;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly loras: readonly WeightedLora[];
  readonly onStep?: (done: number, of: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Pipeline {
  /** Pictures [3, H, W] in about [−1, 1], in the order of the seeds. */
  draw(drawing: Drawing): Promise<Float32Array[]>;
  release(): Promise<void>;
}

export async function createPipeline(
  base: BaseModel,
  shape: PipelineShape,
  createSession: CreateSession,
): Promise<Pipeline> {
  const textEncoder = await createTextEncoder(base, shape.loraPaths, createSession);
  const denoiser = await createDenoiser(base, shape, pathsIn('unet', shape.loraPaths), createSession);
  const decoder = await createDecoder(base, shape.size, createSession);
  // An inpainting UNet takes more channels than a picture has latents; noise is drawn for the latents alone.
  const elements = base.vae.config.latentChannels * shape.size[0] * shape.size[1];
  return {
    async draw({ prompts, negativePrompt, seeds, scheduler, steps, guidanceScale, loras, onStep, signal }) {
      const known = new Map<string, PromptCondition>();
      const encode = async (prompt: PromptTokens | null) => {
        const key = prompt ? prompt.map((ids) => ids.join()).join(' ') : 'none';
        const condition = known.get(key) ?? (await textEncoder.encode([prompt], loras))[0]!;
        known.set(key, condition);
        return condition;
      };
      const lines: PromptCondition[] = [];
      for (const prompt of prompts) lines.push(await encode(prompt));
      const negative = shape.guided ? await encode(negativePrompt) : undefined;
      const predict = denoiser.under({
        prompts: lines,
        negativePrompts: negative ? lines.map(() => negative) : [],
        guidanceScale,
        loras,
      });
      const randoms = seeds.map((seed) => createRandom(seed));
      const draw = () => {
        const noise = new Float32Array(elements * randoms.length);
        randoms.forEach((random, i) => {
          noise.set(random.normals(elements), i * elements);
        });
        return noise;
      };
      const stepper = createScheduler(scheduler, base.schedulerConfig, steps, randoms.length);
      const latents = await denoise({
        scheduler: stepper,
        noise: draw(),
        drawNoise: draw,
        predict,
        ...(onStep ? { onStep: (done: number) => onStep(done, stepper.timesteps.length) } : {}),
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
    },
  };
}
