/** The denoising loop: noise, or a picture with noise on it, to latents, a step of the scheduler at a time. */
import { InvalidOptionError } from '../errors';
import { linearCombination } from '../schedulers/linear-combination';
import type { DrawNoise, Scheduler } from '../schedulers/scheduler';

export interface DenoisingRun {
  readonly scheduler: Scheduler;
  /** Unit-normal noise of the latents' size: the picture in the making. */
  readonly noise: Float32Array;
  /** A picture to begin from with `noise` on it, rather than from noise alone (Meng et al. 2021, SDEdit). */
  readonly begin?: {
    /** As the UNet sees them. */
    readonly latents: Float32Array;
    /** The evaluation to begin at, see `firstEvaluation`. */
    readonly index: number;
  };
  /** A picture that is put back after each evaluation, as noisy as the rest is then (Lugmayr et al. 2022, RePaint). */
  readonly keep?: {
    readonly latents: Float32Array;
    /** 1 where something new is drawn, 0 where the picture stays; of the latents' length. */
    readonly mask: Float32Array;
  };
  /** What stochastic schedulers add on the way. */
  readonly drawNoise: DrawNoise;
  predict(sample: Float32Array, timestep: number): Promise<Float32Array>;
  /** After each of `of` evaluations. */
  readonly onStep?: (done: number, of: number) => void;
  readonly signal?: AbortSignal;
}

/** Latents as the UNet sees them. Throws the signal's reason when it is aborted between two steps. */
export async function denoise(run: DenoisingRun): Promise<Float32Array> {
  const { scheduler, noise, begin, keep } = run;
  const { timesteps } = scheduler;
  const withNoise = (latents: Float32Array, index: number) => {
    const { alpha, sigma } = scheduler.level(index);
    return linearCombination([alpha, latents], [sigma, noise]);
  };
  const first = begin?.index ?? 0;
  let latents = begin ? withNoise(begin.latents, first) : noise.map((x) => x * scheduler.initialNoiseScale);
  for (let index = first; index < timesteps.length; index++) {
    run.signal?.throwIfAborted();
    const output = await run.predict(scheduler.scaleModelInput(latents, index), timesteps[index]!);
    latents = scheduler.step(output, index, latents, run.drawNoise) as Float32Array<ArrayBuffer>;
    if (keep) {
      const kept = index + 1 < timesteps.length ? withNoise(keep.latents, index + 1) : keep.latents;
      latents = latents.map((x, i) => (1 - keep.mask[i]!) * kept[i]! + keep.mask[i]! * x);
    }
    run.onStep?.(index + 1 - first, timesteps.length - first);
  }
  return latents;
}

/**
 * The evaluation that a run begins at which is to change a picture by `strength`, above 0 to 1: of `steps` steps the
 * last ⌊steps · strength⌋ are taken. Throws InvalidOptionError for another strength, or where that is none.
 */
export function firstEvaluation({ order }: Scheduler, steps: number, strength: number): number {
  if (!(strength > 0 && strength <= 1))
    throw new InvalidOptionError(
      'strength',
      `strength is ${strength}: give a number above 0 (the photo as it is) and up to 1 (almost nothing of it left); 0.6 is usual.`,
    );
  const taken = Math.trunc(steps * strength);
  if (taken === 0)
    throw new InvalidOptionError(
      'strength',
      `strength ${strength} of ${steps} steps is less than one step: give at least ${1 / steps}, or more steps.`,
    );
  return (steps - taken) * order;
}
