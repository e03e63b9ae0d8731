import { clamp } from './linear-combination';
import type { ConfigReader } from './scheduler-config';

/** `clip_sample`: x₀ held within ±`clip_sample_range`, for models of pixels; latents have no such bounds. */
export function clipped(read: ConfigReader, byDefault: boolean): (original: Float32Array) => Float32Array {
  if (!read.flag('clip_sample', byDefault)) return (original) => original;
  const range = read.number('clip_sample_range', 1);
  return (original) => clamp(original, range);
}
