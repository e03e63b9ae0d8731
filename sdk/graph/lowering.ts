/** Operators that no runtime has at opset 18, written in terms of those it has, when the model is. */
import { GraphError } from '../errors';
import type { StoredTensor, Tensor } from '../tensor';
import { type AttributeValue, Graph, type Node, type Subgraph, type Value } from './graph';
import { type AttributesOf, append, type InputsOf, type OpType, op } from './operators';
import { isBetterUnfolded, unfoldedConv } from './unfold';

/** Undefined where the operator is best as it is. */
type Lowering<T extends OpType> = (
  inputs: InputsOf<T>,
  attributes: AttributesOf<T>,
  outputs: readonly Value[],
) => readonly Value[] | undefined;

const lowerings: { readonly [T in OpType]?: Lowering<T> } = {
  // A group is a row: LayerNormalization over it gives the mean and the deviation that the gradient wants, too.
  GroupNormalization([x, scale, bias], { num_groups, epsilon }) {
    const [n, c, h, w] = x.shape as [number, number, number, number];
    const row = (c / num_groups) * h * w;
    const ones = op.Expand(x.graph.scalar(1, x.dtype), { shape: [row] });
    const rows = op.Reshape(x, { shape: [n, num_groups, row] });
    const [normalized, , inverseDeviation] = op.LayerNormalization(rows, ones, { axis: -1, epsilon }) as [
      Value,
      Value,
      Value,
    ];
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

  Conv([x, w, b], window, [y]) {
    const [batch, , ...size] = y!.shape as [number, number, number, number];
    // Unfolding writes the kernel's sizes into the graph; those of a LoRA are only known when it runs.
    if (w.source.kind === 'input' && w.source.openAxes.size > 0) return undefined;
    if (!isBetterUnfolded(batch, size[0]! * size[1]!, window.group)) return undefined;
    return [unfoldedConv(x, w, b, window, size)];
  },
};

/** The nodes that `outputs` need, in the order they were appended. */
export function neededNodes(outputs: readonly Value[]): Node[] {
  const { graph } = outputs[0] ?? {};
  const needed = new Set<Node>();
  const stack = [...outputs];
  for (let value = stack.pop(); value; value = stack.pop()) {
    if (value.graph !== graph) {
      throw new GraphError(
        value.name,
        `belongs to another graph than ${outputs[0]!.name}; ask for values of one graph`,
      );
    }
    if (value.source.kind !== 'node' || needed.has(value.source.node)) continue;
    needed.add(value.source.node);
    for (const input of value.source.node.inputs) if (input) stack.push(input);
  }
  return (graph?.nodes ?? []).filter((node) => needed.has(node));
}

/**
 * What is made of weights and constants alone leads the file: among a node's inputs the runtime computes the last in the
 * file first, and a weight cast or turned before all that comes in from elsewhere would lie about until that is there.
 */
export function constantsFirst(nodes: readonly Node[]): Node[] {
  const constant = new Set<Node>();
  for (const node of nodes) {
    const isConstant = node.inputs.every(
      (input) =>
        !input ||
        input.source.kind === 'stored' ||
        input.source.kind === 'constant' ||
        (input.source.kind === 'node' && constant.has(input.source.node)),
    );
    if (isConstant && node.opType !== 'Loop') constant.add(node);
  }
  return [...constant, ...nodes.filter((node) => !constant.has(node))];
}

/** The stored weights that `outputs` need, within loops, too; each once. */
export function storedWeights(outputs: readonly Value[]): StoredTensor[] {
  const nodes = neededNodes(outputs);
  const read = new Set([...outputs, ...nodes.flatMap(({ inputs }) => inputs)]);
  const own = [...read].flatMap((value) => (value?.source.kind === 'stored' ? [value.source.tensor] : []));
  const bodies = nodes.flatMap(({ attributes }) => Object.values(attributes).filter(isSubgraph));
  return [...own, ...bodies.flatMap((body) => storedWeights(body.outputs))];
}

const isSubgraph = (value: AttributeValue): value is Subgraph =>
  value instanceof Object && 'outputs' in value;

export interface LoweringOptions {
  /**
   * Whether each use of a stored weight in half precision has a cast of its own, so that its copy in single precision
   * lives for that use alone; else one cast serves all, from the forward pass to the backward pass.
   */
  readonly castAtUse?: boolean;
}

/**
 * A copy of what `outputs` need, in operators that runtimes have; names of inputs and stored weights stay. As ONNX
 * wants it, each output is made by a node of its own.
 */
export function lower(
  outputs: readonly Value[],
  options: LoweringOptions = {},
): { graph: Graph; outputs: Value[] } {
  return copyGraph(new Graph(), [], outputs, options);
}

/** Whether a node brings a stored weight to the precision of computing. */
export const isWeightCast = ({ opType, inputs }: Node): boolean =>
  opType === 'Cast' && inputs[0]?.source.kind === 'stored';

/** `first` are inputs that are copied in their order whether needed or not. */
function copyGraph(
  graph: Graph,
  first: readonly Value[],
  outputs: readonly Value[],
  { castAtUse = false }: LoweringOptions = {},
) {
  const copies = new Map<Value, Value>();
  const copyOf = (value: Value): Value => {
    if (castAtUse && value.source.kind === 'node' && isWeightCast(value.source.node))
      return op.Cast(copyOf(value.source.node.inputs[0]!), { to: value.dtype });
    const known = copies.get(value);
    if (known) return known;
    const copy = copyLeaf(graph, value);
    copies.set(value, copy);
    return copy;
  };
  const nodes = neededNodes(outputs);
  // Before any node, whose name would give way to theirs.
  const named = [...outputs, ...nodes.flatMap(({ inputs }) => inputs)].filter(
    (value) => value?.source.kind === 'input' || value?.source.kind === 'stored',
  ) as Value[];
  const inputs = first.map(copyOf);
  named.forEach(copyOf);
  for (const node of nodes) {
    if (castAtUse && isWeightCast(node)) continue;
    const made = copyNode(
      graph,
      node,
      node.inputs.map((input) => input && copyOf(input)),
    );
    node.outputs.forEach((output, i) => {
      copies.set(output, made[i]!);
    });
  }
  const taken = new Set<Value>();
  const own = outputs.map((output) => {
    const copy = copyOf(output);
    const result = copy.source.kind !== 'node' || taken.has(copy) ? op.Identity(copy) : copy;
    taken.add(result);
    return result;
  });
  return { graph, inputs, outputs: own };
}

function copyNode(graph: Graph, node: Node, inputs: readonly (Value | undefined)[]): readonly Value[] {
  const opType = node.opType as OpType;
  const lowering = lowerings[opType] as Lowering<OpType> | undefined;
  const lowered = lowering?.(inputs as never, node.attributes as never, node.outputs);
  if (lowered) return lowered;
  const attributes = Object.entries(node.attributes).map(([name, value]) => [
    name,
    isSubgraph(value)
      ? copyGraph(new Graph(`${graph.scope}${opType}_${graph.nodes.length}/`), value.inputs, value.outputs)
      : value,
  ]);
  return [append(graph, opType, inputs, Object.fromEntries(attributes))].flat();
}

function copyLeaf(graph: Graph, value: Value): Value {
  const { source } = value;
  const name = value.name.slice(value.graph.scope.length);
  if (source.kind === 'input')
    return graph.input(name, value.dtype, value.shape, Object.fromEntries(source.openAxes));
  if (source.kind === 'stored') return graph.stored(name, source.tensor);
  if (source.kind === 'constant') return graph.constant(source.tensor as Tensor, name);
  throw new Error(`${name} is computed by a node that was not copied before it`);
}
