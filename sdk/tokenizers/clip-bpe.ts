import { UnsupportedModelError } from '../errors';
import { byteSymbols, bytesOfSymbols } from './byte-symbols';

/** What a CLIP tokenizer is made from: the contents of its four files. */
export interface ClipTokenizerFiles {
  /** Token → id (`vocab.json`). */
  readonly vocab: Readonly<Record<string, number>>;
  /** The text of `merges.txt`: one pair a line, the most frequent first. */
  readonly merges: string;
  /** `tokenizer_config.json`; may be empty. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** `special_tokens_map.json`; may be empty. */
  readonly specialTokens?: Readonly<Record<string, unknown>>;
}

/** A prompt as a text encoder takes it. */
export interface TokenizedPrompt {
  /** Start token, the text's tokens, end token, then padding: `maxLength` ids. */
  readonly ids: Int32Array;
  /** The end of the text that did not fit, as it reads after tokenizing; empty when all fitted. */
  readonly cut: string;
}

/** CLIP's lower-casing byte-pair tokenizer. */
export interface ClipTokenizer {
  /** The ids of a text, without start, end or padding. */
  encode(text: string): number[];
  /** The ids of a prompt, cut or padded to `length` (default `maxLength`). */
  tokenize(text: string, length?: number): TokenizedPrompt;
  /** Start token, as many of `ids` as fit, end token, padding: `length` ids (default `maxLength`). */
  frame(ids: readonly number[], length?: number): Int32Array;
  /** The text that ids stand for: lower case, words parted by single blanks, special tokens left out. */
  decode(ids: Iterable<number>): string;
  /** The token of an id as the vocabulary spells it (`dog</w>`). */
  tokenOf(id: number): string | undefined;
  /** The id of a token as the vocabulary spells it. */
  idOf(token: string): number | undefined;
  readonly startId: number;
  readonly endId: number;
  readonly padId: number;
  /** Ids in a prompt, 77 in all published models. */
  readonly maxLength: number;
  readonly vocabularySize: number;
  /** How many pairs are merged; merged tokens have ids in the order of their merges. */
  readonly mergeCount: number;
}

const endOfWord = '</w>';
const usualLength = 77;

/**
 * Makes the tokenizer that transformers' `CLIPTokenizer` makes of the same files (Radford et al. 2021, after
 * Sennrich et al. 2016): NFC, white space to single blanks, lower case letter by letter, words cut by CLIP's
 * pattern, UTF-8 bytes, merges in order of rank. Special tokens in the text are recognised as such; where the
 * padding token is `!` (Stable Diffusion 2) every `!` is one.
 * Throws UnsupportedModelError when the vocabulary lacks a special token.
 */
export function createClipTokenizer(files: ClipTokenizerFiles): ClipTokenizer {
  const vocab = new Map(Object.entries(files.vocab));
  const tokens = new Map([...vocab].map(([token, id]) => [id, token]));
  const ranks = ranksOf(files.merges);
  const special = specialTokens(files, vocab);
  const words = wordPattern(special.all);
  const cache = new Map<string, readonly number[]>();

  const encodeWord = (word: string): readonly number[] => {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const symbols = [...byteSymbols(word)];
    symbols.push(`${symbols.pop()!}${endOfWord}`);
    const ids = merge(symbols, ranks).map((token) => vocab.get(token) ?? special.unknown.id);
    if (cache.size < 10_000) cache.set(word, ids);
    return ids;
  };

  const encode = (text: string): number[] => {
    const ids: number[] = [];
    for (const [match] of clean(text).matchAll(words)) {
      const id = special.all.includes(match) ? vocab.get(match) : undefined;
      if (id === undefined) ids.push(...encodeWord(match));
      else ids.push(id);
    }
    return ids;
  };

  const decode = (ids: Iterable<number>): string => {
    const kept = [...ids].map((id) => tokens.get(id) ?? '').filter((token) => !special.all.includes(token));
    return bytesOfSymbols(kept.join('').replaceAll(endOfWord, ' ')).trim();
  };

  const maxLength = lengthOf(files.config?.['model_max_length']);
  const roomIn = (length: number) => Math.max(0, length - 2);
  const frame = (ids: readonly number[], length = maxLength) => {
    const framed = new Int32Array(length).fill(special.pad.id);
    framed.set([special.start.id, ...ids.slice(0, roomIn(length)), special.end.id]);
    return framed;
  };
  return {
    encode,
    tokenize(text, length = maxLength) {
      const all = encode(text);
      return { ids: frame(all, length), cut: decode(all.slice(roomIn(length))) };
    },
    frame,
    decode,
    tokenOf: (id) => tokens.get(id),
    idOf: (token) => vocab.get(token),
    startId: special.start.id,
    endId: special.end.id,
    padId: special.pad.id,
    maxLength,
    vocabularySize: vocab.size,
    mergeCount: ranks.size,
  };
}

/** As the reference normalises: letter by letter, so that a final Σ becomes σ, not ς. */
function clean(text: string): string {
  const spaced = text.normalize('NFC').replaceAll(/\p{White_Space}+/gu, ' ');
  return Array.from(spaced, (letter) => letter.toLowerCase()).join('');
}

/** A special token, or an English contraction, a run of letters, one digit, a run of anything else. */
function wordPattern(specials: readonly string[]): RegExp {
  const escaped = [...specials]
    .sort((a, b) => b.length - a.length)
    .map((token) => token.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  // A run of anything else must stop where a special token begins, however long the run.
  const other = `(?:(?!${escaped.join('|')})[^\\p{White_Space}\\p{L}\\p{N}])+`;
  return new RegExp(`${escaped.join('|')}|'s|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|${other}`, 'gu');
}

function ranksOf(merges: string): Map<string, number> {
  const lines = merges.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#version'));
  return new Map(lines.map((line, rank) => [line.trim(), rank]));
}

/** Joins, again and again, the neighbours whose pair has the lowest rank. */
function merge(symbols: readonly string[], ranks: ReadonlyMap<string, number>): readonly string[] {
  let parts = symbols;
  while (parts.length > 1) {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 1; i < parts.length; i++) {
      best = Math.min(best, ranks.get(`${parts[i - 1]} ${parts[i]}`) ?? Number.POSITIVE_INFINITY);
    }
    if (best === Number.POSITIVE_INFINITY) break;
    const joined: string[] = [];
    for (let i = 0; i < parts.length; i++) {
      const [left, right] = [parts[i]!, parts[i + 1]];
      if (right !== undefined && ranks.get(`${left} ${right}`) === best) {
        joined.push(left + right);
        i++;
      } else {
        joined.push(left);
      }
    }
    parts = joined;
  }
  return parts;
}

function specialTokens(
  { config = {}, specialTokens = {} }: ClipTokenizerFiles,
  vocab: ReadonlyMap<string, number>,
) {
  const find = (name: string, otherwise: string) => {
    const token = contentOf(config[name]) ?? contentOf(specialTokens[name]) ?? otherwise;
    const id = vocab.get(token);
    if (id === undefined) {
      throw new UnsupportedModelError(
        `The tokenizer's vocabulary lacks its ${name} ${JSON.stringify(token)}.`,
      );
    }
    return { token, id };
  };
  const start = find('bos_token', '<|startoftext|>');
  const end = find('eos_token', '<|endoftext|>');
  const pad = find('pad_token', end.token);
  const unknown = find('unk_token', end.token);
  return {
    start,
    end,
    pad,
    unknown,
    all: [...new Set([start, end, pad, unknown].map(({ token }) => token))],
  };
}

/** A special token is written as a string, or as an object with its `content`. */
function contentOf(entry: unknown): string | undefined {
  if (typeof entry === 'string') return entry;
  if (typeof entry !== 'object' || entry === null || !('content' in entry)) return undefined;
  return typeof entry.content === 'string' ? entry.content : undefined;
}

/** Absent, or a stand-in for "without limit" (1e30), means CLIP's 77. */
function lengthOf(configured: unknown): number {
  return typeof configured === 'number' && configured >= 2 && configured < 1e6 ? configured : usualLength;
}
