/** The walker: order, accumulation, what depends on what. */
import { describe, expect, test } from 'vitest';
import { backward } from '../../sdk/autodiff/backward';
import { GraphError, UnsupportedGradientError } from '../../sdk/errors';
import { Graph, type Value } from '../../sdk/graph/graph';
import { op } from '../../sdk/graph/operators';
import { interpret } from '../interpreter';

const sum = (x: Value) =>
  x.shape.length === 0 ? x : op.ReduceSum(x, { axes: x.shape.map((_, axis) => axis), keepdims: 0 });

function vectors() {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [2]);
  const y = graph.input('y', 'float32', [2]);
  return { graph, x, y, feeds: { x: [2, 3], y: [5, 7] } };
}
const numbers = (value: Value | null, feeds: Record<string, number[]>) => [
  ...interpret({ value: value! }, feeds).value.data,
];

describe('backward', () => {
  test('adds up the gradients of a value that is used several times', () => {
    const { x, y, feeds } = vectors();
    const square = op.Mul(x, x);
    // d/dx (x³ + x²·y + y) = 3x² + 2xy
    const [dx, dy] = backward(sum(op.Add(op.Add(op.Mul(square, x), op.Mul(square, y)), y)), [x, y]);
    expect(numbers(dx!, feeds)).toEqual([12 + 20, 27 + 42]);
    expect(numbers(dy!, feeds)).toEqual([4 + 1, 9 + 1]);
  });

  test('gives the gradient of a value inside the graph', () => {
    const { x, y, feeds } = vectors();
    const product = op.Mul(x, y);
    const [gradient] = backward(sum(op.Mul(product, product)), [product]);
    expect(numbers(gradient!, feeds)).toEqual([20, 42]);
  });

  test('gives 1 for the loss itself and null for what it does not depend on', () => {
    const { x, y, feeds } = vectors();
    const loss = sum(x);
    const [one, none] = backward(loss, [loss, y]);
    expect(numbers(one!, feeds)).toEqual([1]);
    expect(none).toBeNull();
  });

  test('appends nothing for branches without a parameter', () => {
    const { graph, x, y } = vectors();
    const loss = sum(op.Mul(op.Exp(op.Sin(y)), x));
    const before = graph.nodes.length;
    backward(loss, [x]);
    const added = graph.nodes.slice(before).map(({ opType }) => opType);
    expect(added).not.toContain('Cos');
  });

  test('goes around an operator that stops it', () => {
    const { x, feeds } = vectors();
    // x·sign(x): only the first factor has a slope.
    const [gradient] = backward(sum(op.Mul(x, op.Sign(op.Neg(x)))), [x]);
    expect(numbers(gradient!, feeds)).toEqual([-1, -1]);
  });

  test('differentiates twice', () => {
    const { x, feeds } = vectors();
    const [first] = backward(sum(op.Mul(op.Mul(x, x), x)), [x]);
    const [second] = backward(sum(first!), [x]);
    expect(numbers(second!, feeds)).toEqual([12, 18]);
  });

  test('refuses a loss that is not a scalar, naming it and its shape', () => {
    const { x } = vectors();
    const loss = op.Exp(x);
    expect(() => backward(loss, [x])).toThrow(GraphError);
    expect(() => backward(loss, [x])).toThrow('Exp_0 float32[2]');
  });

  test('names operator, node and reason where no gradient flows', () => {
    const { graph, x } = vectors();
    const scale = graph.input('scale', 'float32', [2]);
    const [, mean] = op.LayerNormalization(x, scale, { axis: -1, epsilon: 1e-5 });
    const attempt = () => backward(sum(mean!), [x]);
    expect(attempt).toThrow(UnsupportedGradientError);
    expect(attempt).toThrow(
      'LayerNormalization at "LayerNormalization_0": the loss depends on another output',
    );
  });
});
