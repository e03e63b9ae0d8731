import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BrokenFileError } from '../errors';
import { isJsonObject, type JsonObject, readJsonFile, readTextFile } from './json-file';

/** What a CLIP tokenizer is made from, as `createClipTokenizer` takes it. */
export interface TokenizerFiles {
  /** Token → id. */
  readonly vocab: Readonly<Record<string, number>>;
  /** The text of `merges.txt`: one pair a line, the most frequent first. */
  readonly merges: string;
  readonly config: JsonObject;
  readonly specialTokens: JsonObject;
}

/**
 * Reads a tokenizer's folder: `vocab.json` and `merges.txt`, or the `tokenizer.json` that newer writers put in
 * their place. `tokenizer_config.json` and `special_tokens_map.json` may be absent.
 */
export function openTokenizerFiles(folder: string): TokenizerFiles {
  const optional = (name: string) =>
    existsSync(join(folder, name)) ? readJsonFile(join(folder, name), 'a tokenizer setting') : {};
  const settings = {
    config: optional('tokenizer_config.json'),
    specialTokens: optional('special_tokens_map.json'),
  };
  const vocabPath = join(folder, 'vocab.json');
  const combinedPath = join(folder, 'tokenizer.json');
  if (!existsSync(vocabPath) && existsSync(combinedPath))
    return { ...openCombined(combinedPath), ...settings };
  return {
    vocab: vocabularyOf(readJsonFile(vocabPath, 'the vocabulary of the tokenizer'), vocabPath),
    merges: readTextFile(join(folder, 'merges.txt'), 'the merges of the tokenizer'),
    ...settings,
  };
}

function openCombined(path: string): Pick<TokenizerFiles, 'vocab' | 'merges'> {
  const { model } = readJsonFile(path, 'the tokenizer');
  if (!isJsonObject(model) || !isJsonObject(model['vocab']) || !Array.isArray(model['merges'])) {
    throw new BrokenFileError(path, `${path} holds no byte-pair model ("model" with "vocab" and "merges").`);
  }
  // A merge is "a b" in older files and ["a", "b"] in newer ones.
  const merges = model['merges'].map((merge: unknown) =>
    Array.isArray(merge) ? merge.join(' ') : String(merge),
  );
  return { vocab: vocabularyOf(model['vocab'], path), merges: merges.join('\n') };
}

function vocabularyOf(vocab: JsonObject, path: string): Record<string, number> {
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isSafeInteger(id)) {
      throw new BrokenFileError(
        path,
        `Token ${JSON.stringify(token)} in ${path} has the id ${JSON.stringify(id)}, not a whole number.`,
      );
    }
  }
  return vocab as Record<string, number>;
}
