/** A photo to draw from (image to image) or into (inpainting), to the numbers of diffusers' pipelines of these names. */
import { type BaseModel, inpaints } from '../models/base-model';
import type { LatentDistribution } from '../models/latents';
import type { Scheduler } from '../schedulers/scheduler';
import type { Encoder } from './autoencoder';
import { type DenoisingRun, firstEvaluation } from './denoise';

/** Of the size that is drawn. */
export interface Photo {
  /** [3, H, W] in [−1, 1] */
  readonly planes: Float32Array;
  /** [H, W]: 1 where something new is drawn, 0 where the photo stays. Absent: all of it may change. */
  readonly mask?: Float32Array;
}

export interface EncodedPhoto {
  readonly latents: LatentDistribution;
  /** [h, w] */
  readonly mask?: Float32Array;
  /** Of the photo with grey in place of what is drawn anew, where the UNet inpaints. */
  readonly masked?: LatentDistribution;
}

/** `width` is the photo's. */
export async function encodePhoto(
  base: BaseModel,
  { encode }: Encoder,
  { planes, mask }: Photo,
  width: number,
): Promise<EncodedPhoto> {
  const latents = await encode(planes);
  if (!mask) return { latents };
  const small = everyNth(mask, width, base.vae.config.factor);
  if (!inpaints(base)) return { latents, mask: small };
  const rest = planes.map((value, i) => (mask[i % mask.length]! < 0.5 ? value : 0));
  return { latents, mask: small, masked: await encode(rest) };
}

/** Every `step`th row and column of [H, W]: PyTorch's `nearest`. */
function everyNth(values: Float32Array, width: number, step: number): Float32Array {
  const columns = width / step;
  return Float32Array.from({ length: values.length / step ** 2 }, (_, i) => {
    const row = Math.floor(i / columns);
    return values[(row * width + (i % columns)) * step]!;
  });
}

export interface PhotoUse {
  readonly photo: EncodedPhoto;
  /** By how much it changes where it may, above 0 to 1. */
  readonly strength: number;
  readonly scheduler: Scheduler;
  readonly steps: number;
  readonly pictures: number;
  /** Latents of each picture, as the UNet sees them, one after another. */
  readonly sample: (distribution: LatentDistribution) => Float32Array;
}

/**
 * What of a run follows from the photo. A UNet that inpaints is shown the masked photo (`masked`, see `Conditions`); with
 * any other the photo is put back around what is drawn. At strength 1 what is drawn into a mask begins from noise alone.
 */
export function photoRun(
  use: PhotoUse,
): Pick<DenoisingRun, 'begin' | 'keep'> & { readonly masked?: Float32Array } {
  const { photo, strength, scheduler, steps, pictures, sample } = use;
  const index = firstEvaluation(scheduler, steps, strength);
  const { mask, masked } = photo;
  if (!mask) return { begin: { latents: sample(photo.latents), index } };
  const begins = strength < 1;
  const latents = begins || !masked ? sample(photo.latents) : undefined;
  const begin = begins && latents ? { begin: { latents, index } } : {};
  if (!masked && latents)
    return { ...begin, keep: { latents, mask: latents.map((_, i) => mask[i % mask.length]!) } };
  return masked ? { ...begin, masked: maskedRows(mask, sample(masked), pictures) } : begin;
}

/** Of each picture the mask, then the masked photo's latents. */
function maskedRows(mask: Float32Array, latents: Float32Array, pictures: number): Float32Array {
  const each = latents.length / pictures;
  const rows = new Float32Array(pictures * mask.length + latents.length);
  for (let i = 0; i < pictures; i++) {
    const at = i * (mask.length + each);
    rows.set(mask, at);
    rows.set(latents.subarray(i * each, (i + 1) * each), at + mask.length);
  }
  return rows;
}
