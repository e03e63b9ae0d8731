import { UnsupportedConfigError } from '../errors';
import { linearCombination } from './linear-combination';
import { createNoiseSchedule } from './noise-schedule';
import { thresholded } from './original-bounds';
import { predictOriginal } from './prediction';
import { type CreateScheduler, unscaled } from './scheduler';
import { readSchedulerConfig, type SchedulerConfig } from './scheduler-config';
import { variancePreserving } from './sigmas';
import { solverSteps } from './solver-sigmas';

const component = 'UniPCMultistepScheduler';

/**
 * UniPC (Zhao et al. 2023, algorithms 1 and 2) in its x₀-predicting form: a multistep predictor, and, once the
 * model has seen where that led, a corrector of the same evaluation that redoes the step. Both move from s to t by
 *
 *     x_t = (σ_t/σ_s) x − α_t (e^{−h} − 1) m_s − α_t B(h) Σ ρ_k D_k,   λ = ln(α/σ), h = λ_t − λ_s,
 *
 * D_k = (m_k − m_s)/r_k being differences of x₀ predictions at λ_s + r_k·h.
 */
export const unipc: CreateScheduler = (config, steps, pictures = 1) => {
  const read = readSchedulerConfig(component, config);
  read.only(false, 'use_flow_sigmas', 'use_dynamic_shifting');
  read.only(true, 'predict_x0');
  if ((config['solver_p'] ?? null) !== null)
    throw new UnsupportedConfigError(component, 'solver_p', config['solver_p'], [null]);
  const order = read.choice('solver_order', [1, 2, 3], 2);
  // DPM-Solver's variants, which a config taken from it brings along, mean the default.
  const variant = read.choice('solver_type', ['bh2', 'bh1', 'midpoint', 'heun', 'logrho'], 'bh2');
  const uncorrected = uncorrectedSteps(config);
  const schedule = createNoiseSchedule(config);
  const { timesteps, sigmas } = solverSteps(component, read, schedule, steps, { endsWhereSpaced: true });
  const bounded = thresholded(read, pictures);
  if (variant === 'bh1' && sigmas[timesteps.length] === 0)
    // B(h) = h is infinite for a step to no noise.
    throw new UnsupportedConfigError(component, 'solver_type', 'bh1', [
      'bh2',
      'bh1 with final_sigmas_type "sigma_min"',
    ]);
  const lowerOrderFinal = read.flag('lower_order_final', true);
  if (!lowerOrderFinal && order > 1 && sigmas[timesteps.length] === 0)
    // A difference over an infinite step in λ is undefined.
    throw new UnsupportedConfigError(component, 'lower_order_final', false, [
      true,
      'false with final_sigmas_type "sigma_min"',
    ]);

  const lambda = (index: number) => -Math.log(sigmas[index]!);

  /**
   * From evaluation `from` to the next level, with the x₀ predictions of evaluations from, from − 1, … (`known`)
   * and, for the corrector, the one made at the level reached (`ahead`).
   */
  const move = (
    sample: Float32Array,
    from: number,
    known: readonly Float32Array[],
    ahead?: Float32Array,
  ): Float32Array => {
    const here = known[0]!;
    const h = lambda(from + 1) - lambda(from);
    const phi = Math.expm1(-h);
    const scale = variant === 'bh1' ? -h : phi;
    const { alpha, sigma } = variancePreserving(sigmas[from + 1]!);

    const points = known
      .slice(1)
      .map((original, i) => ({ original, r: (lambda(from - 1 - i) - lambda(from)) / h }));
    if (ahead) points.push({ original: ahead, r: 1 });
    const weights =
      points.length === 1
        ? [1 / 2] // to the same order, and what the authors use
        : solve(
            points.map((_, power) => points.map(({ r }) => r ** power)),
            momentsOf(-h, scale, points.length),
          );
    return linearCombination(
      [sigma / variancePreserving(sigmas[from]!).sigma, sample],
      [-alpha * phi, here],
      ...points.flatMap(({ original, r }, k) => {
        const weight = (-alpha * scale * weights[k]!) / r;
        return [[weight, original] as const, [-weight, here] as const];
      }),
    );
  };

  let originals: readonly Float32Array[] = [];
  let last: { readonly sample: Float32Array; readonly order: number } | undefined;
  return {
    timesteps,
    sigmas,
    order: 1,
    initialNoiseScale: 1,
    level: (index) => variancePreserving(sigmas[index]!),
    scaleModelInput: unscaled,
    step(modelOutput, index, sample) {
      const level = variancePreserving(sigmas[index]!);
      const original = bounded(predictOriginal(schedule.predictionType, modelOutput, sample, level));
      const corrected =
        last && !uncorrected.has(index - 1)
          ? move(last.sample, index - 1, originals.slice(0, last.order), original)
          : sample;

      const highest = lowerOrderFinal ? Math.min(order, timesteps.length - index) : order;
      originals = [original, ...originals].slice(0, order);
      const orderHere = Math.min(highest, originals.length);
      last = { sample: corrected, order: orderHere };
      return move(corrected, index, originals.slice(0, orderHere));
    },
  };
};

/** The right-hand sides of the paper's equation for ρ: k!·φ_{k+1}(h)·h / B(h) for k = 1 … count, with h negated. */
function momentsOf(h: number, scale: number, count: number): number[] {
  const moments: number[] = [];
  let phi = Math.expm1(h) / h - 1;
  let factorial = 1;
  for (let k = 1; k <= count; k++) {
    moments.push((phi * factorial) / scale);
    factorial *= k + 1;
    phi = phi / h - 1 / factorial;
  }
  return moments;
}

/** Solves matrix · x = values by elimination with pivots; at most 3 unknowns. */
function solve(matrix: readonly (readonly number[])[], values: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, values[i]!]);
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column; i < size; i++)
      if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let i = 0; i < size; i++) {
      if (i === column) continue;
      const factor = rows[i]![column]! / rows[column]![column]!;
      for (let j = column; j <= size; j++) rows[i]![j]! -= factor * rows[column]![j]!;
    }
  }
  return rows.map((row, i) => row[size]! / row[i]!);
}

/** `disable_corrector`: the steps whose result is not corrected. */
function uncorrectedSteps(config: SchedulerConfig): ReadonlySet<number> {
  const value = config['disable_corrector'] ?? [];
  if (!Array.isArray(value) || value.some((one) => typeof one !== 'number'))
    throw new UnsupportedConfigError(component, 'disable_corrector', value, ['a list of step numbers']);
  return new Set(value as number[]);
}
