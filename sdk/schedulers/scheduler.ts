/** What every sampler is to the denoising loop. */
import { InvalidOptionError } from '../errors';
import type { NoiseLevel } from './prediction';
import type { SchedulerConfig } from './scheduler-config';

/** Unit-normal noise of the given length; `random.normals` is one. Called in the order of the steps. */
export type DrawNoise = (length: number) => Float32Array;

/**
 * One denoising run. The loop:
 *
 *     latents = noise · initialNoiseScale
 *     for index, timestep of timesteps:
 *       output = model(scaleModelInput(latents, index), timestep)
 *       latents = step(output, index, latents, random.normals)
 *
 * A run may begin at a later index, from a picture with as much noise as `level` says (denoise.ts). Multistep samplers
 * remember earlier outputs, so steps are made in order and each run has its own scheduler.
 */
export interface Scheduler {
  /** What the model is told at each evaluation; fractional for the Euler family. Some samplers evaluate more
   * often than the number of steps asked for. */
  readonly timesteps: readonly number[];
  /** Noise per unit of signal at each evaluation and after the last; absent where a sampler has no such table. */
  readonly sigmas?: readonly number[];
  /** Evaluations that a step takes, all but a first or last: 2 for Heun's method, else 1 (diffusers' `order`). */
  readonly order: 1 | 2;
  /** Standard deviation of the latents that the first step expects. */
  readonly initialNoiseScale: number;
  /** How much of the picture and how much noise the sample of evaluation `index` holds. */
  level(index: number): NoiseLevel;
  /** The sample as the network is to see it. */
  scaleModelInput(sample: Float32Array, index: number): Float32Array;
  /** The sample after evaluation `index`, a new array. Deterministic samplers never call `drawNoise`. */
  step(modelOutput: Float32Array, index: number, sample: Float32Array, drawNoise: DrawNoise): Float32Array;
}

/**
 * Creates a sampler with its steps from a scheduler_config.json of any class: keys the sampler knows are
 * honoured, missing ones have diffusers' defaults. `pictures`: how many of one size a sample holds, one after the other;
 * default 1.
 * @throws UnsupportedConfigError for a value that changes the result and is not implemented,
 *   InvalidOptionError for a number of steps the schedule cannot make.
 */
export type CreateScheduler = (config: SchedulerConfig, steps: number, pictures?: number) => Scheduler;

/** Refuses a number of steps that is not an integer from 1 to `largest`. */
export function checkSteps(steps: number, largest: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > largest)
    throw new InvalidOptionError(
      'steps',
      `steps is ${steps}: this sampler makes 1 to ${largest} steps; pass an integer in that range`,
    );
}

/** For samplers whose samples are variance-preserving: the network sees them as they are. */
export const unscaled = (sample: Float32Array): Float32Array => sample;
