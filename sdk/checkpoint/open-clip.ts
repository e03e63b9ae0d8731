/** OpenCLIP's text encoder (Stable Diffusion 2, the second of XL) by the names that transformers gives it. */
import type { StoredTensor } from '../tensor';

const renames: readonly (readonly [RegExp, string])[] = [
  [/^token_embedding\.weight$/, 'text_model.embeddings.token_embedding.weight'],
  [/^positional_embedding$/, 'text_model.embeddings.position_embedding.weight'],
  [/^ln_final\./, 'text_model.final_layer_norm.'],
  [/^transformer\.resblocks\.(\d+)\./, 'text_model.encoder.layers.$1.'],
  [/\.ln_1\./, '.layer_norm1.'],
  [/\.ln_2\./, '.layer_norm2.'],
  [/\.mlp\.c_fc\./, '.mlp.fc1.'],
  [/\.mlp\.c_proj\./, '.mlp.fc2.'],
  [/\.attn\.out_proj\./, '.self_attn.out_proj.'],
];

/**
 * One matrix for queries, keys and values becomes three places in the file; the projection lies there with rows and
 * columns exchanged. `lastLayer: false` leaves the last layer out, which Stable Diffusion 2 does not run.
 */
export function fromOpenClip(
  tensors: ReadonlyMap<string, StoredTensor>,
  { lastLayer }: { readonly lastLayer: boolean },
): Map<string, StoredTensor> {
  const layers = [...tensors.keys()].map((key) =>
    Number(/^transformer\.resblocks\.(\d+)\./.exec(key)?.[1] ?? -1),
  );
  const dropped = lastLayer ? '' : `transformer.resblocks.${Math.max(...layers)}.`;
  const found = new Map<string, StoredTensor>();
  for (const [key, tensor] of tensors) {
    if (dropped !== '' && key.startsWith(dropped)) continue;
    const path = renames.reduce((name, [pattern, to]) => name.replace(pattern, to), key);
    const joined = /^(.*)\.attn\.in_proj_(weight|bias)$/.exec(path);
    if (joined) {
      ['q_proj', 'k_proj', 'v_proj'].forEach((name, i) => {
        found.set(`${joined[1]}.self_attn.${name}.${joined[2]}`, thirdOf(tensor, i));
      });
    } else if (key === 'text_projection') {
      if (lastLayer)
        found.set('text_projection.weight', {
          ...tensor,
          shape: tensor.shape.toReversed(),
          transposed: true,
        });
    } else if (path.startsWith('text_model.')) {
      found.set(path, tensor);
    }
  }
  return found;
}

function thirdOf(tensor: StoredTensor, index: number): StoredTensor {
  const length = tensor.length / 3;
  const [rows, ...rest] = tensor.shape as [number, ...number[]];
  return { ...tensor, shape: [rows / 3, ...rest], offset: tensor.offset + index * length, length };
}
