/**
 * Gradients of 2-D convolution.
 *
 * y[n,k,p] = Σ_{c,t} w[k,c,t] · x[n,c, s·p + d·t − pad]   (p: output place, t: kernel tap, s: stride, d: dilation)
 *
 * Data: dx[n,c,q] = Σ_{k,t} w[k,c,t] · dy[n,k,(q + pad − d·t)/s] over the places where the division is exact. At stride 1
 * that is again a convolution, with the kernel flipped and its channel axes swapped; otherwise, and where turning the
 * kernel would cost more than the convolution itself, ConvTranspose, with `output_padding` for the rows at the end that
 * no window reached.
 *
 * Weight: dw[k,c,t] = Σ_{n,p} dy[n,k,p] · x[n,c, s·p + d·t − pad]: for each tap the input shifted by it, times dy.
 * Written as one matrix product a tap this runs at the speed of the forward pass; as one convolution with dy for a
 * kernel it takes three times as long on a CPU.
 */
import type { Value } from '../graph/graph';
import { type AttributesOf, op } from '../graph/operators';
import { isBetterUnfolded, unfold } from '../graph/unfold';
import { sizeOf } from '../tensor';
import type { GradientContext } from './gradient-rule';

type Window = AttributesOf<'Conv'>;

export function convGradient({
  inputs: [x, w],
  attributes,
  dy,
}: GradientContext<'Conv'>): readonly [Value, Value, Value] {
  return [
    dataGradient(x, w, attributes, dy),
    weightGradient(x, w, attributes, dy),
    op.ReduceSum(dy, { axes: [0, 2, 3], keepdims: 0 }),
  ];
}

/** The transpose's data gradient is the convolution itself; its weight gradient has the roles of x and dy swapped. */
export function convTransposeGradient({
  inputs: [x, w],
  attributes: { strides, pads, dilations, group },
  dy,
}: GradientContext<'ConvTranspose'>): readonly [Value, Value] {
  const window = { strides, pads, dilations, group };
  return [op.Conv(dy, w, window), weightGradient(dy, w, window, x)];
}

function dataGradient(x: Value, w: Value, window: Window, dy: Value): Value {
  const { strides, pads, dilations, group } = window;
  const kernel = w.shape.slice(2);
  const reach = kernel.map((size, i) => (size - 1) * dilations[i]!);
  // No runtime takes the negative pads that pads beyond the kernel would become.
  if (
    group === 1 &&
    !isBetterTransposed(w, dy.shape[2]! * dy.shape[3]!) &&
    strides.every((stride) => stride === 1) &&
    pads.every((pad, i) => pad <= reach[i % 2]!)
  ) {
    return op.Conv(dy, op.Transpose(flipKernel(w), { perm: [1, 0, 2, 3] }), {
      strides: [1, 1],
      pads: pads.map((pad, i) => reach[i % 2]! - pad),
      dilations,
      group: 1,
    });
  }
  const output_padding = [0, 1].map((i) => {
    const covered = (dy.shape[i + 2]! - 1) * strides[i]! + (kernel[i]! - 1) * dilations[i]! + 1;
    return x.shape[i + 2]! + pads[i]! + pads[i + 2]! - covered;
  });
  return op.ConvTranspose(dy, w, { strides, pads, dilations, group, output_padding });
}

/**
 * A kernel of millions over few places (1280 × 1280 × 3 × 3 over 8 × 8): turned anew at every step it takes three times as
 * long as ConvTranspose, and turned once a second copy of it. Over 32 × 32 the two are even.
 */
const isBetterTransposed = (w: Value, places: number): boolean => sizeOf(w.shape) >= 2 ** 21 && places < 1024;

function flipKernel(w: Value): Value {
  if (w.shape[2] === 1 && w.shape[3] === 1) return w;
  return op.Slice(w, { starts: [-1, -1], ends: [-(2 ** 31), -(2 ** 31)], axes: [2, 3], steps: [-1, -1] });
}

function weightGradient(x: Value, w: Value, window: Window, dy: Value): Value {
  const { strides, pads, dilations, group } = window;
  const [batch, outputs, height, width] = dy.shape as [number, number, number, number];
  const [, inputsPerGroup, kernelHeight, kernelWidth] = w.shape as [number, number, number, number];
  const channels = x.shape[1]!;
  const places = height * width;
  if (isBetterUnfolded(batch, places, group)) {
    const windows = unfold(x, [kernelHeight, kernelWidth], window, [height, width]);
    const rows = op.Reshape(op.Transpose(dy, { perm: [0, 2, 3, 1] }), { shape: [batch * places, outputs] });
    const byTap = op.Reshape(op.Gemm(rows, windows, { transA: 1 }), {
      shape: [outputs, kernelHeight, kernelWidth, channels],
    });
    return op.Transpose(byTap, { perm: [0, 3, 1, 2] });
  }
  const padded = pads.every((pad) => pad === 0)
    ? x
    : op.Pad(x, { pads: [0, 0, pads[0]!, pads[1]!, 0, 0, pads[2]!, pads[3]!] });
  const rows = op.Reshape(dy, { shape: [batch, group, outputs / group, places] });
  const taps: Value[] = [];
  for (let i = 0; i < kernelHeight; i++) {
    for (let j = 0; j < kernelWidth; j++) {
      const [top, left] = [i * dilations[0]!, j * dilations[1]!];
      const ends = [top + (height - 1) * strides[0]! + 1, left + (width - 1) * strides[1]! + 1];
      const whole = top === 0 && left === 0 && ends[0] === padded.shape[2] && ends[1] === padded.shape[3];
      const shifted =
        whole && strides.every((stride) => stride === 1)
          ? padded
          : op.Slice(padded, { starts: [top, left], ends, axes: [2, 3], steps: strides });
      const columns = op.Reshape(shifted, { shape: [batch, group, channels / group, places] });
      taps.push(op.ReduceSum(op.FusedMatMul(rows, columns, { transB: 1 }), { axes: [0], keepdims: 0 }));
    }
  }
  const column = (tap: Value) => op.Reshape(tap, { shape: [outputs, inputsPerGroup, 1] });
  const stacked = taps.length === 1 ? taps[0]! : op.Concat(...taps.map(column), { axis: 2 });
  return op.Reshape(stacked, { shape: w.shape });
}
