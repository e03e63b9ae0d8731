import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openSafetensors, readFloat32 } from '../../sdk/checkpoint/safetensors';
import { createScheduler, schedulerFromConfig, schedulerNames } from '../../sdk/schedulers/index';
import { createNoiseSchedule } from '../../sdk/schedulers/noise-schedule';
import type { SchedulerConfig } from '../../sdk/schedulers/scheduler-config';
import { relativeError, replay, trajectory } from './reference-run';

// What diffusers computed on its usual configurations, and on others (make-scheduler-variants.py beside them).
const open = (name: string) => {
  const path = fileURLToPath(new URL(`../../fixtures/golden/${name}`, import.meta.url));
  const { tensors, metadata } = openSafetensors(path);
  return {
    metadata,
    configs: JSON.parse(metadata['configs']!) as Record<string, SchedulerConfig>,
    has: (key: string) => tensors.has(key),
    shape: (key: string) => tensors.get(key)!.shape,
    tensor: (key: string) => readFloat32(tensors.get(key)!),
  };
};
const { configs, metadata, has, tensor } = open('schedulers.safetensors');
const variants = open('scheduler-variants.safetensors');
const tolerance = 2e-5;

describe.each(Object.entries(configs))('%s', (key, config) => {
  const [name, , steps] = key.split('/');

  test.each([
    ['from its class', () => schedulerFromConfig(config, Number(steps))],
    ['by its name', () => createScheduler(name!, config, Number(steps))],
  ])('%s: timesteps, sigmas and every sample', (_, create) => {
    const scheduler = create();
    expect(relativeError(scheduler.timesteps, tensor(`${key}/timesteps`))).toBeLessThan(1e-6);
    if (has(`${key}/sigmas`))
      expect(relativeError(scheduler.sigmas!, tensor(`${key}/sigmas`))).toBeLessThan(1e-6);

    const noise = replay(has(`${key}/noise`) ? tensor(`${key}/noise`) : undefined);
    const ours = trajectory(scheduler, tensor(`${key}/initial`), noise);
    expect(relativeError(ours, tensor(`${key}/trajectory`))).toBeLessThan(tolerance);
    expect(noise.left()).toBe(0);
  });
});

describe('other configurations', () => {
  test.each(Object.entries(variants.configs))('%s', (key, config) => {
    const { has, tensor } = variants;
    const pictures = variants.shape(`${key}/initial`)[0];
    const scheduler = schedulerFromConfig(config, Number(key.split('/')[1]), pictures);
    expect(relativeError(scheduler.timesteps, tensor(`${key}/timesteps`))).toBeLessThan(1e-6);
    expect(relativeError([scheduler.initialNoiseScale], tensor(`${key}/init_sigma`))).toBeLessThan(1e-6);
    const noise = replay(has(`${key}/noise`) ? tensor(`${key}/noise`) : undefined);
    const ours = trajectory(scheduler, tensor(`${key}/initial`), noise);
    expect(relativeError(ours, tensor(`${key}/trajectory`))).toBeLessThan(tolerance);
    expect(noise.left()).toBe(0);
  });
});

test('every name has a golden trajectory', () => {
  const golden = new Set(Object.keys(configs).map((key) => key.split('/')[0]));
  expect(new Set(schedulerNames)).toEqual(golden);
});

describe('training noise', () => {
  const schedule = createNoiseSchedule(JSON.parse(metadata['config']!) as SchedulerConfig);
  const timesteps = [...tensor('add_noise/timesteps')];
  const row = (name: string, index: number) => {
    const values = tensor(`add_noise/${name}`);
    const length = values.length / timesteps.length;
    return values.subarray(index * length, (index + 1) * length);
  };

  test('the cumulative products are diffusers’ to the last bit but one', () => {
    expect(relativeError(schedule.alphasCumprod, tensor('alphas_cumprod'))).toBeLessThan(1.3e-7);
  });
  test('signal-to-noise ratios', () => {
    const ours = Array.from({ length: schedule.numTrainTimesteps }, (_, t) => schedule.snr(t));
    const reference = tensor('snr');
    const apart = ours.map((snr, t) => Math.abs(snr / reference[t]! - 1));
    expect(Math.max(...apart)).toBeLessThan(tolerance);
  });
  test.each(timesteps.map((timestep, index) => [timestep, index]))(
    'noise and velocity at %i',
    (timestep, i) => {
      const noisy = schedule.addNoise(row('sample', i), row('noise', i), timestep);
      expect(relativeError(noisy, row('noisy', i))).toBeLessThan(1e-6);
      const velocity = schedule.velocity(row('sample', i), row('noise', i), timestep);
      expect(relativeError(velocity, row('velocity', i))).toBeLessThan(1e-6);
    },
  );
});
