/** Every operator of the table, and its gradient, has a CUDA kernel at opset 18 for the types that models compute in. */
import { describe, expect, test } from 'vitest';
import { backward } from '../../sdk/autodiff/backward';
import { Graph, type Value } from '../../sdk/graph/graph';
import { loop } from '../../sdk/graph/loop';
import { type OpType, op, operators } from '../../sdk/graph/operators';
import { withoutCudaKernel } from './cuda-kernels';
import { buildCase, type OperatorCase } from './operator-case';
import { operatorCases } from './operator-cases';

/** Cases in whole numbers or truths that CUDA leaves to the CPU; no model of ours has such a node. */
const leftToTheCpu: Partial<Record<OpType, string[]>> = {
  Pad: ['whole numbers'],
};

/** The sum of what a case computes and of the gradients of its float32 inputs, where it has them. */
function everything(opType: OpType, each: OperatorCase<OpType>): Value[] {
  const { outputs, inputs } = buildCase(opType, each);
  const [y] = outputs as [Value];
  const parameters = inputs.filter((input) => input?.dtype === 'float32') as Value[];
  if (each.gradientRefused || parameters.length === 0 || y.dtype !== 'float32') return [...outputs];
  const axes = y.shape.map((_, axis) => axis);
  const square = op.Mul(y, y);
  const loss = axes.length > 0 ? op.ReduceSum(square, { axes, keepdims: 0 }) : square;
  return [...outputs, ...backward(loss, parameters).filter((gradient) => gradient !== null)];
}

describe.each(Object.keys(operators) as OpType[])('%s', (opType) => {
  const cases = (operatorCases[opType] ?? []) as readonly OperatorCase<OpType>[];
  test('has a CUDA kernel in every case, and so has its gradient', () => {
    expect(cases.length).toBeGreaterThan(0);
    const left: string[] = [];
    for (const each of cases) {
      const missing = withoutCudaKernel(everything(opType, each));
      if (leftToTheCpu[opType]?.includes(each.title)) {
        expect(missing, each.title).not.toEqual([]);
        left.push(each.title);
      } else {
        expect(missing, each.title).toEqual([]);
      }
    }
    expect(left).toEqual(leftToTheCpu[opType] ?? []);
  });
});

describe('a node without a kernel is found', () => {
  test('in a graph', () => {
    const x = new Graph().input('x', 'int64', [2]);
    expect(withoutCudaKernel([op.Pad(x, { pads: [1, 0] })])).toEqual(['Pad(int64): 0 kernels']);
  });

  test('in the body of a loop', () => {
    const x = new Graph().input('x', 'int64', [2]);
    const { state } = loop(2, [x], [], (_, [value]) => ({
      state: [op.Slice(op.Pad(value!, { pads: [1, 0] }), { starts: [0], ends: [2], axes: [0], steps: [1] })],
    }));
    expect(withoutCudaKernel(state)).toEqual(['Pad(int64): 0 kernels']);
  });

  test('for bfloat16 convolutions, which opset 18 does not have', () => {
    const graph = new Graph();
    const [x, w] = [
      [1, 2, 3, 3],
      [2, 2, 1, 1],
    ].map((shape, i) => graph.input(`${i}`, 'bfloat16', shape)) as [Value, Value];
    const window = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
    expect(withoutCudaKernel([op.Conv(x, w, window)])).toEqual(['Conv(bfloat16, bfloat16): 0 kernels']);
  });
});
