/** Arithmetic on shapes, as ONNX defines it. Each function throws a plain sentence; operators.ts adds the node. */
import { type Shape, sizeOf } from '../tensor';

/** Numpy's rule: aligned at the last axis, sizes are equal or 1. */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new Error(`shapes [${a}] and [${b}] do not broadcast: ${x} against ${y} on axis ${i}`);
    }
    return x === 1 ? y : x;
  });
}

/** An axis counted from the front, for one that may be negative. */
export function frontAxis(axis: number, rank: number): number {
  const front = axis < 0 ? axis + rank : axis;
  if (front < 0 || front >= rank) throw new Error(`axis ${axis} is outside a tensor of ${rank} axes`);
  return front;
}

/** The batch axes broadcast, the last two multiply. Operands have two axes or more. */
export function matMulShape(a: Shape, b: Shape, transA = false, transB = false): Shape {
  if (a.length < 2 || b.length < 2) throw new Error(`[${a}] × [${b}]: both sides need two axes or more`);
  const [rows, inner] = lastTwo(a, transA);
  const [innerB, columns] = lastTwo(b, transB);
  if (inner !== innerB) {
    const flags = `${transA ? ', first transposed' : ''}${transB ? ', second transposed' : ''}`;
    throw new Error(`[${a}] × [${b}]${flags}: inner sizes ${inner} and ${innerB} differ`);
  }
  return [...broadcastShapes(a.slice(0, -2), b.slice(0, -2)), rows, columns];
}

function lastTwo(shape: Shape, transposed: boolean): [number, number] {
  const [x, y] = [shape.at(-2)!, shape.at(-1)!];
  return transposed ? [y, x] : [x, y];
}

/** `shape` may hold one −1, which takes what is left. */
export function reshapeShape(from: Shape, shape: Shape): Shape {
  const known = sizeOf(shape.filter((size) => size !== -1));
  const filled = shape.map((size) => (size === -1 ? sizeOf(from) / known : size));
  // ONNX reads a 0 as "the input's size", so there is no asking for an empty axis.
  if (shape.includes(0) || sizeOf(filled) !== sizeOf(from) || !filled.every(Number.isInteger)) {
    throw new Error(`[${from}] has ${sizeOf(from)} elements and does not reshape to [${shape}]`);
  }
  return filled;
}

/** Sizes of a 2-D window's output: `pads` is [top, left, bottom, right]. */
export function convolutionSizes(
  sizes: Shape,
  kernel: Shape,
  { strides, pads, dilations }: { strides: Shape; pads: Shape; dilations: Shape },
): Shape {
  return sizes.map((size, i) => {
    const padded = size + pads[i]! + pads[i + sizes.length]!;
    const window = (kernel[i]! - 1) * dilations[i]! + 1;
    if (padded < window) throw new Error(`a padded size of ${padded} is smaller than the kernel's ${window}`);
    return Math.floor((padded - window) / strides[i]!) + 1;
  });
}

/** How many places `Slice` visits; `start` and `end` are clamped as ONNX does. */
export function sliceSize(size: number, start: number, end: number, step: number): number {
  if (step === 0) throw new Error('a step of 0 goes nowhere');
  const [least, most] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number, lowest: number) => Math.min(Math.max(at < 0 ? at + size : at, lowest), most);
  // Stepping backwards, an end far below zero means "past the first element"; a start there is the first element.
  return Math.max(0, Math.ceil((clamp(end, least) - clamp(start, 0)) / step));
}
