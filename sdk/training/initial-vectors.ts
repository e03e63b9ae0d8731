/** Where the vectors of an embedding start: at those of the class noun (Gal et al. 2022, §3.1). */
import type { TextEncoderPart } from '../models/base-model';

/**
 * [vectors, hidden]: rows of the encoder's table for the noun's tokens. Of a noun of more tokens than there are vectors
 * the last ones, which bear its meaning; where there are more vectors, its last token again.
 */
export function initialVectors(
  { tokenizer, config }: TextEncoderPart,
  noun: string,
  vectors: number,
  readWeight: (key: string) => Float32Array,
): Float32Array {
  const { hiddenSize } = config;
  const table = readWeight('text_model.embeddings.token_embedding.weight');
  const ids = tokenizer.encode(noun).slice(-vectors);
  const rows = new Float32Array(vectors * hiddenSize);
  for (let row = 0; row < vectors; row++) {
    const id = ids[Math.min(row, ids.length - 1)]!;
    rows.set(table.subarray(id * hiddenSize, (id + 1) * hiddenSize), row * hiddenSize);
  }
  return rows;
}
