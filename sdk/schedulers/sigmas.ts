/** Noise levels as σ = noise per unit of signal, and the tables of them that samplers step through. */
import { UnsupportedConfigError } from '../errors';
import type { NoiseSchedule } from './noise-schedule';
import type { NoiseLevel } from './prediction';
import type { ConfigReader } from './scheduler-config';
import { linspace } from './timesteps';

/**
 * σ where a schedule with zero terminal SNR has no signal at all: diffusers takes ᾱ = 2⁻²⁴ there, of which its
 * float32 makes this.
 */
const noSignalSigma = 2 ** 12;

/** σ_t = √((1−ᾱ_t)/ᾱ_t) for every training timestep, rising. */
export const trainingSigmas = (schedule: NoiseSchedule): Float32Array =>
  schedule.alphasCumprod.map((alphaCumprod) =>
    alphaCumprod === 0 ? noSignalSigma : Math.sqrt(Math.fround(Math.fround(1 - alphaCumprod) / alphaCumprod)),
  );

/** σ at timesteps that may be fractional, by linear interpolation. */
export function sigmasAt(sigmas: Float32Array, timesteps: readonly number[]): number[] {
  const last = sigmas.length - 1;
  return timesteps.map((timestep) => {
    const low = Math.min(Math.max(Math.floor(timestep), 0), last);
    if (timestep <= 0 || low === last) return sigmas[low]!;
    return (sigmas[low + 1]! - sigmas[low]!) * (timestep - low) + sigmas[low]!;
  });
}

/** The timestep, fractional, that holds `sigma`: linear in log σ between its neighbours in the training table. */
export function timestepOf(sigma: number, sigmas: Float32Array): number {
  const logSigma = Math.log(Math.max(sigma, 1e-10));
  const logSigmas = sigmas.map((one) => Math.log(one));
  let low = 0;
  while (low < sigmas.length - 2 && logSigmas[low + 1]! <= logSigma) low++;
  const [below, above] = [logSigmas[low]!, logSigmas[low + 1]!];
  const weight = Math.min(1, Math.max(0, (below - logSigma) / (below - above)));
  return (1 - weight) * low + weight * (low + 1);
}

/** Karras et al. 2022, equation 5, with ρ = 7: dense at low noise. */
export function karrasSigmas(sigmaMax: number, sigmaMin: number, steps: number): number[] {
  const rho = 7;
  const [max, min] = [sigmaMax ** (1 / rho), sigmaMin ** (1 / rho)];
  return linspace(0, 1, steps).map((ramp) => (max + ramp * (min - max)) ** rho);
}

/** Even in log σ. */
export const exponentialSigmas = (sigmaMax: number, sigmaMin: number, steps: number): number[] =>
  linspace(Math.log(sigmaMax), Math.log(sigmaMin), steps).map(Math.exp);

export type SigmaSpacing = 'timesteps' | 'karras' | 'exponential';

/** How the config spaces its sigmas; `timesteps`: where the timesteps lie. */
export function sigmaSpacing(component: string, read: ConfigReader): SigmaSpacing {
  read.only(false, 'use_beta_sigmas');
  const karras = read.flag('use_karras_sigmas', false);
  const exponential = read.flag('use_exponential_sigmas', false);
  if (karras && exponential)
    throw new UnsupportedConfigError(component, 'use_exponential_sigmas', true, [
      'false together with use_karras_sigmas',
    ]);
  return karras ? 'karras' : exponential ? 'exponential' : 'timesteps';
}

/** `steps` falling sigmas between the config's `sigma_max` and `sigma_min`, else between those given. */
export function respacedSigmas(
  spacing: 'karras' | 'exponential',
  read: ConfigReader,
  range: { readonly max: number; readonly min: number },
  steps: number,
): number[] {
  const max = read.optionalNumber('sigma_max') ?? range.max;
  const min = read.optionalNumber('sigma_min') ?? range.min;
  return spacing === 'karras' ? karrasSigmas(max, min, steps) : exponentialSigmas(max, min, steps);
}

/** What the last step goes to: no noise, or the least that training saw. */
export const finalSigma = (read: ConfigReader, sigmas: Float32Array): number =>
  read.choice('final_sigmas_type', ['zero', 'sigma_min'], 'zero') === 'zero' ? 0 : sigmas[0]!;

/** The variance-preserving sample at σ: α² + σ² = 1. */
export function variancePreserving(sigma: number): NoiseLevel {
  const alpha = 1 / Math.sqrt(sigma ** 2 + 1);
  return { alpha, sigma: sigma * alpha };
}
