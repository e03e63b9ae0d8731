/** The denoising loop: noise to latents, a step of the scheduler at a time. */
import type { DrawNoise, Scheduler } from '../schedulers/scheduler';

export interface DenoisingRun {
  readonly scheduler: Scheduler;
  /** Unit-normal noise of the latents' size: the picture in the making. */
  readonly noise: Float32Array;
  /** What stochastic schedulers add on the way. */
  readonly drawNoise: DrawNoise;
  predict(sample: Float32Array, timestep: number): Promise<Float32Array>;
  /** After each evaluation, 1 … `scheduler.timesteps.length`. */
  readonly onStep?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/** Latents as the UNet sees them. Throws the signal's reason when it is aborted between two steps. */
export async function denoise(run: DenoisingRun): Promise<Float32Array> {
  const { scheduler } = run;
  let latents = run.noise.map((x) => x * scheduler.initialNoiseScale);
  for (const [index, timestep] of scheduler.timesteps.entries()) {
    run.signal?.throwIfAborted();
    const output = await run.predict(scheduler.scaleModelInput(latents, index), timestep);
    latents = scheduler.step(output, index, latents, run.drawNoise) as Float32Array<ArrayBuffer>;
    run.onStep?.(index + 1);
  }
  return latents;
}
