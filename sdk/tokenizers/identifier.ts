import { InvalidOptionError } from '../errors';
import type { Random } from '../random';
import { blockedIdentifiers } from './blocked-identifiers';
import type { ClipTokenizer } from './clip-bpe';

/*
 * DreamBooth (Ruiz et al. 2023, section 3.2) names a subject by a token that is rare in the vocabulary, so that
 * it brings little meaning of its own. CLIP's merges are sorted by frequency: the last of them are the rarest.
 */

/** The share of the merges that counts as rare: in CLIP's vocabulary the ids from 40,000 on. */
const rareShare = 9_406 / 48_894;
/** Ids of single bytes, and of single bytes that end a word, come before the merges. */
const byteTokens = 512;

/**
 * The tokens fit to name a new subject of class `className`: one to three letters, a whole word, among the rarest,
 * one token by itself and within `a … className`, and without a meaning known to this package. In order of id.
 */
export function identifierCandidates(
  tokenizer: ClipTokenizer,
  className: string,
  used: Iterable<string> = [],
): readonly string[] {
  const taken = new Set(used);
  const firstMerge = byteTokens;
  const firstRare = firstMerge + Math.floor(tokenizer.mergeCount * (1 - rareShare));
  const candidates: string[] = [];
  for (let id = firstRare; id < firstMerge + tokenizer.mergeCount; id++) {
    const word = /^([a-z]{1,3})<\/w>$/.exec(tokenizer.tokenOf(id) ?? '')?.[1];
    if (word === undefined || taken.has(word) || blockedIdentifiers.has(word)) continue;
    if (isOneToken(tokenizer, word, id, className)) candidates.push(word);
  }
  return candidates;
}

/**
 * Draws an identifier, each candidate being equally likely; none of `used` (those of other subjects).
 * Throws InvalidOptionError when the vocabulary has no candidate left: the caller must then give one.
 */
export function chooseIdentifier(
  tokenizer: ClipTokenizer,
  className: string,
  random: Random,
  used: Iterable<string> = [],
): string {
  const candidates = identifierCandidates(tokenizer, className, used);
  const chosen = candidates[random.integer(candidates.length)];
  if (chosen === undefined) {
    throw new InvalidOptionError(
      'identifier',
      'The tokenizer of this base model has no unused rare word to name a subject by. Give one with `identifier`.',
    );
  }
  return chosen;
}

/**
 * Judges an identifier that a caller gives; returns warnings, which do not stop a training.
 * Throws InvalidOptionError when it has no tokens at all or a special token in it.
 */
export function checkIdentifier(tokenizer: ClipTokenizer, identifier: string): readonly string[] {
  const ids = tokenizer.encode(identifier);
  const quoted = JSON.stringify(identifier);
  if (ids.length === 0) {
    throw new InvalidOptionError(
      'identifier',
      `The identifier ${quoted} has no tokens; give one to three letters, for example "olis", or leave it out.`,
    );
  }
  if (ids.some((id) => id === tokenizer.startId || id === tokenizer.endId)) {
    throw new InvalidOptionError(
      'identifier',
      `The identifier ${quoted} contains a special token of the tokenizer; give one to three letters.`,
    );
  }
  const warnings: string[] = [];
  if (ids.length > 3) {
    const pieces = ids.map((id) => tokenizer.tokenOf(id)?.replace('</w>', '')).join(' ');
    warnings.push(
      `The identifier ${quoted} splits into ${ids.length} tokens (${pieces}), which bind badly; use a word of at most 3.`,
    );
  }
  const lower = identifier.trim().toLowerCase();
  for (const word of new Set(lower.split(/\s+/))) {
    const reason = blockedIdentifiers.get(word);
    if (reason !== undefined) {
      warnings.push(
        `The identifier ${JSON.stringify(word)} ${reason}: what it means will leak into the pictures.`,
      );
    }
  }
  if (identifier !== identifier.toLowerCase()) {
    warnings.push(`The tokenizer reads lower case only: ${quoted} is the same as ${JSON.stringify(lower)}.`);
  }
  return warnings;
}

function isOneToken(tokenizer: ClipTokenizer, word: string, id: number, className: string): boolean {
  const alone = tokenizer.encode(word);
  return alone.length === 1 && alone[0] === id && tokenizer.encode(`a ${word} ${className}`)[1] === id;
}

/**
 * Judges the class noun of a subject ("dog", "alarm clock"); returns warnings.
 * Throws InvalidOptionError when it has no tokens or a special token in it.
 */
export function checkClassName(tokenizer: ClipTokenizer, className: string): readonly string[] {
  const ids = tokenizer.encode(className);
  const quoted = JSON.stringify(className);
  if (ids.length === 0 || ids.some((id) => id === tokenizer.startId || id === tokenizer.endId)) {
    const problem = ids.length === 0 ? 'has no tokens' : 'contains a special token of the tokenizer';
    throw new InvalidOptionError(
      'className',
      `The class ${quoted} ${problem}; give a noun, for example "dog".`,
    );
  }
  const words = className.trim().split(/\s+/).length;
  return words <= 3
    ? []
    : [
        `The class ${quoted} has ${words} words; a coarse noun like "dog" works best, since the subject's own looks are learnt from the photos.`,
      ];
}
