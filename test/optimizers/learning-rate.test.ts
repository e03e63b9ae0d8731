import { describe, expect, test } from 'vitest';
import {
  type LearningRateOptions,
  learningRateSchedule,
  learningRateScheduleNames,
} from '../../sdk/optimizers/learning-rate';

// By hand from the formulas; the same numbers as diffusers' get_scheduler and PyTorch's OneCycleLR give.
const c = (progress: number) => (1 + Math.cos(Math.PI * progress)) / 2;
const cases: readonly (readonly [string, LearningRateOptions, readonly number[]])[] = [
  ['constant', {}, [1, 1, 1]],
  ['constant_with_warmup', { warmupSteps: 4 }, [0, 0.25, 0.5, 0.75, 1, 1]],
  [
    'linear',
    { warmupSteps: 2, totalSteps: 10 },
    [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0, 0],
  ],
  [
    'cosine',
    { warmupSteps: 2, totalSteps: 10, cycles: 3 },
    [0, 0.5, 1, c(1 / 8), c(1 / 4), c(3 / 8), 0.5, c(5 / 8), c(3 / 4), c(7 / 8), 0, 0.03806023374435663],
  ],
  [
    'cosine_with_restarts',
    { warmupSteps: 2, totalSteps: 10, cycles: 2 },
    [0, 0.5, 1, 0.8535533905932737, 0.5, c(3 / 4), 1, c(1 / 4), 0.5, 0.14644660940672624, 0, 0],
  ],
  [
    'polynomial',
    { warmupSteps: 2, totalSteps: 10, power: 2, learningRate: 1e-3 },
    [
      0, 0.5, 1, 0.765648437, 0.56254375, 0.390685937, 0.250075, 0.140710937, 0.06259375, 0.015723437, 1e-4,
      1e-4,
    ],
  ],
  ['piecewise_constant', { rules: '1:2,0.1:4,0.005' }, [1, 1, 0.1, 0.1, 0.005, 0.005]],
  [
    'one_cycle',
    { totalSteps: 10 },
    [0.04, 0.52, 1, 0.950484632, 0.811745654, 0.611262022, 0.388741978, 0.188258346, 0.049519368, 4e-6, 4e-6],
  ],
];

describe.each(cases)('%s %o', (name, options, factors) => {
  test('step by step', () => {
    const factor = learningRateSchedule(name, options);
    for (const [step, wanted] of factors.entries()) expect(factor(step)).toBeCloseTo(wanted, 8);
  });
});

test('every schedule has a case', () => {
  expect(new Set(cases.map(([name]) => name))).toEqual(new Set(learningRateScheduleNames));
});

test.each([
  ['cosin', {}, /"cosin".*constant, .*one_cycle/],
  ['linear', {}, /totalSteps is undefined.*linear/],
  ['cosine', { totalSteps: 2.5 }, /totalSteps is 2.5/],
  ['constant_with_warmup', { warmupSteps: -1 }, /warmupSteps is -1/],
  ['polynomial', { totalSteps: 9, learningRate: 1e-8 }, /learningRate is 1e-8/],
  ['piecewise_constant', {}, /rules are ""/],
  ['piecewise_constant', { rules: '1:x,2' }, /"1:x,2"/],
  ['piecewise_constant', { rules: '1:10' }, /"1:10"/],
  ['one_cycle', { totalSteps: 9, risingShare: 2 }, /risingShare is 2/],
] as const)('%s %o is refused', (name, options, message) => {
  expect(() => learningRateSchedule(name, options)).toThrow(message);
});
