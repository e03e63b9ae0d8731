/** A picture as the tokens of a vision transformer (Dosovitskiy et al. 2021). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';

export interface PatchEmbedding {
  /** [hidden, 3, side, side] */
  readonly weight: Value;
  readonly bias?: Value;
  /** The token before all patches, of `hidden` numbers. */
  readonly first: Value;
}

/** [N, 3, H, W] to [N, 1 + patches, hidden]. */
export function patchTokens(pictures: Value, { weight, bias, first }: PatchEmbedding): Value {
  const [hidden, , side] = weight.shape as [number, number, number];
  const [n] = pictures.shape as [number];
  const patches = op.Conv(pictures, weight, bias, {
    strides: [side, side],
    pads: [0, 0, 0, 0],
    dilations: [1, 1],
    group: 1,
  });
  const rows = op.Transpose(op.Reshape(patches, { shape: [n, hidden, -1] }), { perm: [0, 2, 1] });
  const one = op.Reshape(first, { shape: [1, 1, hidden] });
  return op.Concat(op.Expand(one, { shape: [n, 1, hidden] }), rows, { axis: 1 });
}
