/** The steps of the multistep solvers in log-SNR (DPM-Solver++, UniPC). */
import type { NoiseSchedule } from './noise-schedule';
import type { ConfigReader } from './scheduler-config';
import { finalSigma, respacedSigmas, sigmaSpacing, sigmasAt, timestepOf, trainingSigmas } from './sigmas';
import { intervalTimesteps, roundHalfToEven, timestepSpacing } from './timesteps';

export interface SolverSteps {
  readonly timesteps: readonly number[];
  /** One more than timesteps, in float32; the last is where the run ends. */
  readonly sigmas: readonly number[];
}

/** The timesteps and sigmas that `read`'s config asks for; `trainingCount` of the training timesteps are in use. */
export function solverSteps(
  component: string,
  read: ConfigReader,
  schedule: NoiseSchedule,
  steps: number,
  trainingCount = schedule.numTrainTimesteps,
): SolverSteps {
  const { numTrainTimesteps } = schedule;
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
  if (spacing === 'timesteps') return withEnd(plain, sigmasAt(training, plain), finalSigma(read, training));

  const range = { max: training[training.length - 1]!, min: training[0]! };
  const sigmas = respacedSigmas(spacing, read, range, steps);
  // The solver's own sigmas need no timestep; the network is told the whole one nearest to (or below) each.
  const whole = spacing === 'karras' ? roundHalfToEven : Math.trunc;
  const timesteps = sigmas.map((sigma) => whole(timestepOf(sigma, training)));
  return withEnd(timesteps, sigmas, finalSigma(read, training));
}

const withEnd = (timesteps: readonly number[], sigmas: readonly number[], end: number): SolverSteps => ({
  timesteps,
  sigmas: [...sigmas, end].map(Math.fround),
});
