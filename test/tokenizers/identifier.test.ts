import { describe, expect, test } from 'vitest';
import { clipVocabulary } from '../../sdk/checkpoint/clip-vocabulary';
import { InvalidOptionError } from '../../sdk/errors';
import { createRandom } from '../../sdk/random';
import { blockedIdentifiers } from '../../sdk/tokenizers/blocked-identifiers';
import { createClipTokenizer } from '../../sdk/tokenizers/clip-bpe';
import {
  checkClassName,
  checkIdentifier,
  chooseIdentifier,
  identifierCandidates,
} from '../../sdk/tokenizers/identifier';

const clip = createClipTokenizer(clipVocabulary());

describe('candidates', () => {
  const candidates = identifierCandidates(clip, 'dog');

  test('are many, rare, and short', () => {
    expect(candidates.length).toBeGreaterThan(80);
    for (const word of candidates) {
      expect(word).toMatch(/^[a-z]{1,3}$/);
      expect(clip.idOf(`${word}</w>`)).toBeGreaterThanOrEqual(40_000);
    }
  });

  test('come back as one token, alone and in a prompt', () => {
    for (const word of candidates) {
      const id = clip.idOf(`${word}</w>`);
      expect(clip.encode(word)).toEqual([id]);
      expect(clip.encode(`a photo of a ${word} dog`)[4]).toBe(id);
    }
  });

  test('mean nothing that is known', () => {
    for (const word of ['sks', 'lsd', 'ftp', 'dbz', 'fck', 'lox', 'hpv', 'pkk', 'chk']) {
      expect(clip.idOf(`${word}</w>`), `${word} is a rare token`).toBeGreaterThanOrEqual(40_000);
      expect(blockedIdentifiers.get(word)).toBeDefined();
      expect(candidates).not.toContain(word);
    }
  });

  test('of other subjects are left out', () => {
    const used = candidates.slice(0, 3);
    expect(identifierCandidates(clip, 'dog', used)).toEqual(candidates.slice(3));
  });

  test('of another vocabulary are among its own last merges', () => {
    const small = createClipTokenizer(clipVocabulary({ mergeCount: 6000 }));
    for (const word of identifierCandidates(small, 'dog')) {
      expect(small.idOf(`${word}</w>`)).toBeGreaterThanOrEqual(512 + Math.floor(6000 * 0.8));
    }
  });
});

describe('the choice', () => {
  test('is the seed’s, and spreads over the candidates', () => {
    const draw = (seed: number) => chooseIdentifier(clip, 'dog', createRandom(seed));
    expect(draw(1)).toBe(draw(1));
    expect(new Set(Array.from({ length: 40 }, (_, seed) => draw(seed))).size).toBeGreaterThan(25);
  });

  test('with none left asks for one', () => {
    const all = identifierCandidates(clip, 'dog');
    const last = all.at(-1)!;
    expect(chooseIdentifier(clip, 'dog', createRandom(0), all.slice(0, -1))).toBe(last);
    expect(() => chooseIdentifier(clip, 'dog', createRandom(0), all)).toThrow(InvalidOptionError);
    expect(() => chooseIdentifier(clip, 'dog', createRandom(0), all)).toThrow(/Give one with `identifier`/);
  });
});

describe('an identifier that was given', () => {
  test('a rare word is fine', () => {
    expect(checkIdentifier(clip, 'olis')).toEqual([]);
    expect(checkIdentifier(clip, 'ohwx')).toEqual([]);
  });

  test.each(['', '   ', '\n'])('without tokens is refused: %j', (identifier) => {
    expect(() => checkIdentifier(clip, identifier)).toThrow(InvalidOptionError);
    expect(() => checkIdentifier(clip, identifier)).toThrow(/has no tokens/);
  });

  test('with a special token is refused', () => {
    expect(() => checkIdentifier(clip, '<|endoftext|>')).toThrow(/special token/);
  });

  test.each([
    ['xxy5syt00', /splits into \d tokens \(.*\), which bind badly/],
    ['sks', /"sks" is a weapon/],
    ['red', /"red" is an English word/],
    ['my sks', /"sks" is a weapon/],
    ['Olis', /lower case only: "Olis" is the same as "olis"/],
  ])('%s is warned of', (identifier, warning) => {
    expect(checkIdentifier(clip, identifier).join('\n')).toMatch(warning);
  });
});

describe('a class name', () => {
  test('of one to three words is fine', () => {
    for (const name of ['dog', 'alarm clock', 'stuffed animal toy'])
      expect(checkClassName(clip, name)).toEqual([]);
  });

  test('of many words is warned of', () => {
    expect(checkClassName(clip, 'small brown fluffy dog')).toEqual([expect.stringMatching(/has 4 words/)]);
  });

  test('of no tokens, or with a special one, is refused', () => {
    for (const name of ['', ' \t']) expect(() => checkClassName(clip, name)).toThrow(/has no tokens.*"dog"/);
    expect(() => checkClassName(clip, 'dog <|endoftext|>')).toThrow(InvalidOptionError);
  });
});
