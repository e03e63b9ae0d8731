import { describe, expect, test } from 'vitest';
import { InvalidOptionError, UnsupportedConfigError } from '../../sdk/errors';
import { createScheduler, schedulerFromConfig, schedulerName } from '../../sdk/schedulers/index';
import { linearCombination } from '../../sdk/schedulers/linear-combination';
import { createNoiseSchedule } from '../../sdk/schedulers/noise-schedule';
import { parseSchedulerConfig } from '../../sdk/schedulers/scheduler-config';
import { roundHalfToEven } from '../../sdk/schedulers/timesteps';

const stableDiffusion = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  steps_offset: 1,
  skip_prk_steps: true,
};

describe('names', () => {
  test.each(['dpmpp-2m-karras', 'DPMPP_2M_Karras', 'dpmpp_2m-karras'])('%s', (typed) => {
    expect(schedulerName(typed)).toBe('dpmpp_2m_karras');
  });
  test('an unknown one lists those that exist', () => {
    expect(() => createScheduler('dpm++', stableDiffusion, 20)).toThrow(InvalidOptionError);
    expect(() => createScheduler('dpm++', stableDiffusion, 20)).toThrow(/"dpm\+\+".*dpmpp-2m-karras, .*ddim/);
  });
  test('fix what they stand for, whatever the checkpoint says', () => {
    const config = {
      ...stableDiffusion,
      use_karras_sigmas: true,
      solver_order: 3,
      _class_name: 'PNDMScheduler',
    };
    expect(createScheduler('dpmpp-2m', config, 5).timesteps).toEqual([999, 799, 599, 400, 200]);
    expect(createScheduler('dpmpp-2m-karras', stableDiffusion, 5).timesteps).toEqual([999, 786, 427, 59, 0]);
  });
  test('honour the rest of it', () => {
    const config = { ...stableDiffusion, timestep_spacing: 'leading' };
    expect(createScheduler('ddim', config, 4).timesteps).toEqual([751, 501, 251, 1]);
    expect(createScheduler('dpmpp-2m', config, 4).timesteps).toEqual([801, 601, 401, 201]);
  });
});

describe('what is not implemented is refused by name', () => {
  const cases: readonly (readonly [string, string, unknown])[] = [
    ['ddim', 'prediction_type', 'flow_prediction'],
    ['ddim', 'beta_schedule', 'sigmoid'],
    ['ddim', 'timestep_spacing', 'middle'],
    ['ddim', 'beta_start', '0.1'],
    ['ddim', 'clip_sample', 'yes'],
    ['ddim', 'trained_betas', ['a']],
    ['ddim', 'trained_betas', 'a'],
    ['ddim', 'num_train_timesteps', 0],
    ['ddim', 'predict_epsilon', false],
    ['ddim', 'a_key_of_tomorrow', 1],
    ['ddpm', 'variance_type', 'learned_range'],
    ['pndm', 'prediction_type', 'sample'],
    ['euler', 'interpolation_type', 'cubic'],
    ['euler', 'timestep_type', 'late'],
    ['euler', 'final_sigmas_type', 'none'],
    ['euler_ancestral', 'prediction_type', 'sample'],
    ['dpmpp_2m', 'use_flow_sigmas', true],
    ['dpmpp_2m', 'use_dynamic_shifting', true],
    ['dpmpp_2m', 'variance_type', 'learned'],
    ['unipc', 'predict_x0', false],
    ['unipc', 'solver_p', {}],
    ['unipc', 'solver_order', 4],
    ['unipc', 'disable_corrector', 'all'],
    ['unipc', 'lower_order_final', false],
    ['unipc', 'use_flow_sigmas', true],
    ['unipc', 'use_dynamic_shifting', true],
  ];
  test.each(cases)('%s with %s %o', (name, key, value) => {
    const create = () => createScheduler(name, { ...stableDiffusion, [key]: value }, 5);
    expect(create).toThrow(UnsupportedConfigError);
    expect(create).toThrow(new RegExp(`Scheduler: "${key}" is .*not supported: set it to `));
  });
  test.each([
    [
      'EulerDiscreteScheduler',
      { use_karras_sigmas: true, use_beta_sigmas: true },
      /"use_beta_sigmas" is true/,
    ],
    ['LCMScheduler', { num_train_timesteps: 40 }, /"original_inference_steps" is 50.*at most.*40/],
    ['UniPCMultistepScheduler', { solver_type: 'bh1' }, /"solver_type" is "bh1".*sigma_min/],
    ['DPMSolverMultistepScheduler', { algorithm_type: 'deis' }, /"final_sigmas_type" is "zero".*sigma_min/],
    [
      'EulerDiscreteScheduler',
      { use_karras_sigmas: true, use_exponential_sigmas: true },
      /"use_exponential_sigmas" is true.*together with/,
    ],
    ['DPMSolverMultistepScheduler', { algorithm_type: 'dpmsolver' }, /"algorithm_type" is "dpmsolver"/],
    ['FlowMatchEulerDiscreteScheduler', {}, /"_class_name" is "Flow.*"DDIMScheduler"/],
  ])('%s with %o', (className, config, message) => {
    const create = () => schedulerFromConfig({ ...stableDiffusion, ...config, _class_name: className }, 5);
    expect(create).toThrow(message);
  });
  test.each([
    ['euler-ancestral', { use_karras_sigmas: true, use_beta_sigmas: true, final_sigmas_type: 'sigma_min' }],
    ['heun', { rescale_betas_zero_snr: true, final_sigmas_type: 'sigma_min' }],
    ['pndm', { rescale_betas_zero_snr: true, solver_order: 7 }],
  ])('%s takes no notice of what its class does not know', (name, foreign) => {
    const step = (config: object) => {
      const scheduler = createScheduler(name, { ...stableDiffusion, ...config }, 5);
      const sample = scheduler.step(
        Float32Array.of(1, -1),
        0,
        Float32Array.of(3, 2),
        () => new Float32Array(2),
      );
      return { sample, sigmas: scheduler.sigmas, timesteps: scheduler.timesteps };
    };
    expect(step(foreign)).toEqual(step({}));
  });
  test('keys of other classes, and unknown ones that are off, are left alone', () => {
    const config = {
      ...stableDiffusion,
      solver_order: 7,
      sigma_min: null,
      tomorrow: false,
      _diffusers_version: '9',
    };
    expect(createScheduler('ddim', config, 2).timesteps).toEqual([501, 1]);
  });
});

describe('steps', () => {
  test.each([
    ['ddim', 0],
    ['ddim', 2.5],
    ['ddim', 1001],
    ['ddim', 1000], // with an offset of 1 the first timestep would be 1000
    ['euler', 1001],
    ['dpmpp_2m', 1001],
    ['lcm', 51],
  ])('%s does not make %d', (name, steps) => {
    expect(() => createScheduler(name, stableDiffusion, steps)).toThrow(InvalidOptionError);
    expect(() => createScheduler(name, stableDiffusion, steps)).toThrow(`steps is ${steps}`);
  });
  test.each(['linspace', 'leading', 'trailing'])('never leave the schedule with %s', (spacing) => {
    const config = { ...stableDiffusion, timestep_spacing: spacing };
    for (const name of ['ddim', 'euler', 'dpmpp-2m'] as const) {
      for (let steps = 1; steps < 1000; steps += 13) {
        const { timesteps } = createScheduler(name, config, steps);
        expect(timesteps.length).toBe(steps);
        expect(Math.max(...timesteps)).toBeLessThan(1000);
        expect(Math.min(...timesteps)).toBeGreaterThanOrEqual(0);
      }
    }
  });
  test('halves are rounded to the even neighbour', () => {
    expect([0.5, 1.5, 2.5, 2.4, 2.6].map(roundHalfToEven)).toEqual([0, 2, 2, 2, 3]);
  });
});

test('a config with Python’s bare -Infinity is read', () => {
  const text = '{"lambda_min_clipped": -Infinity, "solver_order": 2, "note": "a: -Infinity"}';
  const config = parseSchedulerConfig(text);
  expect(config).toEqual({ lambda_min_clipped: '-Infinity', solver_order: 2, note: 'a: -Infinity' });
});

describe('noise schedule', () => {
  const schedule = createNoiseSchedule({ ...stableDiffusion, prediction_type: 'v_prediction' });
  const original = Float32Array.of(1, -2, 0.5);
  const noise = Float32Array.of(0.25, 1, -1);

  test('x₀ and the noise come back from each prediction', () => {
    const outputs = {
      epsilon: noise,
      sample: original,
      v_prediction: schedule.velocity(original, noise, 500),
    };
    for (const [type, output] of Object.entries(outputs)) {
      const one = createNoiseSchedule({ ...stableDiffusion, prediction_type: type });
      const sample = one.addNoise(original, noise, 500);
      for (const [i, value] of one.predictOriginal(output, sample, 500).entries())
        expect(value).toBeCloseTo(original[i]!, 5);
      for (const [i, value] of one.predictNoise(output, sample, 500).entries())
        expect(value).toBeCloseTo(noise[i]!, 5);
    }
  });
  test('zero terminal SNR ends in noise alone', () => {
    const zero = createNoiseSchedule({ ...stableDiffusion, rescale_betas_zero_snr: true });
    expect(zero.alphasCumprod[999]).toBe(0);
    expect(zero.alphasCumprod[0]).toBeCloseTo(schedule.alphasCumprod[0]!, 6);
    expect(zero.snr(999)).toBe(0);
  });
  test('a timestep outside it is refused', () => {
    for (const timestep of [-1, 1000, 0.5])
      expect(() => schedule.level(timestep)).toThrow(`timestep ${timestep} is outside`);
  });
  test('arrays of two lengths do not add', () => {
    expect(() => linearCombination([1, original], [1, noise.subarray(1)])).toThrow(/3 and 2/);
  });
});
