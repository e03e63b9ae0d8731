import { InvalidOptionError } from '../errors';
import { linearCombination } from './linear-combination';
import { createNoiseSchedule } from './noise-schedule';
import { type CreateScheduler, unscaled } from './scheduler';
import { ignoring, readSchedulerConfig } from './scheduler-config';
import { timestepSpacing, wholeTimesteps } from './timesteps';

/** Adams–Bashforth weights, newest output first. */
const adamsBashforth = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
] as const;

/**
 * PNDM (Liu et al. 2022): the last four outputs are combined as a linear multistep method would, and the combination
 * takes a DDIM step. What comes before there are four: with `skip_prk_steps` one step of Heun's method, hence one
 * evaluation more than `steps`, the second timestep being visited twice ("PLMS"); else, as in the paper, three steps of
 * the classical Runge–Kutta method with four evaluations each.
 */
export const pndm: CreateScheduler = (config, steps) => {
  const read = readSchedulerConfig('PNDMScheduler', config);
  read.choice('prediction_type', ['epsilon', 'v_prediction'], 'epsilon');
  const schedule = createNoiseSchedule(ignoring(config, 'rescale_betas_zero_snr'));
  const { numTrainTimesteps, alphasCumprod } = schedule;
  const spaced = wholeTimesteps(
    {
      spacing: timestepSpacing(read, 'leading'),
      stepsOffset: read.number('steps_offset', 0),
      numTrainTimesteps,
    },
    steps,
  );
  const stride = Math.floor(numTrainTimesteps / steps);
  const halfStride = Math.floor(stride / 2);
  const rungeKutta = !read.flag('skip_prk_steps', false);
  if (rungeKutta && steps < 4)
    throw new InvalidOptionError(
      'steps',
      `steps is ${steps}: PNDM with its Runge–Kutta start makes at least 4`,
    );
  const start = rungeKutta
    ? spaced.slice(0, 3).flatMap((from, i) => {
        const to = spaced[i + 1]!;
        return [from, to + halfStride, to + halfStride, to];
      })
    : spaced.slice(0, 2);
  const timesteps = [...start, ...spaced.slice(rungeKutta ? 3 : 1)];
  const finalAlpha = read.flag('set_alpha_to_one', false) ? 1 : alphasCumprod[0]!;

  /** Equation 11: the DDIM step written in `output` as a slope. */
  const transfer = (sample: Float32Array, output: Float32Array, from: number, to: number) => {
    const alpha = alphasCumprod[from]!;
    const alphaTo = to >= 0 ? alphasCumprod[to]! : finalAlpha;
    const noise = schedule.predictNoise(output, sample, from);
    const denominator = alpha * Math.sqrt(1 - alphaTo) + Math.sqrt(alpha * (1 - alpha) * alphaTo);
    return linearCombination([Math.sqrt(alphaTo / alpha), sample], [-(alphaTo - alpha) / denominator, noise]);
  };

  /** Newest first. */
  let outputs: readonly Float32Array[] = [];
  let slopes: readonly Float32Array[] = [];
  let evaluations = 0;
  let first: Float32Array | undefined;
  const rungeKuttaStep = (output: Float32Array, index: number, sample: Float32Array) => {
    const stage = index % 4;
    if (stage === 0) {
      first = sample;
      slopes = [];
      outputs = [output, ...outputs];
    }
    slopes = [...slopes, output];
    const weights = [1 / 6, 1 / 3, 1 / 3, 1 / 6];
    const slope =
      stage < 3 ? output : linearCombination(...slopes.map((one, i) => [weights[i]!, one] as const));
    const to = timesteps[index]! - (stage % 2 === 0 ? halfStride : 0);
    return transfer(first!, slope, timesteps[index - stage]!, to);
  };

  return {
    timesteps,
    order: 1,
    initialNoiseScale: 1,
    level: (index) => schedule.level(timesteps[index]!),
    scaleModelInput: unscaled,
    step(modelOutput, index, sample) {
      if (rungeKutta && index < start.length) return rungeKuttaStep(modelOutput, index, sample);
      const timestep = timesteps[index]!;
      evaluations += 1;
      if (!rungeKutta && evaluations === 2) {
        // Where the first step led: take it again with the mean of both outputs. diffusers does so also where a run
        // begins later, at a timestep that is not visited twice, and so ends one step above the last.
        const mean = linearCombination([1 / 2, modelOutput], [1 / 2, outputs[0]!]);
        return transfer(first!, mean, timestep + stride, timestep);
      }
      if (evaluations === 1) first = sample;
      outputs = [modelOutput, ...outputs].slice(0, 4);
      const weights = adamsBashforth[outputs.length - 1]!;
      const combined = linearCombination(...outputs.map((output, i) => [weights[i]!, output] as const));
      return transfer(sample, combined, timestep, timestep - stride);
    },
  };
};
