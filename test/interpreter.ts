/** Runs a graph in float64, operator by operator, as the judge of shapes, lowering, onnxruntime and gradients. */
import type { Node, Value } from '../sdk/graph/graph';
import { neededNodes } from '../sdk/graph/lowering';
import type { OpType } from '../sdk/graph/operators';
import type { Tensor } from '../sdk/tensor';
import { type Interpret, kernels } from './interpreter-kernels';
import { array, fromTensor, type NumberArray } from './number-array';

/** By input name. A list of numbers takes its input's type and shape; stored weights are fed by their name, too. */
export type NumberFeeds = Readonly<Record<string, NumberArray | ArrayLike<number>>>;

/** What `outputs` come to. Between float types nothing is rounded: results are those of real numbers, nearly. */
export function interpret<Name extends string>(
  outputs: Readonly<Record<Name, Value>>,
  feeds: NumberFeeds,
): Record<Name, NumberArray> {
  const known = new Map<Value, NumberArray>();
  const evaluate = (value: Value): NumberArray => {
    const computed = known.get(value);
    if (computed) return computed;
    const leaf = readLeaf(value, feeds);
    known.set(value, leaf);
    return leaf;
  };
  for (const node of neededNodes(Object.values<Value>(outputs))) {
    run(node, evaluate).forEach((result, i) => {
      known.set(node.outputs[i]!, result);
    });
  }
  const entries = Object.entries<Value>(outputs).map(([name, value]) => [name, evaluate(value)]);
  return Object.fromEntries(entries) as Record<Name, NumberArray>;
}

function run(node: Node, evaluate: (value: Value) => NumberArray): readonly NumberArray[] {
  const kernel = kernels[node.opType as OpType] as unknown as (
    inputs: readonly (NumberArray | undefined)[],
    attributes: Node['attributes'],
    interpret: Interpret,
  ) => NumberArray | readonly NumberArray[];
  const inputs = node.inputs.map((input) => input && evaluate(input));
  return [kernel(inputs, node.attributes, interpret)].flat();
}

function readLeaf({ name, dtype, shape, source }: Value, feeds: NumberFeeds): NumberArray {
  if (source.kind === 'constant') return fromTensor(source.tensor as Tensor);
  const feed = feeds[name];
  if (!feed) throw new Error(`"${name}" is not fed`);
  return 'dtype' in feed ? feed : array(dtype, shape, feed);
}
