/**
 * What running a graph takes, told from the graph alone: memory by walking the nodes in the runtime's order and counting
 * which values are alive, work by counting operations.
 */
import { dataTypes, sizeOf } from '../tensor';
import { executionOrder } from './execution-order';
import type { Node, Value, ValueType } from './graph';
import { constantsFirst, type LoweringOptions, lower, neededNodes } from './lowering';

export interface Footprint {
  readonly nodes: number;
  /** Most bytes of intermediate values alive at a time; what is fed and stored is not among them. */
  readonly activations: number;
  /** Bytes of weights that are read where they lie, in their files. */
  readonly stored: number;
  /** Multiply-adds of convolutions and matrix products, times two. */
  readonly convolutionOperations: number;
  readonly productOperations: number;
  /** Bytes read and written by all other operators. */
  readonly moved: number;
  /** Elements of exponentials and their kin. */
  readonly transcendentals: number;
}

/** Of the graph that computes `outputs`, as the runtime gets it. */
export function footprint(outputs: readonly Value[], options: LoweringOptions = {}): Footprint {
  const lowered = lower(outputs, options);
  const nodes = executionOrder(constantsFirst(neededNodes(lowered.outputs)));
  const stored = new Set(
    nodes.flatMap(({ inputs }) => inputs).filter((value) => value?.source.kind === 'stored'),
  );
  const work = { convolutionOperations: 0, productOperations: 0, moved: 0, transcendentals: 0 };
  for (const node of nodes) {
    if (views.has(node.opType)) continue;
    const [output] = node.outputs as [Value];
    const [a, b] = node.inputs as [Value, Value];
    if (node.opType === 'Conv') work.convolutionOperations += 2 * sizeOf(output.shape) * rowOf(b);
    else if (node.opType === 'ConvTranspose') work.convolutionOperations += 2 * sizeOf(a.shape) * rowOf(b);
    else if (products.has(node.opType))
      work.productOperations += 2 * sizeOf(output.shape) * sharedAxis(node, a);
    else {
      work.moved += [...node.inputs, ...node.outputs].reduce((sum, value) => sum + bytesOf(value), 0);
      if (transcendental.has(node.opType)) work.transcendentals += sizeOf(output.shape);
    }
  }
  return {
    nodes: nodes.length,
    activations: mostAlive(nodes, lowered.outputs),
    stored: [...stored].reduce((sum, value) => sum + bytesOf(value), 0),
    ...work,
  };
}

const views = new Set(['Reshape', 'Identity']);
const products = new Set(['MatMul', 'FusedMatMul', 'Gemm']);
const transcendental = new Set([
  'Softmax',
  'QuickGelu',
  'Gelu',
  'Sigmoid',
  'Tanh',
  'Exp',
  'Erf',
  'Log',
  'Sin',
  'Cos',
]);
/** Kernels that may write their output where an input of the same size lay that nobody else reads. */
const inPlace = new Set('Add Sub Mul Div Neg Abs Sqrt Exp Erf Sigmoid Tanh Relu Min Max Clip Log'.split(' '));

const bytesOf = (value: ValueType | undefined): number =>
  value ? sizeOf(value.shape) * dataTypes[value.dtype].bytes : 0;
const rowOf = ({ shape }: Value): number => sizeOf(shape.slice(1));
const sharedAxis = ({ attributes }: Node, a: Value): number =>
  a.shape.at(attributes['transA'] === 1 ? -2 : -1) ?? 1;

/** The most bytes alive at once when `nodes` run in this order; `outputs` live to the end. */
function mostAlive(nodes: readonly Node[], outputs: readonly Value[]): number {
  interface Buffer {
    readonly bytes: number;
    readers: number;
  }
  const buffers = new Map<Value, Buffer>();
  const readers = new Map<Value, number>();
  const count = (value: Value | undefined) => {
    if (value) readers.set(value, (readers.get(value) ?? 0) + 1);
  };
  for (const node of nodes) node.inputs.forEach(count);
  outputs.forEach(count);

  let alive = 0;
  let most = 0;
  for (const node of nodes) {
    const own = node.inputs.map((input) => input && buffers.get(input));
    node.outputs.forEach((output, i) => {
      const bytes = bytesOf(output);
      const reading = readers.get(output) ?? 0;
      const free = own.find((buffer) => buffer && buffer.bytes === bytes && buffer.readers === 1);
      const shared = views.has(node.opType) ? own[0] : i === 0 && inPlace.has(node.opType) ? free : undefined;
      if (shared) {
        shared.readers += reading;
        buffers.set(output, shared);
        return;
      }
      if (views.has(node.opType)) return;
      buffers.set(output, { bytes, readers: reading });
      alive += bytes;
    });
    most = Math.max(most, alive);
    const finish = (buffer: Buffer | undefined, readings: number) => {
      if (!buffer) return;
      buffer.readers -= readings;
      if (buffer.readers === 0) alive -= buffer.bytes;
    };
    for (const buffer of own) finish(buffer, 1);
    for (const output of node.outputs) if (!readers.get(output)) finish(buffers.get(output), 0);
  }
  return most;
}
