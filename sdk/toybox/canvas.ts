import type { Colour, Pose } from './scene';
import type { Shape } from './shapes';

/** A square picture in the making: linear samples of red, green, blue in 0 … 1, row by row. */
export interface Canvas {
  readonly size: number;
  readonly rgb: Float32Array;
  /** How much of each sample the subject covers, 0 … 1. */
  readonly covered: Float32Array;
}

/** Writes the colour at a point of the subject into `out`. */
export type Fill = (x: number, y: number, out: Float32Array) => void;

/** The line around every part, nearly black with a warm touch. */
export const INK: Colour = [0.11, 0.08, 0.12];
/** Half a line's width outside the part, in the subject's units: about 1.4 pixels of 64. */
export const LINE = 0.05;

export function createCanvas(size: number): Canvas {
  return { size, rgb: new Float32Array(size * size * 3), covered: new Float32Array(size * size) };
}

/**
 * Paints `shape` under `pose`: first its outline of width `line`, then the inside. Edges are blended
 * over one sample, so that the averaged picture has no steps.
 */
export function paint(canvas: Canvas, pose: Pose, shape: Shape, fill: Colour | Fill, line = LINE, alpha = 1) {
  const { size, rgb, covered } = canvas;
  const window = visible(canvas, pose, shape, line);
  const cos = Math.cos(pose.rotation);
  const sin = Math.sin(pose.rotation);
  const unit = (pose.scale * size) / 2;
  const out = new Float32Array(3);
  if (typeof fill !== 'function') out.set(fill);

  for (let row = window.top; row < window.bottom; row++) {
    const v = (((row + 0.5) / size) * 2 - 1 - pose.y) / pose.scale;
    for (let column = window.left; column < window.right; column++) {
      const u = (((column + 0.5) / size) * 2 - 1 - pose.x) / pose.scale;
      const turned = u * cos + v * sin;
      const x = pose.flipped ? -turned : turned;
      const y = v * cos - u * sin;
      const distance = shape.distance(x, y);
      const reach = (line - distance) * unit + 0.5;
      if (reach <= 0) continue;

      const index = row * size + column;
      const outer = alpha * Math.min(1, reach);
      const inner = Math.max(0, Math.min(1, 0.5 - distance * unit));
      if (inner > 0 && typeof fill === 'function') fill(x, y, out);
      for (let channel = 0; channel < 3; channel++) {
        const colour = line > 0 ? INK[channel]! + (out[channel]! - INK[channel]!) * inner : out[channel]!;
        rgb[index * 3 + channel]! += (colour - rgb[index * 3 + channel]!) * outer;
      }
      covered[index] = Math.max(covered[index]!, outer);
    }
  }
}

/** Darkens the ground with a soft ellipse, given in the picture's own coordinates. */
export function paintShadow(
  canvas: Canvas,
  cx: number,
  cy: number,
  rx: number,
  ry: number,
  strength: number,
) {
  const { size, rgb } = canvas;
  for (let row = 0; row < size; row++) {
    const v = (((row + 0.5) / size) * 2 - 1 - cy) / ry;
    if (v * v >= 1) continue;
    for (let column = 0; column < size; column++) {
      const u = (((column + 0.5) / size) * 2 - 1 - cx) / rx;
      const left = 1 - u * u - v * v;
      if (left <= 0) continue;
      const light = 1 - strength * left * (2 - left);
      for (let channel = 0; channel < 3; channel++) rgb[(row * size + column) * 3 + channel]! *= light;
    }
  }
}

/** The picture at half its size, each pixel the mean of four samples, as bytes. */
export function halve(canvas: Canvas): Uint8Array {
  const half = canvas.size / 2;
  const bytes = new Uint8Array(half * half * 3);
  const stride = canvas.size * 3;
  for (let row = 0; row < half; row++) {
    for (let column = 0; column < half; column++) {
      for (let channel = 0; channel < 3; channel++) {
        const at = row * 2 * stride + column * 6 + channel;
        const { rgb } = canvas;
        const sum = rgb[at]! + rgb[at + 3]! + rgb[at + stride]! + rgb[at + stride + 3]!;
        bytes[(row * half + column) * 3 + channel] = Math.round(Math.min(1, Math.max(0, sum / 4)) * 255);
      }
    }
  }
  return bytes;
}

/** The samples a shape can touch: the corners of its bounds, posed. */
function visible({ size }: Canvas, pose: Pose, { bounds }: Shape, margin: number) {
  const [left, top, right, bottom] = bounds;
  const columns: number[] = [];
  const rows: number[] = [];
  for (const x of [left - margin, right + margin]) {
    for (const y of [top - margin, bottom + margin]) {
      const mirrored = pose.flipped ? -x : x;
      const u = mirrored * Math.cos(pose.rotation) - y * Math.sin(pose.rotation);
      const v = mirrored * Math.sin(pose.rotation) + y * Math.cos(pose.rotation);
      columns.push(((u * pose.scale + pose.x + 1) / 2) * size);
      rows.push(((v * pose.scale + pose.y + 1) / 2) * size);
    }
  }
  const clamp = (value: number) => Math.max(0, Math.min(size, value));
  return {
    left: clamp(Math.floor(Math.min(...columns)) - 1),
    right: clamp(Math.ceil(Math.max(...columns)) + 1),
    top: clamp(Math.floor(Math.min(...rows)) - 1),
    bottom: clamp(Math.ceil(Math.max(...rows)) + 1),
  };
}
