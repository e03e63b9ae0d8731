/** Operators that no runtime has at opset 18, written in terms of those it has, when the model is. */
import { type Tensor, float32 } from '../tensor';
import { Graph, type Node, type Value } from './graph';
import { append, op, type InputsOf, type AttributesOf, type OpType } from './operators';

type Lowering<T extends OpType> = (inputs: InputsOf<T>, attributes: AttributesOf<T>) => readonly Value[];

const lowerings: { readonly [T in OpType]?: Lowering<T> } = {
  // A group is a row: LayerNormalization over it gives the mean and the deviation that the gradient wants, too.
  GroupNormalization([x, scale, bias], { num_groups, epsilon }) {
    const [n, c, h, w] = x.shape as [number, number, number, number];
    const row = (c / num_groups) * h * w;
    const ones = x.graph.constant(float32([row], new Float32Array(row).fill(1)), `ones_${x.graph.nodes.length}`);
    const rows = op.Reshape(x, { shape: [n, num_groups, row] });
    const [normalized, , inverseDeviation] = op.LayerNormalization(rows, ones, { axis: -1, epsilon }) as [Value, Value, Value];
    const channels = op.Reshape(normalized, { shape: [n, c, h * w] });
    const perChannel = (v: Value) => op.Reshape(v, { shape: [1, c, 1] });
    const y = op.Add(op.Mul(channels, perChannel(scale)), perChannel(bias));
    return [op.Reshape(y, { shape: x.shape }), channels, inverseDeviation];
  },

  Attention([q, k, v, mask], { scale }) {
    const scores = op.FusedMatMul(q, k, { transB: 1, alpha: scale });
    const probabilities = op.Softmax(mask ? op.Add(scores, mask) : scores, { axis: -1 });
    return [op.MatMul(probabilities, v), probabilities];
  },
};

/** The nodes that `outputs` need, in the order they were appended. */
export function neededNodes(outputs: readonly Value[]): Node[] {
  const needed = new Set<Node>();
  const stack = [...outputs];
  for (let value = stack.pop(); value; value = stack.pop()) {
    if (value.source.kind !== 'node' || needed.has(value.source.node)) continue;
    needed.add(value.source.node);
    for (const input of value.source.node.inputs) if (input) stack.push(input);
  }
  return (outputs[0]?.graph.nodes ?? []).filter((node) => needed.has(node));
}

/** A copy of what `outputs` need, in operators that runtimes have. Input names stay. */
export function lower(outputs: readonly Value[]): { graph: Graph; outputs: Value[] } {
  const graph = new Graph();
  const copies = new Map<Value, Value>();
  const copyOf = (value: Value): Value => {
    const known = copies.get(value);
    if (known) return known;
    const copy = copyLeaf(graph, value);
    copies.set(value, copy);
    return copy;
  };
  for (const node of neededNodes(outputs)) {
    const inputs = node.inputs.map((input) => input && copyOf(input));
    const opType = node.opType as OpType;
    const lowering = lowerings[opType] as Lowering<OpType> | undefined;
    const made = lowering
      ? lowering(inputs as never, node.attributes as never)
      : [append(graph, opType, inputs, node.attributes)].flat();
    node.outputs.forEach((output, i) => {
      copies.set(output, made[i]!);
    });
  }
  return { graph, outputs: outputs.map(copyOf) };
}

function copyLeaf(graph: Graph, value: Value): Value {
  const { source, name } = value;
  if (source.kind === 'input') return graph.input(name, value.dtype, value.shape, Object.fromEntries(source.openAxes));
  if (source.kind === 'stored') return graph.stored(name, source.tensor);
  if (source.kind === 'constant') return graph.constant(source.tensor as Tensor, name);
  throw new Error(`${name} is computed by a node that was not copied before it`);
}
