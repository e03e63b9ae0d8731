/** Keeping predictions of x₀ within what pictures can be; for models of pixels, since latents have no such bounds. */
import { clamp } from './linear-combination';
import type { ConfigReader } from './scheduler-config';

/** x₀ as predicted, of all pictures one after the other, to x₀ within bounds. */
type Bound = (original: Float32Array) => Float32Array;

/** `thresholding` where the config asks for it, else `clip_sample`: x₀ held within ±`clip_sample_range`. */
export function boundedOriginal(read: ConfigReader, pictures: number, clipsByDefault: boolean): Bound {
  if (read.flag('thresholding', false)) return thresholded(read, pictures);
  return clipped(read, clipsByDefault);
}

export function clipped(read: ConfigReader, byDefault: boolean): Bound {
  if (!read.flag('clip_sample', byDefault)) return (original) => original;
  const range = read.number('clip_sample_range', 1);
  return (original) => clamp(original, range);
}

/**
 * Dynamic thresholding (Saharia et al. 2022, §2.3): with s the size that a certain share of a picture's values stay
 * below, but at least 1, x₀ is held within ±s and divided by s.
 */
export function thresholded(read: ConfigReader, pictures: number): Bound {
  if (!read.flag('thresholding', false)) return (original) => original;
  const share = read.number('dynamic_thresholding_ratio', 0.995);
  const largest = read.number('sample_max_value', 1);
  return (original) => {
    const size = original.length / pictures;
    const bounded = new Float32Array(original.length);
    for (let at = 0; at < original.length; at += size) {
      const picture = original.subarray(at, at + size);
      const s = Math.min(largest, Math.max(1, quantile(picture.map(Math.abs), share)));
      bounded.set(
        clamp(picture, s).map((value) => value / s),
        at,
      );
    }
    return bounded;
  };
}

/** The value below which `share` of `values` lie, linear between the two nearest. */
function quantile(values: Float32Array, share: number): number {
  const sorted = values.toSorted();
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (position - below);
}
