/** OpenCLIP's text encoder (Stable Diffusion 2, the second of XL) by the names that transformers gives it. */
import { dataTypes, type StoredTensor, sizeOf } from '../tensor';
import { type TensorInTheMaking, transposed } from './safetensors';

/** Of the 24 layers of the text encoder of Stable Diffusion 2. */
const publishedLast = 23;

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

/** transformers' names to OpenCLIP's. */
const backwards: readonly (readonly [RegExp, string])[] = [
  [/^text_model\.embeddings\.token_embedding\.weight$/, 'token_embedding.weight'],
  [/^text_model\.embeddings\.position_embedding\.weight$/, 'positional_embedding'],
  [/^text_model\.final_layer_norm\./, 'ln_final.'],
  [/^text_model\.encoder\.layers\.(\d+)\./, 'transformer.resblocks.$1.'],
  [/\.layer_norm([12])\./, '.ln_$1.'],
  [/\.mlp\.fc1\./, '.mlp.c_fc.'],
  [/\.mlp\.fc2\./, '.mlp.c_proj.'],
  [/\.self_attn\.out_proj\./, '.attn.out_proj.'],
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
  // Published files have the layer that is not run; diffusers' converted ones have neither it nor a projection.
  const last = Math.max(...layers);
  const hasUnused = !lastLayer && (tensors.has('text_projection') || last === publishedLast);
  const dropped = hasUnused ? `transformer.resblocks.${last}.` : '';
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

/** The other way round: what OpenCLIP calls and how it lays out the tensors of a text encoder. */
export function toOpenClip(tensors: ReadonlyMap<string, TensorInTheMaking>): Map<string, TensorInTheMaking> {
  const found = new Map<string, TensorInTheMaking>();
  for (const [key, tensor] of tensors) {
    const path = backwards.reduce((name, [pattern, to]) => name.replace(pattern, to), key);
    const query = /^(.*)\.self_attn\.q_proj\.(weight|bias)$/.exec(path);
    if (query) {
      const parts = ['q', 'k', 'v'].map((name) => tensors.get(key.replace('.q_proj.', `.${name}_proj.`))!);
      found.set(`${query[1]}.attn.in_proj_${query[2]}`, joinedRows(parts));
    } else if (key === 'text_projection.weight') {
      found.set('text_projection', turned(tensor));
    } else if (!/\.self_attn\.[kv]_proj\./.test(path)) {
      found.set(path, tensor);
    }
  }
  return found;
}

function joinedRows(parts: readonly TensorInTheMaking[]): TensorInTheMaking {
  const [{ dtype, shape }] = parts as [TensorInTheMaking];
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const whole = [rows, ...shape.slice(1)];
  return {
    dtype,
    shape: whole,
    make() {
      const data = new dataTypes[dtype].array(sizeOf(whole));
      let at = 0;
      for (const part of parts) {
        const values = part.make();
        (data as { set(values: ArrayLike<unknown>, at: number): void }).set(values, at);
        at += values.length;
      }
      return data;
    },
  };
}

function turned({ dtype, shape, make }: TensorInTheMaking): TensorInTheMaking {
  const [rows, columns] = shape as [number, number];
  return { dtype, shape: [columns, rows], make: () => transposed(make(), rows, columns) };
}

function thirdOf(tensor: StoredTensor, index: number): StoredTensor {
  const length = tensor.length / 3;
  const [rows, ...rest] = tensor.shape as [number, ...number[]];
  return { ...tensor, shape: [rows / 3, ...rest], offset: tensor.offset + index * length, length };
}
