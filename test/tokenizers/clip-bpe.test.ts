import { describe, expect, test } from 'vitest';
import { readGoldenTexts } from '../../fixtures/clip-tokenizer/read-golden-texts';
import { clipVocabulary } from '../../sdk/checkpoint/clip-vocabulary';
import { UnsupportedModelError } from '../../sdk/errors';
import { createClipTokenizer } from '../../sdk/tokenizers/clip-bpe';

const files = clipVocabulary();
const clip = createClipTokenizer(files);
const small = clipVocabulary({ mergeCount: 1500 });
const paddedWithMark = createClipTokenizer({
  ...small,
  config: { ...small.config, pad_token: '!' },
  specialTokens: { ...small.specialTokens, pad_token: '!' },
});

test.each(readGoldenTexts('golden.json'))('ids as transformers gives them: $text', ({ text, ids }) => {
  expect([...clip.tokenize(text).ids]).toEqual(ids);
});

test.each(readGoldenTexts('golden-first-1500-merges.json'))(
  'ids where `!` is the padding: $text',
  ({ text, ids }) => {
    expect([...paddedWithMark.tokenize(text).ids]).toEqual(ids);
  },
);

test('what the files say', () => {
  expect(clip).toMatchObject({
    startId: 49406,
    endId: 49407,
    padId: 49407,
    maxLength: 77,
    vocabularySize: 49408,
  });
  expect(clip.mergeCount).toBe(48894);
  expect(paddedWithMark.padId).toBe(0);
  expect(clip.tokenOf(48136)).toBe('sks</w>');
  expect(clip.idOf('sks</w>')).toBe(48136);
  expect(clip.tokenOf(99999)).toBeUndefined();
});

test('encode gives the text alone', () => {
  expect(clip.encode('a photo of sks dog')).toEqual([320, 1125, 539, 48136, 1929]);
  expect(clip.encode(' ')).toEqual([]);
});

test('decode gives the text back, cleaned', () => {
  for (const text of ['a photo of sks dog', 'café naïve façade', '🐶 日本語', 'isn ’ t']) {
    expect(clip.decode(clip.encode(text))).toBe(text);
  }
  expect(clip.decode(clip.tokenize('Two  Dogs').ids)).toBe('two dogs');
  expect(clip.decode([clip.idOf('ð')!])).toBe('\ufffd');
});

describe('a text that is too long', () => {
  const words = Array.from({ length: 80 }, (_, i) => (i < 75 ? 'dog' : `cat${i}`)).join(' ');

  test('is cut, and says what was cut', () => {
    const { ids, cut } = clip.tokenize(words);
    expect(ids).toHaveLength(77);
    expect(ids[75]).toBe(clip.idOf('dog</w>'));
    expect(ids[76]).toBe(clip.endId);
    expect(cut).toBe('cat 7 5 cat 7 6 cat 7 7 cat 7 8 cat 7 9');
  });

  test('is not cut when it just fits', () => {
    expect(clip.tokenize(words.slice(0, 75 * 4 - 1))).toMatchObject({ cut: '' });
  });

  test('a length of its own', () => {
    expect([...clip.tokenize('a dog', 5).ids]).toEqual([49406, 320, 1929, 49407, 49407]);
    expect(clip.tokenize('a red dog', 4)).toMatchObject({ cut: 'dog' });
  });

  test('a word of a thousand letters takes no time', () => {
    const started = performance.now();
    expect(clip.tokenize('ab'.repeat(500)).ids[76]).toBe(clip.endId);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

test('a vocabulary without its special tokens is refused by name', () => {
  const { '<|startoftext|>': _, ...vocab } = files.vocab;
  expect(() => createClipTokenizer({ ...files, vocab })).toThrow(UnsupportedModelError);
  expect(() => createClipTokenizer({ ...files, vocab })).toThrow(/lacks its bos_token "<\|startoftext\|>"/);
});

test('without settings CLIP’s own hold', () => {
  const bare = createClipTokenizer({ vocab: small.vocab, merges: small.merges });
  expect(bare).toMatchObject({ startId: 2012, endId: 2013, padId: 2013, maxLength: 77 });
  expect(createClipTokenizer({ ...small, config: { model_max_length: 1e30 } }).maxLength).toBe(77);
});
