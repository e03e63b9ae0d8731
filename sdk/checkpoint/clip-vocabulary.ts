/** CLIP's published vocabulary (Radford et al. 2021), for checkpoints that come without a tokenizer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { isJsonObject, readJsonFile } from './json-file';
import { packageFolder } from './package-folder';
import type { TokenizerFiles } from './tokenizer-files';

const publishedMerges = 48_894;
/** Each byte, each byte at the end of a word, and the two special tokens. */
const tokensBesideMerges = 2 * 256 + 2;

/** How many merges a vocabulary of `size` tokens has. */
export const mergesOfVocabulary = (size: number): number =>
  Math.min(publishedMerges, size - tokensBesideMerges);

/**
 * Made from its merges: 256 bytes, the same at the end of a word, one token a merge, the two special tokens.
 * `mergeCount`: how many of the first merges there are. `padToken`: `!` for OpenCLIP's text encoders.
 */
export function clipVocabulary({
  mergeCount = publishedMerges,
  padToken,
}: {
  readonly mergeCount?: number;
  readonly padToken?: string;
} = {}): TokenizerFiles {
  const folder = join(packageFolder(), 'fixtures', 'clip-tokenizer');
  const settings = (name: string) => {
    const read = readJsonFile(join(folder, name), 'a tokenizer setting');
    return padToken !== undefined && isJsonObject(read) ? { ...read, pad_token: padToken } : read;
  };
  const lines = gunzipSync(readFileSync(join(folder, 'merges.txt.gz')))
    .toString()
    .split('\n')
    .slice(0, 1 + mergeCount);
  const bytes = byteCharacters();
  const merged = lines.slice(1).filter(Boolean);
  const tokens = [
    ...bytes,
    ...bytes.map((byte) => `${byte}</w>`),
    ...merged.map((line) => line.replace(' ', '')),
    '<|startoftext|>',
    '<|endoftext|>',
  ];
  return {
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: lines.join('\n'),
    config: settings('tokenizer_config.json'),
    specialTokens: settings('special_tokens_map.json'),
  };
}

/** Whether a vocabulary is CLIP's, whole or its beginning: what checkpoints without a tokenizer are read with. */
export function isClipVocabulary({ vocab }: Pick<TokenizerFiles, 'vocab'>): boolean {
  const tokens = Object.entries(vocab);
  const mergeCount = tokens.length - 2 * 256 - 2;
  if (mergeCount < 0) return false;
  const known = clipVocabulary({ mergeCount }).vocab;
  return tokens.every(([token, id]) => known[token] === id);
}

/** The bytes as byte-pair vocabularies write them, visible ones first, in the order of the published file. */
function byteCharacters(): string[] {
  const codes = Array.from({ length: 256 }, (_, byte) => byte);
  const visible = (byte: number) => /[!-~¡-¬®-ÿ]/.test(String.fromCodePoint(byte));
  const hidden = codes.filter((byte) => !visible(byte)).map((_, i) => String.fromCodePoint(256 + i));
  return [...codes.filter(visible).map((byte) => String.fromCodePoint(byte)), ...hidden];
}
