/**
 * Learning-rate schedules by diffusers' names, and one-cycle as PyTorch has it. Each gives the factor on the
 * learning rate for the next step, when `step` optimiser steps have been made (so the first is 0).
 */
import { InvalidOptionError } from '../errors';

export type LearningRateFactor = (step: number) => number;

export interface LearningRateOptions {
  /** Optimiser steps over which the rate rises in a line from 0. Default 0. `constant` and `one_cycle` have none. */
  readonly warmupSteps?: number;
  /** Optimiser steps of the whole run; the decaying schedules need it. */
  readonly totalSteps?: number;
  /** `cosine_with_restarts`: how many times the rate falls from 1 to 0. Default 1. */
  readonly cycles?: number;
  /** `polynomial`: the exponent. Default 1. */
  readonly power?: number;
  /** `polynomial`: the rate, not the factor, at which the decay ends. Default 1e-7. */
  readonly end?: number;
  /** `polynomial`: the learning rate the factor is applied to. */
  readonly learningRate?: number;
  /** `piecewise_constant`: "1:10,0.1:20,0.005" is 1 before step 10, 0.1 before step 20, then 0.005. */
  readonly rules?: string;
  /** `one_cycle`: share of the steps in which the rate rises. Default 0.3. */
  readonly risingShare?: number;
  /** `one_cycle`: the rate begins at 1/startDivisor (default 25) and ends at 1/endDivisor (default 1e4) of that. */
  readonly startDivisor?: number;
  readonly endDivisor?: number;
}

const schedules = {
  constant: () => () => 1,
  constant_with_warmup: (options) => warmedUp(options, () => 1),
  linear: (options) => decaying('linear', options, (progress) => Math.max(0, 1 - progress)),
  // Half a cosine wave, whatever `cycles` says: diffusers passes the number on to the restarts only.
  cosine: (options) => decaying('cosine', options, (progress) => Math.max(0, halfCosine(progress))),
  cosine_with_restarts: (options) =>
    decaying('cosine_with_restarts', options, (progress) =>
      progress >= 1 ? 0 : halfCosine((progress * (options.cycles ?? 1)) % 1),
    ),
  polynomial: polynomial,
  piecewise_constant: piecewiseConstant,
  one_cycle: oneCycle,
} as const satisfies Readonly<Record<string, (options: LearningRateOptions) => LearningRateFactor>>;

export type LearningRateScheduleName = keyof typeof schedules;
export const learningRateScheduleNames = Object.keys(schedules) as readonly LearningRateScheduleName[];

/**
 * The schedule `name`.
 * @throws InvalidOptionError for an unknown name, listing those that exist, and for an option that is missing
 *   or outside its range.
 */
export function learningRateSchedule(name: string, options: LearningRateOptions = {}): LearningRateFactor {
  const found = learningRateScheduleNames.find((one) => one === name);
  if (found === undefined)
    throw new InvalidOptionError(
      'learningRateSchedule',
      `there is no learning-rate schedule "${name}"; choose one of ${learningRateScheduleNames.join(', ')}`,
    );
  return schedules[found](options);
}

/** 1 at 0, 0 at 1. */
const halfCosine = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress));

function warmedUp(options: LearningRateOptions, after: LearningRateFactor): LearningRateFactor {
  const warmupSteps = options.warmupSteps ?? 0;
  if (!Number.isInteger(warmupSteps) || warmupSteps < 0)
    throw new InvalidOptionError(
      'warmupSteps',
      `warmupSteps is ${warmupSteps}: pass an integer of 0 or more`,
    );
  return (step) => (step < warmupSteps ? step / warmupSteps : after(step));
}

/** After the warm-up, `factor` of the share of the remaining steps that has been made. */
function decaying(
  name: string,
  options: LearningRateOptions,
  factor: (progress: number) => number,
): LearningRateFactor {
  const totalSteps = totalStepsOf(name, options);
  const warmupSteps = options.warmupSteps ?? 0;
  return warmedUp(options, (step) => factor((step - warmupSteps) / Math.max(1, totalSteps - warmupSteps)));
}

function polynomial(options: LearningRateOptions): LearningRateFactor {
  const { learningRate, power = 1, end = 1e-7 } = options;
  if (learningRate === undefined || !(learningRate > end))
    throw new InvalidOptionError(
      'learningRate',
      `learningRate is ${learningRate}: the polynomial schedule ends at ${end}; pass a rate above that`,
    );
  return decaying('polynomial', options, (progress) => {
    const remaining = Math.max(0, 1 - progress);
    return ((learningRate - end) * remaining ** power + end) / learningRate;
  });
}

function piecewiseConstant(options: LearningRateOptions): LearningRateFactor {
  const parts = (options.rules ?? '').split(',');
  const last = Number(parts.at(-1) || Number.NaN);
  const rules = parts
    .slice(0, -1)
    .map((part) => part.split(':').map((text) => Number(text || Number.NaN)))
    .map(([factor, before, ...more]) => ({ factor: factor!, before: more.length ? Number.NaN : before! }))
    .sort((a, b) => a.before - b.before);
  const isWrong = ({ factor, before }: (typeof rules)[number]) =>
    !Number.isFinite(factor) || !Number.isInteger(before);
  if (!Number.isFinite(last) || rules.some(isWrong))
    throw new InvalidOptionError(
      'learningRateRules',
      `the piecewise_constant rules are "${options.rules ?? ''}": write factor:step pairs and a last factor, as in "1:10,0.1:20,0.005"`,
    );
  return (step) => rules.find(({ before }) => step < before)?.factor ?? last;
}

/** Smith & Topin 2019, as PyTorch's OneCycleLR anneals it: half a cosine up to 1, then one down. */
function oneCycle(options: LearningRateOptions): LearningRateFactor {
  const totalSteps = totalStepsOf('one_cycle', options);
  const { risingShare = 0.3, startDivisor = 25, endDivisor = 1e4 } = options;
  if (!(risingShare >= 0 && risingShare <= 1))
    throw new InvalidOptionError('risingShare', `risingShare is ${risingShare}: pass a share from 0 to 1`);
  const start = 1 / startDivisor;
  const end = start / endDivisor;
  const peak = risingShare * totalSteps - 1;
  const between = (from: number, to: number, progress: number) => to + (from - to) * halfCosine(progress);
  return (step) => {
    if (step <= peak) return between(start, 1, peak === 0 ? 1 : step / peak);
    // The last step of the run has number totalSteps − 1; what follows stays there.
    return between(1, end, Math.min(1, (step - peak) / (totalSteps - 1 - peak)));
  };
}

function totalStepsOf(name: string, { totalSteps }: LearningRateOptions): number {
  if (totalSteps === undefined || !Number.isInteger(totalSteps) || totalSteps < 1)
    throw new InvalidOptionError(
      'totalSteps',
      `totalSteps is ${totalSteps}: the ${name} schedule decays over the run; pass its number of optimiser steps`,
    );
  return totalSteps;
}
