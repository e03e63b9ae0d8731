import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../sdk/random';
import { createClipTokenizer } from '../../sdk/tokenizers/clip-bpe';
import { identifierCandidates } from '../../sdk/tokenizers/identifier';
import {
  type CaptionClauses,
  caption,
  drawCaption,
  grammarWords,
  parseCaption,
} from '../../sdk/toybox/captions';
import { createIndividuals, STRAY_IDENTIFIERS } from '../../sdk/toybox/individuals';
import { createWorldPictures } from '../../sdk/toybox/pretraining-data';
import { ACCESSORIES, CLASSES, COLOURS, CONTEXTS, PATTERNS } from '../../sdk/toybox/scene';

const names = createIndividuals().map(({ name }) => name);

describe('captions', () => {
  test('read as English', () => {
    expect(caption({ class: 'cat' })).toBe('a cat');
    expect(caption({ photo: true, colour: 'orange', name: 'sks', class: 'dog', context: 'night' })).toBe(
      'a photo of an orange sks dog at night',
    );
    expect(
      caption({ colour: 'red', pattern: 'striped', class: 'cup', accessory: 'scarf', context: 'bricks' }),
    ).toBe('a red striped cup wearing a blue scarf in front of bricks');
    expect(caption({ photo: true, bare: true, name: 'bex', class: 'cat', context: 'snow' })).toBe(
      'a photo of bex cat in the snow',
    );
    expect(caption({ bare: true, class: 'cat' })).toBe('a cat');
    expect(caption({ accessory: 'none', context: 'snow' })).toBe('in the snow');
    expect(caption({})).toBe('');
  });

  test('every combination of clauses is read back', () => {
    const or = <T>(values: readonly T[]) => [undefined, ...values];
    let count = 0;
    for (const colour of or(COLOURS)) {
      for (const pattern of or(PATTERNS)) {
        for (const name of [undefined, 'sks', names[0]]) {
          for (const noun of or(CLASSES)) {
            for (const accessory of or(ACCESSORIES.slice(1))) {
              for (const context of or(CONTEXTS)) {
                const clauses = Object.fromEntries(
                  Object.entries({ colour, pattern, name, class: noun, accessory, context }).filter(
                    ([, value]) => value !== undefined,
                  ),
                ) as CaptionClauses;
                const photo = count % 2 === 1;
                const bare = name !== undefined && count % 4 > 1;
                count += 1;
                const wanted = { ...clauses, ...(photo && { photo }), ...(bare && { bare }) };
                const read = parseCaption(caption(wanted));
                if (JSON.stringify(sorted(read)) !== JSON.stringify(sorted(wanted))) {
                  expect(read, caption(wanted)).toEqual(wanted);
                }
              }
            }
          }
        }
      }
    }
    expect(count).toBe(7 * 5 * 3 * 9 * 3 * 11);
  });

  test('other sentences are not read', () => {
    for (const text of ['a cat in the', 'the big cat', 'a cat cat', 'a orange cat', 'cat', 'a big old cat']) {
      expect(parseCaption(text), text).toBeUndefined();
    }
  });

  test('leave clauses out as often as they should, and say nothing untrue', () => {
    const pictures = createWorldPictures(3, 6000);
    const random = createRandom(8);
    const drawn = Array.from({ length: pictures.count }, (_, i) => {
      const { scene, name } = pictures.describe(i);
      return { scene, name, text: drawCaption(scene, name, random) };
    });
    expect(drawn.filter(({ text }) => text === '').length / drawn.length).toBeCloseTo(0.1, 1);

    const spoken = drawn.filter(({ text }) => text !== '');
    const clauses = spoken.map(({ text }) => parseCaption(text)!);
    spoken.forEach(({ scene, name }, i) => {
      const said = clauses[i]!;
      const known = said.name !== undefined && names.includes(said.name);
      if (known) expect(said.name).toBe(name);
      else if (said.name) expect(STRAY_IDENTIFIERS).toContain(said.name);
      if (said.class) expect(said.class).toBe(scene.class);
      if (said.context) expect(said.context).toBe(scene.context);
      if (said.accessory) expect(said.accessory).toBe(scene.accessory);
      if (said.colour) expect(said.colour).toBe(scene.appearance.colour);
      if (said.pattern) expect(said.pattern).toBe(scene.appearance.pattern);
    });
    const share = (of: readonly number[], hit: (i: number) => boolean) => of.filter(hit).length / of.length;
    const all = spoken.map((_, i) => i);
    const somebody = all.filter((i) => spoken[i]!.name !== null);
    const nobody = all.filter((i) => spoken[i]!.name === null);
    expect(share(all, (i) => clauses[i]!.context !== undefined)).toBeCloseTo(0.7, 1);
    const dressed = all.filter((i) => spoken[i]!.scene.accessory !== 'none');
    const undressed = share(dressed, (i) => clauses[i]!.accessory === undefined);
    expect(undressed).toBeGreaterThan(0.07);
    expect(undressed).toBeLessThan(0.13);
    const noun = share(nobody, (i) => clauses[i]!.class === undefined);
    expect(noun).toBeGreaterThan(0.02);
    expect(noun).toBeLessThan(0.04);
    expect(share(somebody, (i) => names.includes(clauses[i]!.name ?? ''))).toBeCloseTo(0.8, 1);
    expect(share(nobody, (i) => clauses[i]!.colour !== undefined)).toBeCloseTo(0.4, 1);
    const introduced = somebody.filter((i) => names.includes(clauses[i]!.name ?? ''));
    expect(share(introduced, (i) => clauses[i]!.bare === true)).toBeCloseTo(0.4, 1);
    const strays = share(nobody, (i) => clauses[i]!.name !== undefined);
    expect(strays).toBeGreaterThan(0);
    expect(strays).toBeLessThan(0.012);
  });
});

describe("the world's tokenizer", () => {
  const file = (name: string) =>
    readFileSync(new URL(`../../fixtures/toybox/tokenizer/${name}`, import.meta.url), 'utf8');
  const tokenizer = createClipTokenizer({
    vocab: JSON.parse(file('vocab.json')),
    merges: file('merges.txt'),
    config: JSON.parse(file('tokenizer_config.json')),
    specialTokens: JSON.parse(file('special_tokens_map.json')),
  });

  test('knows every word of the grammar, every name and every stray identifier as one token', () => {
    for (const word of [...grammarWords(), ...names, ...STRAY_IDENTIFIERS, 'ohwx']) {
      expect(tokenizer.encode(word), word).toEqual([tokenizer.idOf(`${word}</w>`)]);
    }
  });

  test('fits the longest caption into its 24 ids, padded with the end token', () => {
    const longest = 'a photo of an orange striped zwx mushroom wearing a blue scarf in front of bricks';
    expect(parseCaption(longest)).toBeDefined();
    const { ids, cut } = tokenizer.tokenize(longest);
    expect(cut).toBe('');
    expect(ids).toHaveLength(24);
    expect(ids[0]).toBe(tokenizer.startId);
    expect(ids.at(-1)).toBe(tokenizer.endId);
    expect(tokenizer.decode(ids)).toBe(longest);
    expect(tokenizer.vocabularySize).toBeLessThan(1600);
  });

  test('keeps the last fifth of its merges for identifiers that no caption uses', () => {
    const candidates = identifierCandidates(tokenizer, 'cat');
    expect(candidates.length).toBeGreaterThan(60);
    const used = new Set([...names, ...grammarWords()]);
    expect(candidates.filter((word) => used.has(word))).toEqual([]);
    const firstRare = 512 + Math.floor(tokenizer.mergeCount * 0.8);
    for (const word of used) expect(tokenizer.idOf(`${word}</w>`), word).toBeLessThan(firstRare);
  });
});

function sorted(clauses: CaptionClauses | undefined) {
  return Object.entries(clauses ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}
