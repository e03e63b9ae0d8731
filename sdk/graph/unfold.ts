/**
 * Convolution of many small pictures as one matrix product. A runtime's convolution goes picture by picture, and a
 * 4×4 picture gives it rows of sixteen: with a batch of 48 it spends three quarters of its time on overhead. Unfolding
 * lays every place's window out as a row of one matrix for the whole batch.
 */
import type { Value } from './graph';
import { type AttributesOf, op } from './operators';

type Window = AttributesOf<'Conv'>;

/** Whether a convolution of `batch` pictures of `places` output pixels is better unfolded. */
export const isBetterUnfolded = (batch: number, places: number, group: number): boolean =>
  group === 1 && batch >= 8 && places <= 100;

/**
 * The windows of x [N, C, H, W] as rows: [N · places, taps · C], taps in the kernel's order, each with all channels.
 * `size` is the output's height and width.
 */
export function unfold(
  x: Value,
  kernel: readonly number[],
  { strides, pads, dilations }: Window,
  size: readonly number[],
): Value {
  const channels = x.shape[1]!;
  // Channels last, so that shifting a picture copies whole runs of them.
  const last = op.Transpose(x, { perm: [0, 2, 3, 1] });
  const padded = pads.every((pad) => pad === 0)
    ? last
    : op.Pad(last, { pads: [0, pads[0]!, pads[1]!, 0, 0, pads[2]!, pads[3]!, 0] });
  const taps: Value[] = [];
  for (let i = 0; i < kernel[0]!; i++) {
    for (let j = 0; j < kernel[1]!; j++) {
      const starts = [i * dilations[0]!, j * dilations[1]!];
      const ends = starts.map((start, axis) => start + (size[axis]! - 1) * strides[axis]! + 1);
      const whole =
        starts.every((start, axis) => start === 0 && ends[axis] === padded.shape[axis + 1]) &&
        strides.every((s) => s === 1);
      taps.push(whole ? padded : op.Slice(padded, { starts, ends, axes: [1, 2], steps: strides }));
    }
  }
  const windows = taps.length === 1 ? taps[0]! : op.Concat(...taps, { axis: 3 });
  return op.Reshape(windows, { shape: [-1, taps.length * channels] });
}

/** `Conv` by unfolding. */
export function unfoldedConv(
  x: Value,
  w: Value,
  b: Value | undefined,
  window: Window,
  size: readonly number[],
): Value {
  const [outputs, channels, ...kernel] = w.shape as [number, number, number, number];
  const rows = unfold(x, kernel, window, size);
  const matrix = op.Reshape(op.Transpose(w, { perm: [0, 2, 3, 1] }), {
    shape: [outputs, kernel[0]! * kernel[1]! * channels],
  });
  const y = op.Gemm(rows, matrix, b, { transB: 1 });
  return op.Transpose(op.Reshape(y, { shape: [x.shape[0]!, ...size, outputs] }), { perm: [0, 3, 1, 2] });
}
