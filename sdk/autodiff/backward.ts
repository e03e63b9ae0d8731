/** Reverse-mode differentiation: walks a graph's nodes backwards and appends those that compute the gradients. */
import { GraphError, UnsupportedGradientError } from '../errors';
import { describe, type Node, type Value } from '../graph/graph';
import { neededNodes } from '../graph/lowering';
import { type OpType, op } from '../graph/operators';
import { type GradientRule, notDifferentiable } from './gradient-rule';
import { gradients } from './gradients';

/**
 * Gradients of the scalar `loss` with respect to each of `parameters`, in their order and shapes. Null for a
 * parameter that the loss does not depend on, or only through an operator marked notDifferentiable. Only what lies
 * between the two is differentiated. Throws UnsupportedGradientError where a rule is missing or refuses.
 */
export function backward(loss: Value, parameters: readonly Value[]): (Value | null)[] {
  if (loss.shape.length > 0)
    throw new GraphError(describe(loss), 'a loss is a scalar; reduce it over all axes');
  const nodes = neededNodes([loss]);
  const depends = dependentsOf(nodes, parameters);
  const gradientOf = new Map<Value, Value>([[loss, loss.graph.scalar(1, loss.dtype)]]);
  for (const node of nodes.toReversed()) {
    const dys = node.outputs.map((output) => gradientOf.get(output) ?? null);
    if (!depends.has(node) || dys.every((dy) => dy === null)) continue;
    differentiate(node, dys).forEach((dx, i) => {
      const x = node.inputs[i];
      if (!x || !dx || !(depends.has(x) || isNodeOf(x, depends))) return;
      const summed = sumToShape(dx, x);
      const known = gradientOf.get(x);
      gradientOf.set(x, known ? op.Add(known, summed) : summed);
    });
  }
  return parameters.map((parameter) => gradientOf.get(parameter) ?? null);
}

const isNodeOf = (x: Value, nodes: ReadonlySet<Node | Value>) =>
  x.source.kind === 'node' && nodes.has(x.source.node);

/** The parameters and every node downstream of one; nothing flows through a node marked notDifferentiable. */
function dependentsOf(nodes: readonly Node[], parameters: readonly Value[]): ReadonlySet<Node | Value> {
  const dependents = new Set<Node | Value>(parameters);
  for (const node of nodes) {
    if (gradients[node.opType as OpType] === notDifferentiable) continue;
    if (node.inputs.some((x) => x && (dependents.has(x) || isNodeOf(x, dependents)))) dependents.add(node);
  }
  return dependents;
}

function differentiate(node: Node, dys: readonly (Value | null)[]): readonly (Value | null)[] {
  const { opType, name, inputs, outputs, attributes } = node;
  const rule = gradients[opType as OpType];
  // A node marked notDifferentiable has no dependents, so the walk does not come here with one.
  if (rule === notDifferentiable) return inputs.map(() => null);
  // Beyond the first, outputs hold what a gradient rule reuses (statistics, probabilities); only Split's are all results.
  if (opType !== 'Split' && dys.slice(1).some((dy) => dy !== null)) {
    throw new UnsupportedGradientError(opType, name, 'the loss depends on another output than the first');
  }
  const context = { inputs, outputs, output: outputs[0], attributes, dy: dys[0], dys };
  try {
    return (rule as unknown as (context: unknown) => ReturnType<GradientRule<'Add'>>)(context);
  } catch (error) {
    throw new UnsupportedGradientError(opType, name, error instanceof Error ? error.message : String(error));
  }
}

/** Sums `dx` over the axes along which `x` was broadcast. */
function sumToShape(dx: Value, x: Value): Value {
  if (dx.shape.join() === x.shape.join()) return dx;
  const extra = dx.shape.length - x.shape.length;
  const axes = dx.shape.flatMap((size, i) =>
    i < extra || (x.shape[i - extra] === 1 && size !== 1) ? [i] : [],
  );
  const summed = axes.length > 0 ? op.ReduceSum(dx, { axes, keepdims: 0 }) : dx;
  return summed.shape.join() === x.shape.join() ? summed : op.Reshape(summed, { shape: x.shape });
}
