/** Runs a sampler on the formula that stood in for the network when the reference values were made. */
import type { DrawNoise, Scheduler } from '../../sdk/schedulers/scheduler';

/** tanh(x)·0.7 + 0.1·sin(timestep/100)·x in float32, x being the scaled model input. */
const formula = (x: Float32Array, timestep: number): Float32Array =>
  x.map((value) => Math.tanh(value) * 0.7 + 0.1 * Math.sin(timestep / 100) * value);

/** The sample after every evaluation, one after the other. */
export function trajectory(scheduler: Scheduler, initial: Float32Array, drawNoise: DrawNoise): Float32Array {
  let sample = initial;
  const samples = scheduler.timesteps.map((timestep, index) => {
    const output = formula(scheduler.scaleModelInput(sample, index), timestep);
    sample = scheduler.step(output, index, sample, drawNoise);
    return sample;
  });
  return concatenate(samples);
}

/** Hands out `noise` piece by piece, as the reference drew it. */
export function replay(noise: Float32Array | undefined): DrawNoise & { readonly left: () => number } {
  let at = 0;
  const draw = (length: number) => {
    if (!noise || at + length > noise.length) throw new Error('the reference drew no more noise');
    at += length;
    return noise.subarray(at - length, at);
  };
  return Object.assign(draw, { left: () => (noise?.length ?? 0) - at });
}

/** The largest difference as a share of the largest absolute value of `reference`. */
export function relativeError(ours: ArrayLike<number>, reference: ArrayLike<number>): number {
  if (ours.length !== reference.length) return Infinity;
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < reference.length; i++) {
    const apart = Math.abs(ours[i]! - reference[i]!);
    if (Number.isNaN(apart)) return Infinity;
    difference = Math.max(difference, apart);
    largest = Math.max(largest, Math.abs(reference[i]!));
  }
  return largest === 0 ? difference : difference / largest;
}

function concatenate(arrays: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(arrays.reduce((total, array) => total + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}
