import { describe, expect, test } from 'vitest';
import type { Oracle } from '../../sdk/evaluation/oracle';
import type { OracleReading } from '../../sdk/evaluation/oracle-reading';
import { measureToySubject, type ToyModels, toyPrompts } from '../../sdk/evaluation/toybox-protocol';
import { createRandom } from '../../sdk/random';
import { parseCaption } from '../../sdk/toybox/captions';
import { createWorldPictures } from '../../sdk/toybox/pretraining-data';
import { renderScene } from '../../sdk/toybox/renderer';
import {
  ACCESSORIES,
  appearanceVector,
  CLASSES,
  COLOURS,
  CONTEXTS,
  PATTERNS,
  type Scene,
  sampleScene,
} from '../../sdk/toybox/scene';
import { appearanceOf, PHOTO_CONTEXTS, type ToySubject, toyPhotos } from '../../sdk/toybox/toy-subject';
import { reading } from './reading';

const toy: ToySubject = { class: 'dog', seed: 5 };

/** Pictures whose scenes are known: an oracle that cannot err. */
function createTruth(): { oracle: Oracle; pictureOf(scene: Scene): Float32Array } {
  const known = new Map<Float32Array, Scene>();
  return {
    pictureOf(scene) {
      const planes = new Float32Array(3 * 64 * 64);
      known.set(planes, scene);
      return planes;
    },
    oracle: {
      read: async (pictures) =>
        pictures.map((planes) => {
          const scene = known.get(planes);
          return scene === undefined ? reading({ feature: new Array(12).fill(0.5) }) : truthOf(scene);
        }),
      release: async () => {},
    },
  };
}

function truthOf(scene: Scene): OracleReading {
  const { appearance } = scene;
  return {
    features: Float32Array.from(appearanceVector(appearance)),
    class: CLASSES.indexOf(scene.class),
    context: CONTEXTS.indexOf(scene.context),
    accessory: ACCESSORIES.indexOf(scene.accessory),
    colour: COLOURS.indexOf(appearance.colour),
    pattern: PATTERNS.indexOf(appearance.pattern),
    patternProbabilities: PATTERNS.map((name) => (name === appearance.pattern ? 1 : 0)),
    appearance: appearanceVector(appearance),
  };
}

/** Models that draw what they are asked for: the one that learned draws the subject wherever it is named. */
function createModels(truth: ReturnType<typeof createTruth>, forgetsClass: boolean): ToyModels {
  // The pictures that are reconstructed are of the subject or of others; their scenes are found by their bytes.
  const scenes = new Map<string, Scene>();
  const remember = (scene: Scene) => scenes.set(renderScene(scene).join(), scene);
  for (const stream of [3, 4]) {
    const random = createRandom(toy.seed * 256 + stream);
    const fixed = stream === 3 ? { appearance: appearanceOf(toy) } : {};
    for (let i = 0; i < 120; i++) {
      const context = CONTEXTS[i % CONTEXTS.length]!;
      remember(sampleScene(random, { class: toy.class, accessory: 'none', context, ...fixed }));
    }
  }
  return {
    async draw(who, orders) {
      return orders.map(({ text, seed }) => {
        const clauses = parseCaption(text)!;
        const isSubject = who === 'subject' && (clauses.name !== undefined || forgetsClass);
        const { class: name = 'cat', context = 'snow', accessory = 'none' } = clauses;
        const fixed = {
          class: name,
          context,
          accessory,
          ...(isSubject && { appearance: appearanceOf(toy) }),
        };
        return truth.pictureOf(sampleScene(createRandom(seed), fixed));
      });
    },
    reconstruct: async (pictures) => pictures.map((pixels) => truth.pictureOf(scenes.get(pixels.join())!)),
    pixelsOf: () => new Uint8Array(64 * 64 * 3),
    planesOf: () => new Float32Array(3 * 64 * 64),
  };
}

describe('a subject of the embedded world', () => {
  test('measured with models that draw as asked: the subject is itself, the base draws anyone', async () => {
    const truth = createTruth();
    const steps: number[] = [];
    const { subject, base, pictures, basePictures, prior } = await measureToySubject(
      toy,
      'mtj',
      createModels(truth, false),
      truth.oracle,
      (step) => steps.push(step),
    );
    expect(steps).toEqual([1, 2, 3, 4, 5]);
    expect(pictures.map((group) => group.length)).toEqual(new Array(15).fill(4));
    expect(basePictures).toHaveLength(15);
    expect(prior).toHaveLength(64);
    expect(subject).toMatchObject({
      CP: 1,
      PF: 1,
      classAccuracy: 1,
      contextAccuracy: 1,
      accessoryAccuracy: 1,
    });
    expect(base.CP).toBeLessThan(0.3);
    expect(base.PF).toBe(1);
    expect(subject.LEAK).toBeLessThan(0.1);
    expect(subject.PRES).toBeCloseTo(base.PRES);
    expect(subject['PRIOR-FD']).toBeCloseTo(0);
    expect(subject.backgroundLeak).toBe(0);
  });

  test('a model that forgot its class leaks, and PRES shows it', async () => {
    const truth = createTruth();
    const { subject, base } = await measureToySubject(
      toy,
      'mtj',
      createModels(truth, true),
      truth.oracle,
      () => {},
    );
    expect(subject.CP).toBe(1);
    expect(subject.LEAK).toBe(1);
    expect(subject.PRES).toBeGreaterThan(base.PRES + 0.3);
    expect(subject['PRIOR-FD']).toBeGreaterThan(0.1);
  });

  test('prompts ask for every context, and for accessories that no photo shows', () => {
    const prompts = toyPrompts(toy, 'mtj');
    expect(new Set(prompts.map(({ context }) => context))).toEqual(new Set(CONTEXTS));
    expect(prompts.filter(({ accessory }) => accessory !== undefined)).toHaveLength(5);
    expect(prompts.every(({ name, class: noun }) => name === 'mtj' && noun === 'dog')).toBe(true);
  });

  test('has four photos in two contexts, always the same, of somebody pre-training never met', () => {
    const photos = toyPhotos(toy);
    expect(photos).toHaveLength(4);
    expect(new Set(PHOTO_CONTEXTS).size).toBe(2);
    expect(toyPhotos(toy)).toEqual(photos);
    expect(toyPhotos({ ...toy, seed: 6 })[0]).not.toEqual(photos[0]);
    const met = createWorldPictures(7, 2000);
    const own = appearanceVector(appearanceOf(toy)).join();
    for (let i = 0; i < met.count; i++) {
      expect(appearanceVector(met.describe(i).scene.appearance).join()).not.toBe(own);
    }
  });
});
