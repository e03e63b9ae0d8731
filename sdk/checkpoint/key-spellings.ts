/** How published checkpoints of different ages spell the same weights, as data. */

export interface KeySpelling {
  /** Each pattern that matches a key is replaced, in order. */
  readonly renames: readonly (readonly [pattern: RegExp, replacement: string])[];
  /** Buffers that old files carry and no computation reads. */
  readonly ignored: readonly RegExp[];
}

const clipText: KeySpelling = {
  // Newer writers leave out the prefix that every published file has.
  renames: [[/^(embeddings|encoder|final_layer_norm)\./, 'text_model.$1.']],
  ignored: [/^(text_model\.)?embeddings\.position_ids$/],
};

/** Component class → spelling. A class that is not listed is spelled as its keys stand. */
export const keySpellings: Readonly<Record<string, KeySpelling>> = {
  CLIPTextModel: clipText,
  CLIPTextModelWithProjection: clipText,
  AutoencoderKL: {
    // The names of the autoencoder's attention before diffusers 0.14.
    renames: [
      [/(\.attentions\.\d+)\.query\./, '$1.to_q.'],
      [/(\.attentions\.\d+)\.key\./, '$1.to_k.'],
      [/(\.attentions\.\d+)\.value\./, '$1.to_v.'],
      [/(\.attentions\.\d+)\.proj_attn\./, '$1.to_out.0.'],
    ],
    ignored: [],
  },
};

/**
 * The names by which this package knows a component's weights: a CLIP text encoder's with `text_model.`,
 * an autoencoder's attention with `to_q to_k to_v to_out.0`. Ignored buffers are left out.
 */
export function canonicalKeys<T>(className: string, tensors: ReadonlyMap<string, T>): Map<string, T> {
  const spelling = keySpellings[className];
  if (spelling === undefined) return new Map(tensors);
  const canonical = new Map<string, T>();
  for (const [key, tensor] of tensors) {
    if (spelling.ignored.some((pattern) => pattern.test(key))) continue;
    canonical.set(
      spelling.renames.reduce((name, [pattern, replacement]) => name.replace(pattern, replacement), key),
      tensor,
    );
  }
  return canonical;
}
