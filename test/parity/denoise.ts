/** The package's own sampling, with every number that it would draw handed to it. */
import type { LoraLayers } from '../../sdk/lora/lora-layers';
import type { BaseModel } from '../../sdk/models/base-model';
import { tokenizePrompt } from '../../sdk/models/text-condition';
import { createSession } from '../../sdk/runtime/session';
import { createDecoder } from '../../sdk/sampling/autoencoder';
import { denoise } from '../../sdk/sampling/denoise';
import { createDenoiser, type Denoiser, type DenoiserShape } from '../../sdk/sampling/denoiser';
import { createTextEncoder, pathsIn } from '../../sdk/sampling/text-encoder';
import type { DrawNoise, Scheduler } from '../../sdk/schedulers/scheduler';
import type { Tensor } from '../../sdk/tensor';
import { numbersOf } from './checkpoint';

export interface SamplingRun {
  readonly prompts: readonly string[];
  /** Null: none. */
  readonly negativePrompts: readonly (string | null)[];
  /** Unit normal, [N, C, h, w]: one picture a prompt. */
  readonly latents: Tensor;
  /** Above 1, every step evaluates the model with and without the prompt (Ho & Salimans 2022). */
  readonly guidanceScale: number;
  readonly scheduler: Scheduler;
  readonly drawNoise: DrawNoise;
  readonly lora?: { readonly layers: LoraLayers; readonly scale: number };
}

export type Sampler = Awaited<ReturnType<typeof createSampler>>;

/** Loads a base model once, for all runs; `layers` are those that may carry a LoRA. */
export async function createSampler(base: BaseModel, layers: Iterable<string> = []) {
  const names = [...layers];
  const textEncoder = await createTextEncoder(base, { loraPaths: names }, createSession);
  const denoisers = new Map<string, Promise<Denoiser>>();
  const denoiserFor = (shape: DenoiserShape) => {
    const key = JSON.stringify(shape);
    const known = denoisers.get(key) ?? createDenoiser(base, shape, pathsIn('unet', names), createSession);
    denoisers.set(key, known);
    return known;
  };
  return {
    /** Final latents, as the scheduler leaves them. */
    async sample({
      latents,
      scheduler,
      drawNoise,
      guidanceScale,
      lora,
      ...texts
    }: SamplingRun): Promise<Float32Array> {
      const loras = lora ? [{ layers: lora.layers, weight: lora.scale }] : [];
      const encode = (prompts: readonly (string | null)[]) =>
        textEncoder.encode(
          prompts.map((prompt) => (prompt === null ? null : [tokenizePrompt(base, prompt).tokens])),
          { loras },
        );
      const [pictures, , ...size] = latents.shape as [number, number, number, number];
      const denoiser = await denoiserFor({ pictures, size, guided: guidanceScale > 1 });
      const predict = denoiser.under({
        prompts: await encode(texts.prompts),
        negativePrompts: await encode(texts.negativePrompts),
        guidanceScale,
        loras,
      });
      return denoise({ scheduler, noise: numbersOf(latents), drawNoise, predict });
    },
    async release() {
      await textEncoder.release();
      for (const denoiser of denoisers.values()) await (await denoiser).release();
    },
  };
}

/** Pictures in [0, 1], [N, H, W, channels], of latents [N, C, h, w] as the UNet sees them. */
export async function decodePictures(base: BaseModel, latents: Tensor): Promise<Float32Array> {
  const [count, , ...size] = latents.shape as [number, number, number, number];
  const decoder = await createDecoder(base, size, createSession);
  const length = latents.data.length / count;
  const pictures: number[] = [];
  for (let i = 0; i < count; i++) {
    const planes = await decoder.decode(numbersOf(latents).slice(i * length, (i + 1) * length));
    const channels = base.vae.config.pictureChannels;
    const pixels = planes.length / channels;
    for (let at = 0; at < planes.length; at++) {
      const value = planes[(at % channels) * pixels + Math.floor(at / channels)]!;
      pictures.push(Math.min(1, Math.max(0, value / 2 + 0.5)));
    }
  }
  await decoder.release();
  return Float32Array.from(pictures);
}
