/** Multi-head attention over [N, tokens, features] (Vaswani et al. 2017). */
import type { Value } from '../graph/graph';
import { type AttributesOf, op } from '../graph/operators';

/** From this many scores a head, one chain of nodes a head keeps each head's scores in the processor's cache. */
const largeHead = 256 * 256;

/** No head has more scores than this at a time (256 MB): beyond, its queries go in parts. */
const mostScores = 8192 * 8192;

/**
 * softmax(q kᵀ / √d + mask) v for each of `heads` slices of the features, joined again.
 * q is [N, L, C], k and v are [N, S, C]; the mask, if any, is [L, S] and added to the scores.
 */
export function attention(q: Value, k: Value, v: Value, heads: number, mask?: Value): Value {
  const [, queries, features] = q.shape as [number, number, number];
  const isLarge = queries * k.shape[1]! >= largeHead;
  const how = { scale: 1 / Math.sqrt(features / heads), ...(isLarge ? { recompute: 1 } : {}) };
  if (heads === 1) return oneHead(q, k, v, mask, how);
  if (isLarge) {
    const split = new Array<number>(heads).fill(features / heads);
    const [qs, ks, vs] = [q, k, v].map((x) => op.Split(x, { split, axis: 2 })) as [Value[], Value[], Value[]];
    const each = qs.map((head, i) => oneHead(head, ks[i]!, vs[i]!, mask, how));
    return op.Concat(...each, { axis: 2 });
  }
  const [y] = op.Attention(splitHeads(q, heads), splitHeads(k, heads), splitHeads(v, heads), mask, how);
  return op.Reshape(op.Transpose(y!, { perm: [0, 2, 1, 3] }), { shape: q.shape });
}

function oneHead(
  q: Value,
  k: Value,
  v: Value,
  mask: Value | undefined,
  how: AttributesOf<'Attention'>,
): Value {
  const [n, queries] = q.shape as [number, number, number];
  const parts = mask ? 1 : Math.ceil((n * queries * k.shape[1]!) / mostScores);
  if (parts === 1) return op.Attention(q, k, v, mask, how)[0]!;
  const size = Math.ceil(queries / parts);
  const split = Array.from({ length: Math.ceil(queries / size) }, (_, i) =>
    Math.min(size, queries - i * size),
  );
  const each = op.Split(q, { split, axis: 1 }).map((part) => op.Attention(part, k, v, undefined, how)[0]!);
  return op.Concat(...each, { axis: 1 });
}

/** [N, L, C] to [N, heads, L, C / heads] */
function splitHeads(x: Value, heads: number): Value {
  const [n, tokens, features] = x.shape as [number, number, number];
  const split = op.Reshape(x, { shape: [n, tokens, heads, features / heads] });
  return op.Transpose(split, { perm: [0, 2, 1, 3] });
}

/** [tokens, tokens]: 0 on and below the diagonal, −∞ above, so that a token sees only what came before it. */
export function causalMask(x: Value, tokens: number): Value {
  const data = new Float32Array(tokens * tokens);
  for (let row = 0; row < tokens; row++) data.fill(-Infinity, row * tokens + row + 1, (row + 1) * tokens);
  return x.graph.constant(
    { dtype: 'float32', shape: [tokens, tokens], data },
    `causal_mask_${x.graph.nodes.length}`,
  );
}
