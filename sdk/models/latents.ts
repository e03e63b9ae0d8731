/** Latents as the autoencoder makes them and as the UNet sees them. */
import type { AutoencoderConfig } from './autoencoder-kl';

/** An autoencoder's word on a picture: unscaled latents are normal with this mean and log variance, each [channels, h, w]. */
export interface LatentDistribution {
  readonly mean: Float32Array;
  readonly logvar: Float32Array;
}

/** Unscaled latents, drawn with unit-normal `noise` of their length. */
export function sampleLatents({ mean, logvar }: LatentDistribution, noise: Float32Array): Float32Array {
  return mean.map((center, i) => {
    const deviation = Math.exp(0.5 * Math.min(Math.max(logvar[i]!, -30), 20));
    return center + deviation * noise[i]!;
  });
}

/** z · scale, or by channel (z − mean) · scale / std. `latents` is [N, channels, h, w], h·w = `places`. */
export const scaleLatents = (
  config: AutoencoderConfig,
  latents: Float32Array,
  places: number,
): Float32Array =>
  byChannel(config, latents, places, (z, mean, std) => ((z - mean) * config.scalingFactor) / std);

/** The inverse of `scaleLatents`. */
export const unscaleLatents = (
  config: AutoencoderConfig,
  latents: Float32Array,
  places: number,
): Float32Array =>
  byChannel(config, latents, places, (z, mean, std) => (z * std) / config.scalingFactor + mean);

function byChannel(
  { latentChannels, latentsMean, latentsStd }: AutoencoderConfig,
  latents: Float32Array,
  places: number,
  each: (z: number, mean: number, std: number) => number,
): Float32Array {
  return latents.map((z, i) => {
    const channel = Math.floor(i / places) % latentChannels;
    return each(z, latentsMean?.[channel] ?? 0, latentsStd?.[channel] ?? 1);
  });
}
