/** The steps of the multistep solvers in log-SNR (DPM-Solver++, UniPC). */
import type { NoiseSchedule } from './noise-schedule';
import type { ConfigReader } from './scheduler-config';
import {
  exponentialSigmas,
  finalSigma,
  respacedSigmas,
  sigmaSpacing,
  sigmasAt,
  timestepOf,
  trainingSigmas,
} from './sigmas';
import { intervalTimesteps, roundHalfToEven, timestepSpacing } from './timesteps';

export interface SolverSteps {
  readonly timesteps: readonly number[];
  /** One more than timesteps, in float32; the last is where the run ends. */
  readonly sigmas: readonly number[];
}

export interface SolverOptions {
  /** How many of the training timesteps are in use, from 0 on; all by default. */
  readonly trainingCount?: number;
  /** Whether sigmas are even in log σ between those of training, whatever `sigma_max` and `sigma_min` say. */
  readonly luLambdas?: boolean;
  /** Whether `sigma_min` as the end is the least of the sigmas that were spaced anew, not of training's. */
  readonly endsWhereSpaced?: boolean;
  /** What makes whole timesteps of those that Karras sigmas fall on; to the nearest by default. */
  readonly wholeTimestep?: (timestep: number) => number;
}

/** The timesteps and sigmas that `read`'s config asks for. */
export function solverSteps(
  component: string,
  read: ConfigReader,
  schedule: NoiseSchedule,
  steps: number,
  options: SolverOptions = {},
): SolverSteps {
  const { numTrainTimesteps } = schedule;
  const {
    trainingCount = numTrainTimesteps,
    luLambdas = false,
    endsWhereSpaced = false,
    wholeTimestep = roundHalfToEven,
  } = options;
  const training = trainingSigmas(schedule);
  const spacing = sigmaSpacing(component, read);
  const plain = intervalTimesteps(
    {
      spacing: timestepSpacing(read, 'linspace'),
      stepsOffset: read.number('steps_offset', 0),
      numTrainTimesteps,
    },
    steps,
    trainingCount,
  );
  if (spacing === 'timesteps' && !luLambdas)
    return withEnd(plain, sigmasAt(training, plain), finalSigma(read, training));

  const range = { max: training[training.length - 1]!, min: training[0]! };
  const sigmas =
    spacing === 'timesteps'
      ? exponentialSigmas(range.max, range.min, steps)
      : respacedSigmas(spacing, read, range, steps);
  const whole = spacing === 'karras' || spacing === 'timesteps' ? wholeTimestep : Math.trunc;
  const timesteps = sigmas.map((sigma) => whole(timestepOf(sigma, training)));
  return withEnd(timesteps, sigmas, finalSigma(read, endsWhereSpaced ? [sigmas.at(-1)!] : training));
}

const withEnd = (timesteps: readonly number[], sigmas: readonly number[], end: number): SolverSteps => ({
  timesteps,
  sigmas: [...sigmas, end].map(Math.fround),
});
