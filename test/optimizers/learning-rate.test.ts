import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type LearningRateOptions,
  learningRateSchedule,
  learningRateScheduleNames,
} from '../../sdk/optimizers/learning-rate';

// Of diffusers' get_scheduler and PyTorch's OneCycleLR; make-learning-rates.py beside the file says how.
interface Case {
  readonly name: string;
  readonly options: LearningRateOptions;
  readonly factors: readonly number[];
}
const file = new URL('../../fixtures/optimizers/learning-rates.json', import.meta.url);
const cases = JSON.parse(readFileSync(file, 'utf8')) as readonly Case[];

describe.each(cases)('$name $options', ({ name, options, factors }) => {
  test('step by step', () => {
    const factor = learningRateSchedule(name, options);
    expect(factors.length).toBeGreaterThan(12);
    for (const [step, wanted] of factors.entries()) expect(factor(step)).toBeCloseTo(wanted, 12);
  });
});

test('every schedule has a case', () => {
  expect(new Set(cases.map(({ name }) => name))).toEqual(new Set(learningRateScheduleNames));
});

test.each([
  ['cosin', {}, /"cosin".*constant, .*one_cycle/],
  ['linear', {}, /totalSteps is undefined.*linear/],
  ['cosine', { totalSteps: 2.5 }, /totalSteps is 2.5/],
  ['constant_with_warmup', { warmupSteps: -1 }, /warmupSteps is -1/],
  ['polynomial', { totalSteps: 9, learningRate: 1e-8 }, /learningRate is 1e-8/],
  ['polynomial', { totalSteps: 9, learningRate: 1e-4, end: 1e-3 }, /ends at 0.001/],
  ['piecewise_constant', {}, /rules are ""/],
  ['piecewise_constant', { rules: '1:x,2' }, /"1:x,2"/],
  ['piecewise_constant', { rules: '1:10' }, /"1:10"/],
  ['one_cycle', { totalSteps: 9, risingShare: 2 }, /risingShare is 2/],
] as const)('%s %o is refused', (name, options, message) => {
  expect(() => learningRateSchedule(name, options)).toThrow(message);
});
