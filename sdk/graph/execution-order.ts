/** The order in which onnxruntime runs a graph's nodes, which decides how much is alive at a time. */
import type { Node } from './graph';
import { fieldsOf } from './protobuf';

/**
 * The order in which onnxruntime runs `nodes`: depth first from the outputs, of a node's inputs the one made by the last
 * node of the file first (its `Graph::ReverseDFSFrom`).
 */
export function executionOrder(nodes: readonly Node[]): Node[] {
  const place = new Map(nodes.map((node, i) => [node, i]));
  const used = new Set<Node>();
  const makersOf = (node: Node): Node[] => {
    const makers = node.inputs.flatMap((input) => (input?.source.kind === 'node' ? [input.source.node] : []));
    return [...new Set(makers)].sort((x, y) => place.get(x)! - place.get(y)!);
  };
  for (const node of nodes) for (const maker of makersOf(node)) used.add(maker);
  const ordered: Node[] = [];
  const visited = new Set<Node>();
  const stack: { node: Node; done: boolean }[] = nodes
    .filter((node) => !used.has(node))
    .map((node) => ({ node, done: false }));
  for (let entry = stack.pop(); entry; entry = stack.pop()) {
    const { node, done } = entry;
    if (done) {
      ordered.push(node);
    } else if (!visited.has(node)) {
      visited.add(node);
      stack.push({ node, done: true });
      for (const maker of makersOf(node)) if (!visited.has(maker)) stack.push({ node: maker, done: false });
    }
  }
  return ordered;
}

/** Fields of ModelProto and GraphProto. */
const graphField = 7;
const nodeField = 1;

/**
 * A model that onnxruntime wrote has its nodes in the order it ran them. Read again so, that order would be another: of a
 * node's inputs the one that was made last would now be made first. Turned about, the nodes run as they did.
 */
export function asItRan(model: Uint8Array): Uint8Array {
  const turned = new Uint8Array(model.length);
  let at = 0;
  const append = (piece: Uint8Array) => {
    turned.set(piece, at);
    at += piece.length;
  };
  for (const { number, whole, content } of fieldsOf(model)) {
    if (number !== graphField) {
      append(whole);
      continue;
    }
    append(whole.subarray(0, whole.length - content.length));
    const fields = [...fieldsOf(content)];
    const nodes = fields.filter((field) => field.number === nodeField).reverse();
    const others = fields.filter((field) => field.number !== nodeField);
    for (const field of [...nodes, ...others]) append(field.whole);
  }
  return turned;
}
