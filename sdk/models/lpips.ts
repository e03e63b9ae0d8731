/**
 * LPIPS (Zhang et al. 2018), version 0.1 on AlexNet, as an embedding: the squared Euclidean distance of two pictures'
 * embeddings is their LPIPS. Each layer's features, of length 1 at every place, weighted by the root of its learned
 * weight over the number of places.
 */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { conv2d } from '../nn/layers';
import type { Weights } from '../nn/weights';

/** By the package's names: slice and index of each convolution in torchvision's AlexNet, and what comes before it. */
const layers = [
  { slice: 1, at: 0, out: 64, kernel: 11, stride: 4, padding: 2, pooled: false },
  { slice: 2, at: 3, out: 192, kernel: 5, stride: 1, padding: 2, pooled: true },
  { slice: 3, at: 6, out: 384, kernel: 3, stride: 1, padding: 1, pooled: true },
  { slice: 4, at: 8, out: 256, kernel: 3, stride: 1, padding: 1, pooled: false },
  { slice: 5, at: 10, out: 256, kernel: 3, stride: 1, padding: 1, pooled: false },
] as const;

/** Keeps a place without features from a division by 0, as the package does. */
const epsilon = 1e-10;

/** Sides from which AlexNet's last pooling has its 3×3 places. */
export const smallestLpips = 31;

/** Pictures [N, 3, H, W], normalised as torchvision's networks take them, to [N, numbers]; `w` is the root of the file. */
export function lpips(w: Weights, pictures: Value): Value {
  const [n] = pictures.shape as [number];
  let x = pictures;
  const parts = layers.map(({ slice, at, out, kernel, stride, padding, pooled }, i) => {
    if (pooled) x = pool(x);
    x = op.Relu(conv2d(w.at('net').at(`slice${slice}`).at(at), x, { out, kernel, stride, padding }));
    const [, , height, width] = x.shape as [number, number, number, number];
    const length = op.Sqrt(op.ReduceSum(op.Mul(x, x), { axes: [1], keepdims: 1 }));
    const weight = w.at(`lin${i}`).at('model').at(1).parameter('weight', [1, out, 1, 1]);
    const weighted = op.Mul(
      op.Div(x, op.Add(length, epsilon)),
      op.Sqrt(op.Div(op.Relu(weight), height * width)),
    );
    return op.Reshape(weighted, { shape: [n, -1] });
  });
  return op.Concat(...parts, { axis: 1 });
}

/** The largest of 3×3 places, every second. */
function pool(x: Value): Value {
  const [, , height, width] = x.shape as [number, number, number, number];
  const [rows, columns] = [Math.floor((height - 3) / 2) + 1, Math.floor((width - 3) / 2) + 1];
  const shifted = (dy: number, dx: number) =>
    op.Slice(x, {
      starts: [dy, dx],
      ends: [dy + 2 * rows - 1, dx + 2 * columns - 1],
      axes: [2, 3],
      steps: [2, 2],
    });
  const all = [0, 1, 2].flatMap((dy) => [0, 1, 2].map((dx) => shifted(dy, dx)));
  return all.reduce((a, b) => op.Max(a, b));
}
