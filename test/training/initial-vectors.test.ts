import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { readBaseModel } from '../../sdk/models/base-model';
import { initialVectors } from '../../sdk/training/initial-vectors';

const base = readBaseModel(openDiffusersFolder(join(import.meta.dirname, '../../fixtures/golden/sd15-tiny')));
const [encoder] = base.textEncoders;
const { hiddenSize, vocabularySize } = encoder!.config;
/** Row i is i throughout. */
const table = Float32Array.from({ length: vocabularySize * hiddenSize }, (_, i) =>
  Math.floor(i / hiddenSize),
);

function startOf(noun: string, vectors: number): number[] {
  const rows = initialVectors(encoder!, noun, vectors, (key) => {
    expect(key).toBe('text_model.embeddings.token_embedding.weight');
    return table;
  });
  expect(rows).toHaveLength(vectors * hiddenSize);
  return Array.from({ length: vectors }, (_, i) => {
    const row = rows.subarray(i * hiddenSize, (i + 1) * hiddenSize);
    expect(new Set(row).size).toBe(1);
    return row[0]!;
  });
}

test('vectors start at the noun, its last tokens where there are too few, its last again where there are more', () => {
  const [first, second] = [encoder!.tokenizer.encode('the'), encoder!.tokenizer.encode('dog')];
  expect([first, second].every(({ length }) => length === 1)).toBe(true);
  const [the, dog] = [first[0]!, second[0]!];
  expect(startOf('dog', 1)).toEqual([dog]);
  expect(startOf('dog', 3)).toEqual([dog, dog, dog]);
  expect(startOf('the dog', 1)).toEqual([dog]);
  expect(startOf('the dog', 2)).toEqual([the, dog]);
  expect(startOf('the dog', 3)).toEqual([the, dog, dog]);
});
