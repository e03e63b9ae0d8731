import { describe, expect, test } from 'vitest';
import { createRandom } from '../../sdk/random';
import { createIndividuals, INDIVIDUAL_COUNT } from '../../sdk/toybox/individuals';
import { createWorldPictures } from '../../sdk/toybox/pretraining-data';
import {
  ACCESSORIES,
  appearanceVector,
  BACKGROUND_VALUES,
  CLASSES,
  CONTEXTS,
  isHeldOut,
  PALETTE,
  PALETTE_JITTER,
  sampleAppearance,
  sampleScene,
} from '../../sdk/toybox/scene';

describe('scenes', () => {
  test('equal seeds give equal scenes, and a scene survives JSON', () => {
    const scene = sampleScene(createRandom(3));
    expect(sampleScene(createRandom(3))).toEqual(scene);
    expect(JSON.parse(JSON.stringify(scene))).toEqual(scene);
    expect(scene.background).toHaveLength(BACKGROUND_VALUES);
  });

  test('what is fixed stays, and leaves the rest as it was', () => {
    const free = sampleScene(createRandom(4));
    const context = free.context === 'snow' ? 'beach' : 'snow';
    expect(sampleScene(createRandom(4), { context })).toEqual({ ...free, context });
  });

  test('patch and part come from the palette, the patch stands out, every number lies in 0 … 1', () => {
    const random = createRandom(5);
    for (let i = 0; i < 500; i++) {
      const appearance = sampleAppearance(random);
      for (const colour of [appearance.c2, appearance.c3]) {
        const near = PALETTE.some((entry) =>
          entry.every((value, c) => Math.abs(value - colour[c]!) <= PALETTE_JITTER + 1e-12),
        );
        expect(near).toBe(true);
      }
      expect(Math.hypot(...appearance.c1.map((v, c) => v - appearance.c2[c]!))).toBeGreaterThanOrEqual(0.42);
      const vector = appearanceVector(appearance);
      expect(vector).toHaveLength(12);
      expect(Math.min(...vector)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...vector)).toBeLessThanOrEqual(1);
    }
  });

  test('about half are plain, three in five wear nothing', () => {
    const random = createRandom(6);
    const scenes = Array.from({ length: 2000 }, () => sampleScene(random));
    const share = (hit: number) => hit / scenes.length;
    expect(share(scenes.filter((s) => s.appearance.pattern === 'plain').length)).toBeCloseTo(0.52, 1);
    expect(share(scenes.filter((s) => s.accessory === 'none').length)).toBeCloseTo(0.6, 1);
  });

  test('a red body is redder than it is green or blue, a green one greener', () => {
    const random = createRandom(7);
    for (let i = 0; i < 100; i++) {
      const red = sampleAppearance(random, { colour: 'red' }).c1;
      const green = sampleAppearance(random, { colour: 'green' }).c1;
      expect(red[0]).toBeGreaterThan(Math.max(red[1], red[2]));
      expect(green[1]).toBeGreaterThan(Math.max(green[0], green[2]));
    }
  });

  test('a tenth of the triples is held out, one context for every class and accessory', () => {
    let held = 0;
    for (const noun of CLASSES) {
      for (const accessory of ACCESSORIES) {
        const contexts = CONTEXTS.filter((context) => isHeldOut({ class: noun, accessory, context }));
        expect(contexts).toHaveLength(1);
        held += contexts.length;
      }
    }
    expect(held).toBe(24);
  });
});

describe('individuals', () => {
  const individuals = createIndividuals();

  test('240 different names, thirty of every class, always the same', () => {
    expect(individuals).toHaveLength(INDIVIDUAL_COUNT);
    expect(new Set(individuals.map(({ name }) => name)).size).toBe(INDIVIDUAL_COUNT);
    for (const noun of CLASSES) expect(individuals.filter((each) => each.class === noun)).toHaveLength(30);
    expect(createIndividuals()).toEqual(individuals);
  });

  test('names are short and no word of the grammar', () => {
    for (const { name } of individuals) expect(name).toMatch(/^[a-z]{3,4}$/);
  });
});

describe('pictures of pre-training', () => {
  const pictures = createWorldPictures(1, 4000);
  const described = Array.from({ length: pictures.count }, (_, i) => pictures.describe(i));

  test('never show a held-out triple', () => {
    expect(described.filter(({ scene }) => isHeldOut(scene))).toEqual([]);
  });

  test('two in five show an individual, as it is', () => {
    const named = described.filter(({ name }) => name !== null);
    expect(named.length / described.length).toBeCloseTo(0.4, 1);
    const known = new Map(createIndividuals().map((each) => [each.name, each]));
    for (const { name, scene } of named) {
      expect(scene.class).toBe(known.get(name!)?.class);
      expect(scene.appearance).toEqual(known.get(name!)?.appearance);
    }
  });

  test('come out the same in any order, and differ between seeds', () => {
    expect(pictures.at(17)).toEqual(pictures.at(17));
    const few = createWorldPictures(1, 3);
    expect([...few]).toEqual([few.at(0), few.at(1), few.at(2)]);
    expect(createWorldPictures(2, 4000).describe(17)).not.toEqual(described[17]);
  });
});
