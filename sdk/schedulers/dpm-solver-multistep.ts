import { UnsupportedConfigError } from '../errors';
import { linearCombination } from './linear-combination';
import { createNoiseSchedule } from './noise-schedule';
import { thresholded } from './original-bounds';
import { predictOriginal } from './prediction';
import { type CreateScheduler, unscaled } from './scheduler';
import { type ConfigReader, readSchedulerConfig } from './scheduler-config';
import { trainingSigmas, variancePreserving } from './sigmas';
import { solverSteps } from './solver-sigmas';
import { roundHalfToEven } from './timesteps';

const component = 'DPMSolverMultistepScheduler';

/**
 * DPM-Solver++ (Lu et al. 2022, algorithm 2 and appendix A) of order 1 to 3, and its stochastic form.
 *
 * With λ = ln(α/σ), h = λ_t − λ_s and m₀, m₁, m₂ the last x₀ predictions, newest first:
 *
 *     x_t = (σ_t/σ_s) x + α_t (1 − e^{−h}) m₀ + corrections by the differences of the m
 *
 * The stochastic form moves twice as far (2h in the exponential) and makes up for it with noise.
 */
export const dpmSolverMultistep: CreateScheduler = (config, steps, pictures = 1) => {
  const read = readSchedulerConfig(component, config);
  read.only(false, 'use_flow_sigmas', 'use_dynamic_shifting');
  const algorithm = read.choice('algorithm_type', ['dpmsolver++', 'sde-dpmsolver++', 'deis'], 'dpmsolver++');
  const stochastic = algorithm === 'sde-dpmsolver++';
  const order = read.choice('solver_order', [1, 2, 3], 2);
  // The names of other solvers' variants, which a config taken from one of them brings along, mean the default.
  const variant = read.choice('solver_type', ['midpoint', 'heun', 'logrho', 'bh1', 'bh2'], 'midpoint');
  refuseLearnedVariance(read);
  if (algorithm === 'deis' && read.choice('final_sigmas_type', ['zero', 'sigma_min'], 'zero') === 'zero')
    // As diffusers does, although it then runs DPM-Solver++, which could end at no noise.
    throw new UnsupportedConfigError(component, 'final_sigmas_type', 'zero', ['sigma_min']);
  const bounded = thresholded(read, pictures);
  const schedule = createNoiseSchedule(config);

  // Training timesteps noisier than the clip are left alone (cosine schedules begin with almost no signal).
  const lambdaMin = read.number('lambda_min_clipped', -Infinity);
  const trainingCount = trainingSigmas(schedule).filter((sigma) => -Math.log(sigma) >= lambdaMin).length;
  const { timesteps, sigmas } = solverSteps(component, read, schedule, steps, {
    trainingCount,
    luLambdas: read.flag('use_lu_lambdas', false),
    // A cosine schedule is so steep at its end that rounding up would go beyond it.
    wholeTimestep: config['beta_schedule'] === 'squaredcos_cap_v2' ? Math.trunc : roundHalfToEven,
  });

  const last = timesteps.length - 1;
  const few = read.flag('lower_order_final', true) && timesteps.length < 15;
  const eulerLast = read.flag('euler_at_final', false) || few || sigmas[last + 1] === 0;
  const highestOrder = (index: number) => {
    if (index === last && eulerLast) return 1;
    if (index === last - 1 && few) return 2;
    return 3;
  };

  let originals: readonly Float32Array[] = [];
  return {
    timesteps,
    sigmas,
    order: 1,
    initialNoiseScale: 1,
    level: (index) => variancePreserving(sigmas[index]!),
    scaleModelInput: unscaled,
    step(modelOutput, index, sample, drawNoise) {
      const level = variancePreserving(sigmas[index]!);
      const original = bounded(predictOriginal(schedule.predictionType, modelOutput, sample, level));
      originals = [original, ...originals].slice(0, order);

      const from = sigmas[index]!;
      const { alpha, sigma } = variancePreserving(sigmas[index + 1]!);
      const h = Math.log(from) - Math.log(sigmas[index + 1]!);
      // In the formula's place of h; infinite for a step to no noise.
      const distance = stochastic ? 2 * h : h;
      const phi = 1 - Math.exp(-distance);

      const orderHere = Math.min(order, originals.length, highestOrder(index));
      const corrections = differences(originals.slice(0, orderHere), sigmas.slice(0, index + 1), h);
      const second = orderHere === 2 && variant !== 'heun' ? phi / 2 : 1 - phi / distance;
      // The half's sign in the stochastic form is diffusers'; the ordinary one follows from the expansion.
      const third = (phi - distance) / distance ** 2 + (stochastic ? -0.5 : 0.5);
      const coefficients = [second, third];
      const moved = linearCombination(
        [(sigma / level.sigma) * (stochastic ? Math.exp(-h) : 1), sample],
        [alpha * phi, original],
        ...corrections.map((difference, i) => [alpha * coefficients[i]!, difference] as const),
      );
      if (!stochastic) return moved;
      return linearCombination([1, moved], [sigma * Math.sqrt(phi), drawNoise(sample.length)]);
    },
  };
};

/** D1 and D2: the first and second divided differences in λ of up to three x₀ predictions, newest first. */
function differences(
  [m0, m1, m2]: readonly Float32Array[],
  sigmas: readonly number[],
  h: number,
): Float32Array[] {
  if (!m0 || !m1) return [];
  const ratio = (back: number) => {
    const index = sigmas.length - 1 - back;
    return (Math.log(sigmas[index - 1]!) - Math.log(sigmas[index]!)) / h;
  };
  const r0 = ratio(0);
  const newer = linearCombination([1 / r0, m0], [-1 / r0, m1]);
  if (!m2) return [newer];
  const r1 = ratio(1);
  const older = linearCombination([1 / r1, m1], [-1 / r1, m2]);
  const change = linearCombination([1, newer], [-1, older]);
  return [
    linearCombination([1, newer], [r0 / (r0 + r1), change]),
    linearCombination([1 / (r0 + r1), change]),
  ];
}

// A network that learns its variance puts out twice the channels; the fixed ones are DDPM's affair.
function refuseLearnedVariance(read: ConfigReader): void {
  read.choice(
    'variance_type',
    ['fixed_small', 'fixed_small_log', 'fixed_large', 'fixed_large_log'],
    'fixed_small',
  );
}
