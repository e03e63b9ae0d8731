/**
 * What is trained, packed into few flat arrays. Hundreds of small tensors would cost an optimiser's dozen nodes each;
 * one array of all would leave the processor's cache between nodes and hold a second copy of large weights.
 */
import type { Graph, Value } from '../graph/graph';
import { op } from '../graph/operators';
import { type Shape, sizeOf } from '../tensor';

/** `group` decides learning rate and weight decay. */
export interface Parameter {
  readonly name: string;
  readonly shape: Shape;
  readonly group: string;
}

/** A flat array that holds `parameters` one after another. */
export interface ParameterBlock {
  readonly name: string;
  readonly group: string;
  readonly size: number;
  readonly parameters: readonly Parameter[];
}

/** 1 MB of float32: with its gradient and moments it stays in cache through an update. */
const blockSize = 256 * 1024;

/** Fills blocks in order, a group at a time; a parameter larger than a block has one of its own. */
export function packParameters(parameters: readonly Parameter[]): ParameterBlock[] {
  const blocks: ParameterBlock[] = [];
  for (const group of new Set(parameters.map((parameter) => parameter.group))) {
    let open: Parameter[] = [];
    let size = 0;
    const close = () => {
      if (open.length > 0) blocks.push({ name: `block_${blocks.length}`, group, size, parameters: open });
      open = [];
      size = 0;
    };
    for (const parameter of parameters.filter((one) => one.group === group)) {
      const elements = sizeOf(parameter.shape);
      if (size + elements > blockSize) close();
      open.push(parameter);
      size += elements;
    }
    close();
  }
  return blocks;
}

/** The parameters of a block as values of their own shapes. */
export function unpack(block: ParameterBlock, flat: Value): Map<string, Value> {
  const sizes = block.parameters.map(({ shape }) => sizeOf(shape));
  const pieces = sizes.length === 1 ? [flat] : op.Split(flat, { split: sizes, axis: 0 });
  return new Map(block.parameters.map(({ name, shape }, i) => [name, op.Reshape(pieces[i]!, { shape })]));
}

/** The reverse for gradients; a parameter that the loss does not reach has zeros. */
export function pack(graph: Graph, block: ParameterBlock, gradientOf: (name: string) => Value | null): Value {
  const flat = block.parameters.map(({ name, shape }) => {
    const size = sizeOf(shape);
    const gradient = gradientOf(name);
    return gradient ? op.Reshape(gradient, { shape: [size] }) : op.Expand(graph.scalar(0), { shape: [size] });
  });
  return flat.length === 1 ? flat[0]! : op.Concat(...flat, { axis: 0 });
}

/** Copies named arrays into a block's flat one. */
export function packArrays(block: ParameterBlock, arrays: (name: string) => ArrayLike<number>): Float32Array {
  const flat = new Float32Array(block.size);
  let offset = 0;
  for (const { name, shape } of block.parameters) {
    flat.set(arrays(name), offset);
    offset += sizeOf(shape);
  }
  return flat;
}

/** Views of a block's flat array by parameter name. */
export function unpackArrays(block: ParameterBlock, flat: Float32Array): Map<string, Float32Array> {
  let offset = 0;
  return new Map(
    block.parameters.map(({ name, shape }) => {
      const start = offset;
      offset += sizeOf(shape);
      return [name, flat.subarray(start, offset)];
    }),
  );
}
