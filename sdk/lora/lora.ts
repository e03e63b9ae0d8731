/** LoRA (Hu et al. 2022): a layer's frozen weight plus a product of two thin matrices, y = Wx + (alpha / rank)·B(A x). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import type { LayerAdapter } from '../nn/weights';
import type { Random } from '../random';
import { type Shape, type StoredTensor, sizeOf } from '../tensor';

/** A layer that a LoRA attaches to: its path in a component, and the shapes of its two matrices. */
export interface LoraTarget {
  readonly path: string;
  /** A: [rank, in], or [rank, in, kernel, kernel] for a convolution. */
  readonly down: Shape;
  /** B: [out, rank], or [out, rank, 1, 1]. */
  readonly up: Shape;
}

/** The attention projections, as diffusers' DreamBooth scripts choose them. */
export const unetAttention = ['to_q', 'to_k', 'to_v', 'to_out.0'];
export const textEncoderAttention = ['q_proj', 'k_proj', 'v_proj', 'out_proj'];

/** The layers among a component's tensors whose path ends in one of `modules`; `*` stands for every matrix and kernel. */
export function loraTargets(
  tensors: ReadonlyMap<string, StoredTensor>,
  modules: readonly string[],
  rank: number,
): LoraTarget[] {
  const targets: LoraTarget[] = [];
  for (const [key, { shape }] of tensors) {
    if (!key.endsWith('.weight') || (shape.length !== 2 && shape.length !== 4)) continue;
    const path = key.slice(0, -'.weight'.length);
    // Embedding tables are looked up, not multiplied.
    if (path.endsWith('_embedding')) continue;
    if (!modules.some((name) => name === '*' || path === name || path.endsWith(`.${name}`))) continue;
    const [out, ...rest] = shape as [number, ...number[]];
    targets.push({ path, down: [rank, ...rest], up: [out, rank, ...rest.slice(1).map(() => 1)] });
  }
  return targets.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The two matrices of a layer as values; `scale` is alpha / rank, 1 where it is folded into B. */
export interface LoraValues {
  readonly down: Value;
  readonly up: Value;
  readonly scale: number;
}

/** Adds its LoRA to each layer that has one. */
export function loraAdapter(loras: ReadonlyMap<string, LoraValues>): LayerAdapter {
  return (path, x, y, window) => {
    const lora = loras.get(path);
    if (!lora) return y;
    const { down, up, scale } = lora;
    if (!window) {
      // The layer's output is the addend of the second product, so adding costs no pass of its own.
      return op.Gemm(op.Gemm(x, down, { transB: 1 }), up, y, { transB: 1, alpha: scale });
    }
    const inner = op.Conv(x, down, { ...window, dilations: [1, 1], group: 1 });
    const outer = op.Conv(inner, up, { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 });
    return op.Add(y, scale === 1 ? outer : op.Mul(outer, scale));
  };
}

/** First values: A from N(0, 1/rank), as the DreamBooth scripts' "gaussian", and B zero, so that the start is the base. */
export function initialLora(
  { down, up }: LoraTarget,
  random: Random,
): { down: Float32Array; up: Float32Array } {
  const rank = down[0]!;
  return { down: random.normals(sizeOf(down)).map((x) => x / rank), up: new Float32Array(sizeOf(up)) };
}
