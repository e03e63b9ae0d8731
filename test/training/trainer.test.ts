import { expect, test } from 'vitest';
import { op } from '../../sdk/graph/operators';
import { adamWDefaults } from '../../sdk/optimizers/adamw';
import { createSession } from '../../sdk/runtime/session';
import { float32 } from '../../sdk/tensor';
import { createTrainer, type TrainingProblem } from '../../sdk/training/trainer';

/** Draws `p` to `x`: the gradient is p − x. */
const problem: TrainingProblem = {
  parameters: [{ name: 'p', shape: [3], group: 'all' }],
  build(graph, parameters) {
    const difference = op.Sub(parameters.get('p')!, graph.input('x', 'float32', [3]));
    const loss = op.ReduceSum(op.Mul(op.Mul(difference, difference), 0.5), { axes: [0], keepdims: 0 });
    return { loss, reports: {} };
  },
};
const trainer = (gradientAccumulationSteps: number) =>
  createTrainer(
    problem,
    () => [1, 2, 3],
    { optimizers: { all: adamWDefaults }, gradientAccumulationSteps },
    createSession,
  );
const batch = (...x: number[]) => ({ x: float32([3], x) });
const rates = { all: 0.1 };

test('an update comes when all runs are in, and its gradient is their mean', async () => {
  const [one, two] = [await trainer(1), await trainer(2)];
  expect((await two.step(batch(0, 0, 0), rates)).gradientNorm).toBeUndefined();
  expect(two.state().step).toBe(0);
  const { gradientNorm } = await two.step(batch(2, 2, 2), rates);
  expect(gradientNorm).toBeCloseTo((await one.step(batch(1, 1, 1), rates)).gradientNorm!, 6);
  expect([...two.parameters().get('p')!]).toEqual([...one.parameters().get('p')!]);
});

test('an update may come early: the gradient is then of the runs so far, over as many as there should have been', async () => {
  const four = await trainer(4);
  await four.step(batch(0, 0, 0), rates);
  const { gradientNorm } = await four.step(batch(0, 0, 0), rates, true);
  expect(gradientNorm).toBeCloseTo(Math.hypot(1, 2, 3) / 2, 6);
  expect(four.state().step).toBe(1);
  // What was gathered is spent: the next update begins anew.
  const [p] = four.parameters().values();
  const alone = await four.step(batch(...Array.from(p!, (x) => x - 4)), rates, true);
  expect(alone.gradientNorm).toBeCloseTo(Math.sqrt(3), 5);
});

test('an update may come late', async () => {
  const two = await trainer(2);
  for (let i = 0; i < 3; i++)
    expect((await two.step(batch(0, 0, 0), rates, false)).gradientNorm).toBeUndefined();
  expect((await two.step(batch(0, 0, 0), rates)).gradientNorm).toBeCloseTo(2 * Math.hypot(1, 2, 3), 5);
});
