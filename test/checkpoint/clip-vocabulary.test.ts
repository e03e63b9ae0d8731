import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clipVocabulary, isClipVocabulary } from '../../sdk/checkpoint/clip-vocabulary';
import { openTokenizerFiles } from '../../sdk/checkpoint/tokenizer-files';

test("a vocabulary is CLIP's from its beginning, or it is not", () => {
  expect(isClipVocabulary(clipVocabulary())).toBe(true);
  expect(isClipVocabulary(clipVocabulary({ mergeCount: 1500 }))).toBe(true);
  const { vocab } = openTokenizerFiles(join(import.meta.dirname, '../../fixtures/toybox/tokenizer'));
  expect(isClipVocabulary({ vocab })).toBe(false);
});
