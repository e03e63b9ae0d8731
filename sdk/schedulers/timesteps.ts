/** Which training timesteps a run visits (Lin et al. 2023, table 2), falling; three ways that diffusers has. */
import { checkSteps } from './scheduler';
import type { ConfigReader } from './scheduler-config';

export type TimestepSpacing = 'linspace' | 'leading' | 'trailing';

/** The config's spacing, or the class's own default. */
export const timestepSpacing = (read: ConfigReader, fallback: TimestepSpacing): TimestepSpacing =>
  read.choice('timestep_spacing', ['linspace', 'leading', 'trailing'], fallback);

export interface Spacing {
  readonly spacing: TimestepSpacing;
  /** Added to the timesteps of `leading`. */
  readonly stepsOffset: number;
  readonly numTrainTimesteps: number;
}

/** DDIM, DDPM, PNDM: `steps` whole timesteps. */
export function wholeTimesteps(options: Spacing, steps: number): number[] {
  const { spacing, stepsOffset, numTrainTimesteps } = options;
  checkSteps(steps, largestStepCount(options));
  switch (spacing) {
    case 'linspace':
      return linspace(0, numTrainTimesteps - 1, steps)
        .map(roundHalfToEven)
        .reverse();
    case 'leading':
      return leading(Math.floor(numTrainTimesteps / steps), steps, stepsOffset);
    case 'trailing':
      return trailing(numTrainTimesteps, numTrainTimesteps / steps, steps);
  }
}

/** The Euler family: as above, but `linspace` keeps its fractions (in float32). */
export function fractionalTimesteps(options: Spacing, steps: number): number[] {
  if (options.spacing !== 'linspace') return wholeTimesteps(options, steps);
  checkSteps(steps, options.numTrainTimesteps);
  return linspace(0, options.numTrainTimesteps - 1, steps)
    .map(Math.fround)
    .reverse();
}

/**
 * DPM-Solver++ and UniPC: the timesteps start `steps` intervals of which the last ends at no noise, so
 * `steps` + 1 are spaced and the lowest is left out. `count` is how many training timesteps are in use.
 */
export function intervalTimesteps(options: Spacing, steps: number, count: number): number[] {
  const { spacing, stepsOffset, numTrainTimesteps } = options;
  checkSteps(steps, spacing === 'leading' ? count - 1 : count);
  switch (spacing) {
    case 'linspace':
      return linspace(0, count - 1, steps + 1)
        .map(roundHalfToEven)
        .reverse()
        .slice(0, -1);
    case 'leading':
      return leading(Math.floor(count / (steps + 1)), steps + 1, stepsOffset).slice(0, -1);
    case 'trailing':
      return trailing(count, numTrainTimesteps / steps, steps);
  }
}

// `leading` with an offset and one step per training timestep would begin beyond the schedule.
function largestStepCount({ spacing, stepsOffset, numTrainTimesteps }: Spacing): number {
  if (spacing !== 'leading' || stepsOffset === 0) return numTrainTimesteps;
  let steps = numTrainTimesteps;
  while (steps > 1 && Math.floor(numTrainTimesteps / steps) * (steps - 1) + stepsOffset >= numTrainTimesteps)
    steps--;
  return steps;
}

const leading = (ratio: number, steps: number, offset: number): number[] =>
  Array.from({ length: steps }, (_, i) => i * ratio + offset).reverse();

// NumPy's arange takes its stride from its first two values; where timesteps fall on halves, the last bit decides.
function trailing(count: number, ratio: number, steps: number): number[] {
  const stride = count - (count - ratio);
  const length = Math.min(steps, Math.ceil(count / ratio));
  return Array.from({ length }, (_, i) => roundHalfToEven(count - i * stride) - 1);
}

/** `count` numbers from `start` to `end`, both included; for one, `start`. */
export function linspace(start: number, end: number, count: number): number[] {
  const step = (end - start) / (count - 1);
  return Array.from({ length: count }, (_, i) =>
    i > 0 && i === count - 1 ? end : i > 0 ? start + i * step : start,
  );
}

/** NumPy's rounding: a half goes to the even neighbour. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
