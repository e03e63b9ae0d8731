/** Noise levels as σ = noise per unit of signal, and the tables of them that samplers step through. */
import { UnsupportedConfigError } from '../errors';
import { betaQuantile } from './beta-quantile';
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

/** By the quantiles of Beta(0.6, 0.6), dense at both ends (Lee et al. 2024). */
export const betaSigmas = (sigmaMax: number, sigmaMin: number, steps: number): number[] =>
  linspace(0, 1, steps).map((ramp) => sigmaMin + betaQuantile(1 - ramp, 0.6) * (sigmaMax - sigmaMin));

const respacings = { karras: karrasSigmas, exponential: exponentialSigmas, beta: betaSigmas };
const flags = {
  karras: 'use_karras_sigmas',
  exponential: 'use_exponential_sigmas',
  beta: 'use_beta_sigmas',
} as const;
type Respacing = keyof typeof respacings;

export type SigmaSpacing = 'timesteps' | Respacing;

/** How the config spaces its sigmas; `timesteps`: where the timesteps lie. */
export function sigmaSpacing(component: string, read: ConfigReader): SigmaSpacing {
  const asked = (Object.keys(flags) as Respacing[]).filter((spacing) => read.flag(flags[spacing], false));
  const [spacing = 'timesteps', second] = asked;
  if (second)
    throw new UnsupportedConfigError(component, flags[second], true, [
      `false together with ${flags[asked[0]!]}`,
    ]);
  return spacing;
}

/** `steps` falling sigmas between the config's `sigma_max` and `sigma_min`, else between those given. */
export function respacedSigmas(
  spacing: Respacing,
  read: ConfigReader,
  range: { readonly max: number; readonly min: number },
  steps: number,
): number[] {
  const max = read.optionalNumber('sigma_max') ?? range.max;
  const min = read.optionalNumber('sigma_min') ?? range.min;
  return respacings[spacing](max, min, steps);
}

/** What the last step goes to: no noise, or the least that training saw. */
export const finalSigma = (read: ConfigReader, sigmas: ArrayLike<number>): number =>
  read.choice('final_sigmas_type', ['zero', 'sigma_min'], 'zero') === 'zero' ? 0 : sigmas[0]!;

/** The sample x₀ + σ·noise of the Euler family. */
export const varianceExploding = (sigma: number): NoiseLevel => ({ alpha: 1, sigma });

/** The variance-preserving sample at σ: α² + σ² = 1. */
export function variancePreserving(sigma: number): NoiseLevel {
  const alpha = 1 / Math.sqrt(sigma ** 2 + 1);
  return { alpha, sigma: sigma * alpha };
}
