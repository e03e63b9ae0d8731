/** Gradients of operators that pick and repeat elements: what was picked gets its gradient back, the rest zero. */
import type { Value } from '../graph/graph';
import { type AttributesOf, op } from '../graph/operators';
import { frontAxis } from '../graph/shapes';

/** The pads that put a slice of `x` back in its place. Steps are 1 or −1 (a flip of the whole axis). */
export function padsOfSlice(x: Value, { starts, ends, axes, steps }: AttributesOf<'Slice'>): number[] {
  const rank = x.shape.length;
  const pads = new Array<number>(2 * rank).fill(0);
  axes.forEach((axis, i) => {
    const at = frontAxis(axis, rank);
    const size = x.shape[at]!;
    const clamp = (place: number) => Math.min(Math.max(place < 0 ? place + size : place, 0), size);
    if (steps[i] === 1) {
      pads[at] = clamp(starts[i]!);
      pads[at + rank] = size - Math.max(clamp(starts[i]!), clamp(ends[i]!));
    } else if (steps[i] !== -1 || clamp(starts[i]!) < size - 1 || ends[i]! >= -size) {
      throw new Error(
        `step ${steps[i]} from ${starts[i]} to ${ends[i]}; use a step of 1, or of −1 over the whole axis`,
      );
    }
  });
  return pads;
}

/**
 * The gradient of gathered rows: each row's gradients summed where it came from, as a product with the one-hot
 * matrix of the indices. Scattering with addition would race between threads; this gives the same bits every time.
 */
export function scatterRows(data: Value, indices: Value, axis: number, dy: Value): Value {
  if (frontAxis(axis, data.shape.length) !== 0)
    throw new Error(`gathers on axis ${axis}; only the first has a gradient`);
  const [rows, ...rest] = data.shape as [number, ...number[]];
  const count = indices.shape.reduce((product, size) => product * size, 1);
  const width = rest.reduce((product, size) => product * size, 1);
  const { graph } = data;
  const everyRow = graph.constant(
    { dtype: 'int64', shape: [rows, 1], data: BigInt64Array.from({ length: rows }, (_, i) => BigInt(i)) },
    'rows',
  );
  const given = op.Reshape(op.Cast(indices, { to: 'int64' }), { shape: [1, count] });
  // Indices below zero count from the end.
  const picked = op.Where(op.Less(given, 0), op.Add(given, rows), given);
  const oneHot = op.Cast(op.Equal(everyRow, picked), { to: dy.dtype });
  return op.Reshape(op.MatMul(oneHot, op.Reshape(dy, { shape: [count, width] })), { shape: data.shape });
}

/**
 * Nearest-neighbour resizing copies each source row r to the rows ⌊i·in/out⌋ = r, so its gradient sums over them.
 * For a whole factor that is a sum over two axes of a reshape; otherwise a product with the 0/1 matrix of the copy.
 */
export function resizeGradient(x: Value, dy: Value): Value {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const [, , outH, outW] = dy.shape as [number, number, number, number];
  if (outH % h === 0 && outW % w === 0) {
    const blocks = op.Reshape(dy, { shape: [n * c, h, outH / h, w, outW / w] });
    return op.Reshape(op.ReduceSum(blocks, { axes: [2, 4], keepdims: 0 }), { shape: x.shape });
  }
  return op.MatMul(
    copies(dy, outH, h, 'rows'),
    op.FusedMatMul(dy, copies(dy, outW, w, 'columns'), { transB: 1 }),
  );
}

/** [inSize, outSize] in the type of `dy`, 1 where output i copies that input. */
function copies({ graph, dtype }: Value, outSize: number, inSize: number, which: string): Value {
  const data = new Float32Array(inSize * outSize);
  for (let i = 0; i < outSize; i++) data[Math.floor((i * inSize) / outSize) * outSize + i] = 1;
  const matrix = graph.constant({ dtype: 'float32', shape: [inSize, outSize], data }, `copied_${which}`);
  return dtype === 'float32' ? matrix : op.Cast(matrix, { to: dtype });
}
