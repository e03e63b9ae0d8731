/** The words that name the paper's subjects: of one draw, whichever subjects are there and whatever the home has. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTokenizerFiles } from '../../sdk/checkpoint/tokenizer-files';
import { paperIdentifiers } from '../../sdk/protocols/paper/paper-identifiers';
import { paperSubjects } from '../../sdk/protocols/paper/paper-prompts';
import { evaluatePaper, type PaperEvaluationRequest } from '../../sdk/protocols/paper/paper-protocol';
import { createClipTokenizer } from '../../sdk/tokenizers/clip-bpe';
import { identifierCandidates } from '../../sdk/tokenizers/identifier';
import { paint, placeForTests } from './protocol-engine';

const place = placeForTests();
const toybox = join(import.meta.dirname, '../../fixtures/toybox');

test('thirty words, none twice, of one stream of the seed', () => {
  const words = paperIdentifiers(place.base, 0);
  expect(Object.keys(words)).toEqual(paperSubjects.map(({ name }) => name));
  expect(new Set(Object.values(words)).size).toBe(30);
  expect(paperIdentifiers(place.base, 0)).toEqual(words);
  expect(paperIdentifiers(place.base, 1)).not.toEqual(words);
});

test('of a tokenizer with fewer rare words all are drawn before one comes back', () => {
  const words = Object.values(
    paperIdentifiers(join(import.meta.dirname, '../../fixtures/golden/sd21-tiny'), 0),
  );
  const different = new Set(words).size;
  expect(words).toHaveLength(30);
  expect(different).toBeLessThan(30);
  expect(new Set(words.slice(0, different)).size).toBe(different);
});

test("of the base's own tokenizer where it has one", () => {
  const words = paperIdentifiers(toybox, 0);
  const tokenizer = createClipTokenizer(openTokenizerFiles(join(toybox, 'tokenizer')));
  for (const { name, className } of paperSubjects)
    expect(identifierCandidates(tokenizer, className), name).toContain(words[name]);
  expect(words).not.toEqual(paperIdentifiers(place.base, 0));
});

/** On a small tokenizer, which is quick to draw from. */
const evaluate = async (present: readonly string[], more: Partial<PaperEvaluationRequest> = {}) => {
  cpSync(join(toybox, 'tokenizer'), join(place.base, 'tokenizer'), { recursive: true });
  const data = join(place.folder, present.join('-'));
  for (const name of present) await paint(join(data, name, '00.jpg'), [0, 0, 255]);
  return evaluatePaper(
    place.engine,
    {
      data,
      folder: join(place.folder, 'out'),
      base: place.base,
      settings: { steps: 2 },
      pictures: 1,
      classPictures: 1,
      drawing: { steps: 1, width: 16, height: 16 },
      ...more,
    },
    () => {},
  );
};
const learned = () => place.calls.learned.map(({ className, identifier }) => [className, identifier]);

test('a subject has its word whatever others are there, or were learned before', async () => {
  const { about } = await evaluate(['dog2'], { keepSubjects: true });
  await evaluate(['dog', 'dog2'], { settings: { steps: 3 } });
  const { dog, dog2 } = about.identifiers;
  expect(dog).not.toBe(dog2);
  expect(learned()).toEqual([
    ['dog', dog2],
    ['dog', dog],
    ['dog', dog2],
  ]);
});

test('another seed is another word, and another run', async () => {
  const first = await evaluate(['dog']);
  const other = await evaluate(['dog'], { seed: 1 });
  expect(learned()).toEqual([
    ['dog', first.about.identifiers['dog']],
    ['dog', other.about.identifiers['dog']],
  ]);
  expect(other.pictures[0]!.file).not.toBe(first.pictures[0]!.file);
});

test.each([{ rareIdentifier: false }, { kind: 'embedding' }] as const)('none with %j', async (settings) => {
  const { about } = await evaluate(['dog'], { settings: { steps: 2, ...settings } });
  expect(about.identifiers).toEqual({});
  expect(learned()).toEqual([['dog', null]]);
});
