/** What a model is to say of a noised picture, and how much each amount of noise counts. */
import { InvalidOptionError } from '../errors';
import { createNoiseSchedule, type NoiseSchedule } from '../schedulers/noise-schedule';
import type { SchedulerConfig } from '../schedulers/scheduler-config';
import { withZeroTerminalSnr } from '../schedulers/zero-terminal-snr';

/**
 * The checkpoint's own schedule, or that with zero terminal SNR. Throws InvalidOptionError for the latter where the
 * model predicts noise: of noise alone it would only be asked to repeat it, and sampling would divide by √ᾱ = 0.
 */
export function trainingNoises(config: SchedulerConfig, zeroTerminalSnr: boolean): NoiseSchedule {
  const noises = createNoiseSchedule(zeroTerminalSnr ? withZeroTerminalSnr(config) : config);
  if (zeroTerminalSnr && noises.predictionType === 'epsilon') {
    throw new InvalidOptionError(
      'zeroTerminalSnr',
      'zeroTerminalSnr is true, but this base predicts noise (epsilon): a picture that is noise alone teaches it nothing. Leave the setting out, or take a base with prediction_type v_prediction.',
    );
  }
  return noises;
}

/** What the model is to say, by the checkpoint's prediction type. */
export function targetOf(
  noises: NoiseSchedule,
  latents: Float32Array,
  noise: Float32Array,
  timestep: number,
): Float32Array {
  if (noises.predictionType === 'v_prediction') return noises.velocity(latents, noise, timestep);
  return noises.predictionType === 'sample' ? latents : noise;
}

/**
 * Min-SNR-γ (Hang et al. 2023, §3.4): min(snr, γ) for the picture, over snr for noise, over snr + 1 for velocity; γ 0: 1.
 * For noise that is min(1, γ/snr), which is 1 where nothing is left of the picture; velocity weighs 0 there.
 */
export function snrWeight(noises: NoiseSchedule, timestep: number, gamma: number): number {
  if (gamma === 0) return 1;
  const snr = noises.snr(timestep);
  const clipped = Math.min(snr, gamma);
  if (noises.predictionType === 'v_prediction') return clipped / (snr + 1);
  if (noises.predictionType === 'sample') return clipped;
  return snr === 0 ? 1 : clipped / snr;
}
