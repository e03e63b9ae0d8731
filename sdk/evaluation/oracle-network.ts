/**
 * The oracle of the embedded world: a small convolutional network that reads from a picture what was drawn. It is
 * trained on renders and on what the autoencoder makes of them, with the truth at hand.
 */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { conv2d, groupNorm, linear, silu } from '../nn/layers';
import type { Weights } from '../nn/weights';

/** What each part of the output line says, in order, and how many numbers it takes. */
export const oracleHeads = {
  class: 8,
  context: 10,
  accessory: 3,
  colour: 6,
  pattern: 4,
  appearance: 12,
} as const;
export type OracleHead = keyof typeof oracleHeads;

export interface OracleOutputs {
  /** [N, 256], what the heads read: the space in which PRES and DIV are measured. */
  readonly features: Value;
  /** Logits [N, size] of each head, and for `appearance` the twelve numbers of the identity. */
  readonly heads: Readonly<Record<OracleHead, Value>>;
}

const groups = 8;

/** Channels and stride of each convolution: 64×64 pixels to 4×4 places. */
const stages = [
  [24, 2],
  [48, 1],
  [48, 2],
  [96, 1],
  [96, 2],
  [96, 1],
  [96, 2],
] as const;

/** `picture` is [N, 3, 64, 64] in [−1, 1]. */
export function oracleNetwork(w: Weights, picture: Value): OracleOutputs {
  const trunk = stages.reduce((x, [out, stride], i) => {
    const convolved = conv2d(w.at('convolutions').at(i), x, { out, kernel: 3, stride, padding: 1 });
    return silu(groupNorm(w.at('norms').at(i), convolved, { groups, epsilon: 1e-5 }));
  }, picture);
  const flat = op.Reshape(trunk, { shape: [picture.shape[0]!, -1] });
  const features = silu(linear(w.at('features'), flat, { out: 256 }));
  const sizes: readonly number[] = Object.values(oracleHeads);
  const line = linear(w.at('heads'), features, { out: sizes.reduce((sum, size) => sum + size) });
  const parts = op.Split(line, { split: sizes, axis: 1 });
  const heads = Object.fromEntries(Object.keys(oracleHeads).map((name, i) => [name, parts[i]!]));
  return { features, heads: heads as Record<OracleHead, Value> };
}
