/**
 * The gradient table, entry by entry: `backward` of a randomly weighted sum of an operator's results against central
 * finite differences of the same sum, both in the float64 interpreter; and the gradients' own graphs in onnxruntime.
 */
import { describe, expect, test } from 'vitest';
import { backward } from '../../sdk/autodiff/backward';
import { notDifferentiable } from '../../sdk/autodiff/gradient-rule';
import { gradients } from '../../sdk/autodiff/gradients';
import { UnsupportedGradientError } from '../../sdk/errors';
import type { Value } from '../../sdk/graph/graph';
import { isReal, type OpType, op } from '../../sdk/graph/operators';
import { createRandom } from '../../sdk/random';
import { createSession } from '../../sdk/runtime/session';
import { float32, sizeOf } from '../../sdk/tensor';
import { type BuiltCase, buildCase, type OperatorCase } from '../graph/operator-case';
import { operatorCases } from '../graph/operator-cases';
import { interpret, type NumberFeeds } from '../interpreter';
import { fromTensor, type NumberArray, toTensor } from '../number-array';

const step = 1e-4;
const differentiable = (dtype: string) => dtype === 'float32';

/** Σ of every result times a random weight; `parts` says which of the outputs count. */
function weightedSum({ graph, outputs }: BuiltCase, parts: (output: number) => boolean): Value {
  const random = createRandom(5);
  const terms = outputs
    .filter((_, i) => parts(i))
    .map((output) => {
      const weights = graph.constant(float32(output.shape, random.normals(sizeOf(output.shape))), 'weights');
      const axes = output.shape.map((_, axis) => axis);
      const real = output.dtype === 'float32' ? output : op.Cast(output, { to: 'float32' });
      const weighted = op.Mul(real, weights);
      return axes.length > 0 ? op.ReduceSum(weighted, { axes, keepdims: 0 }) : weighted;
    });
  return terms.reduce((sum, term) => op.Add(sum, term));
}

/** d loss / d each number fed as `name`. */
function finiteDifferences(
  loss: Value,
  name: string,
  feeds: Readonly<Record<string, NumberArray>>,
): number[] {
  const fed = feeds[name]!;
  const lossAt = (i: number, shift: number) => {
    const data = fed.data.slice();
    data[i]! += shift;
    return interpret({ loss }, { ...feeds, [name]: { ...fed, data } }).loss.data[0]!;
  };
  return Array.from(fed.data, (_, i) => (lossAt(i, step) - lossAt(i, -step)) / (2 * step));
}

function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>, tolerance: number, name: string) {
  expect(found.length, name).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const difference = Math.abs(found[i]! - wanted[i]!);
    const message = `${name} at ${i}: ${found[i]} against ${wanted[i]}`;
    expect(difference, message).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(wanted[i]!)));
  }
}

async function expectGradients(built: BuiltCase, loss: Value) {
  const inputs = built.inputs.filter(
    (input) => input !== undefined && differentiable(input.dtype),
  ) as Value[];
  const found = Object.fromEntries(
    backward(loss, inputs).map((gradient, i) => {
      expect(gradient, `gradient of ${inputs[i]!.name}`).not.toBeNull();
      expect(gradient!.shape, `shape of the gradient of ${inputs[i]!.name}`).toEqual(inputs[i]!.shape);
      return [inputs[i]!.name, gradient!];
    }),
  );
  const exact = interpret(found, built.feeds as NumberFeeds);
  for (const { name } of inputs) {
    expectClose(exact[name]!.data, finiteDifferences(loss, name, built.feeds), 1e-6, name);
  }
  const session = await createSession(found, { threads: 1, optimization: 'basic' });
  const feeds = Object.entries(built.feeds).map(([name, numbers]) => [name, toTensor(numbers)] as const);
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  // A gradient that passes through half precision is rounded to it.
  const precision = built.outputs[0]!.dtype === 'float16' ? 2 ** -11 : 2e-5;
  for (const { name } of inputs) {
    expectClose(fromTensor(results[name]!).data, exact[name]!.data, precision, `${name} in onnxruntime`);
  }
}

describe.each(Object.keys(gradients) as OpType[])('%s', (opType) => {
  const rule = gradients[opType];
  const cases = ((operatorCases[opType] ?? []) as readonly OperatorCase<OpType>[]).filter(({ inputs }) =>
    inputs.some((input) => input && differentiable(input.dtype)),
  );
  const refused = cases.filter(({ gradientRefused }) => gradientRefused);
  const accepted = cases.filter(({ gradientRefused }) => !gradientRefused);

  test('has cases with floating-point inputs', () => {
    expect(accepted.length + (opType === 'Loop' ? refused.length : 0)).toBeGreaterThan(0);
  });

  if (rule === notDifferentiable) {
    test.each(cases.map((each) => [each.title, each] as const))('stops the gradient: %s', (_, each) => {
      const built = buildCase(opType, each);
      const loss = weightedSum(built, () => true);
      const parameters = built.inputs.filter((input) => input !== undefined) as Value[];
      expect(backward(loss, parameters)).toEqual(parameters.map(() => null));
    });
    return;
  }

  test.each(refused.map((each) => [each.title, each] as const))('is refused: %s', (_, each) => {
    const built = buildCase(opType, each);
    const loss = weightedSum(built, (output) => output === 0);
    const parameters = built.inputs.filter((input) => input && differentiable(input.dtype)) as Value[];
    expect(() => backward(loss, parameters)).toThrow(UnsupportedGradientError);
    expect(() => backward(loss, parameters)).toThrow(built.outputs[0]!.name);
  });

  test.each(accepted.map((each) => [each.title, each] as const))('%s', async (_, each) => {
    const built = buildCase(opType, each);
    const { dtype } = built.outputs[0]!;
    if (!isReal(dtype)) {
      // Whole numbers and truths have no slope.
      const loss = weightedSum(built, () => true);
      expect(backward(loss, [built.inputs[0]!])).toEqual([null]);
      return;
    }
    await expectGradients(
      built,
      weightedSum(built, (output) => opType === 'Split' || output === 0),
    );
  });

  test.each(['float16', 'bfloat16', 'float64'] as const)(
    'in %s the gradients have the type of their inputs',
    (dtype) => {
      // Clip's bounds are float32.
      for (const each of opType === 'Clip' ? [] : accepted) {
        const typed = each.inputs.map((input) => (input?.dtype === 'float32' ? { ...input, dtype } : input));
        const built = buildCase(opType, { ...each, inputs: typed });
        const parameters = built.inputs.filter((input) => input?.dtype === dtype) as Value[];
        const found = backward(
          weightedSum(built, (output) => output === 0),
          parameters,
        );
        for (const gradient of found) if (gradient) expect(gradient.dtype, each.title).toBe(dtype);
      }
    },
  );

  if (opType === 'Split') {
    test.each([0, 1, 2])('with part %d unused', async (unused) => {
      const built = buildCase(
        'Split',
        operatorCases.Split.find(({ attributes }) => attributes.split.length === 3)!,
      );
      await expectGradients(
        built,
        weightedSum(built, (output) => output !== unused),
      );
    });
  } else if (cases.some((each) => buildCase(opType, each).outputs.length > 1) && opType !== 'Loop') {
    test('a loss on a further output is refused', () => {
      const built = buildCase(opType, accepted[0]!);
      const loss = weightedSum(built, (output) => output === 1);
      expect(() => backward(loss, [built.inputs[0]!])).toThrow(UnsupportedGradientError);
    });
  }
});
