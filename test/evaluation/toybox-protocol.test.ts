import { describe, expect, test } from 'vitest';
import type { Oracle } from '../../sdk/evaluation/oracle';
import type { OracleReading } from '../../sdk/evaluation/oracle-reading';
import {
  copyingModel,
  measureToyModels,
  type PictureOrder,
  realModel,
  type ToyModel,
  type ToyWorld,
  toyPrompts,
} from '../../sdk/evaluation/toybox-protocol';
import { createRandom } from '../../sdk/random';
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

/** A world whose models draw what they are asked for. */
function createWorld(truth: ReturnType<typeof createTruth>): ToyWorld {
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
    oracle: truth.oracle,
    drawBase: drawing(truth, 'nobody'),
    reconstruct: async (pictures) => pictures.map((pixels) => truth.pictureOf(scenes.get(pixels.join())!)),
    pixelsOf: () => new Uint8Array(64 * 64 * 3),
    planesOf: () => new Float32Array(3 * 64 * 64),
  };
}

/** The one that learned draws the subject wherever it is named, or everywhere. */
const drawing =
  (truth: ReturnType<typeof createTruth>, shows: 'nobody' | 'named' | 'always') =>
  async (orders: readonly PictureOrder[]) =>
    orders.map(({ clauses, seed }) => {
      const isSubject = shows === 'always' || (shows === 'named' && clauses.name !== undefined);
      const { class: name = 'cat', context = 'snow', accessory = 'none' } = clauses;
      const fixed = { class: name, context, accessory, ...(isSubject && { appearance: appearanceOf(toy) }) };
      return truth.pictureOf(sampleScene(createRandom(seed), fixed));
    });

const asked = { identifier: 'mtj', noun: 'dog' };

describe('a subject of the embedded world', () => {
  test('measured with models that draw as asked: the subject is itself, the base draws anyone', async () => {
    const truth = createTruth();
    const steps: string[] = [];
    const models: ToyModel[] = [
      { ...asked, draw: drawing(truth, 'nobody') },
      { ...asked, draw: drawing(truth, 'named') },
    ];
    const [base, subject] = await measureToyModels(toy, models, createWorld(truth), (step, of) =>
      steps.push(`${step}/${of}`),
    );
    expect(steps).toEqual(['1/3', '2/3', '3/3']);
    expect(subject!.pictures.map((group) => group.length)).toEqual(new Array(15).fill(4));
    expect(subject!.prior).toHaveLength(64);
    expect(subject!.report).toMatchObject({
      CP: 1,
      PF: 1,
      classAccuracy: 1,
      contextAccuracy: 1,
      accessoryAccuracy: 1,
    });
    expect(base!.report.CP).toBeLessThan(0.3);
    expect(base!.report.PF).toBe(1);
    expect(subject!.report.LEAK).toBeLessThan(0.1);
    expect(subject!.report.PRES).toBeCloseTo(base!.report.PRES);
    expect(subject!.report['PRIOR-FD']).toBeCloseTo(0);
    expect(subject!.report.backgroundLeak).toBe(0);
  });

  test('a model that forgot its class leaks, and PRES shows it', async () => {
    const truth = createTruth();
    const models: ToyModel[] = [
      { ...asked, draw: drawing(truth, 'nobody') },
      { ...asked, draw: drawing(truth, 'always') },
    ];
    const [base, subject] = await measureToyModels(toy, models, createWorld(truth), () => {});
    expect(subject!.report.CP).toBe(1);
    expect(subject!.report.LEAK).toBe(1);
    expect(subject!.report.PRES).toBeGreaterThan(base!.report.PRES + 0.3);
    expect(subject!.report['PRIOR-FD']).toBeGreaterThan(0.1);
  });

  test('a model is compared with the base that is drawn as it is, which draws its class once', async () => {
    const truth = createTruth();
    const draw = drawing(truth, 'always');
    let times = 0;
    const drawBase: ToyModel['draw'] = (orders) => {
      times++;
      return draw(orders);
    };
    const models: ToyModel[] = [
      { ...asked, draw: drawBase, drawBase },
      { ...asked, draw, drawBase },
      { ...asked, draw },
    ];
    const measured = await measureToyModels(toy, models, createWorld(truth), () => {});
    const [itself, alike, otherwise] = measured.map(({ report }) => report['PRIOR-FD']);
    expect(itself).toBeCloseTo(0);
    expect(alike).toBeCloseTo(0);
    expect(otherwise).toBeGreaterThan(0.1);
    // The prompts of the first model, and the class for all.
    expect(times).toBe(2);
  });

  test('the controls: renders of the subject are asked for as they are, a copy is a photo whatever is asked', async () => {
    const drawn: Uint8Array[][] = [];
    const reconstruct = async (pictures: readonly Uint8Array[]) => {
      drawn.push([...pictures]);
      return [];
    };
    const clauses = { name: 'real', class: 'dog', context: 'snow', accessory: 'hat' } as const;
    const orders = [
      { clauses, text: '', seed: 1 },
      { clauses: { class: 'dog' } as const, text: '', seed: 2 },
    ];
    await realModel(toy, { reconstruct }).draw(orders, null);
    await copyingModel(toy, { reconstruct }).draw(orders, null);
    const scene = { class: 'dog', context: 'snow', accessory: 'hat' } as const;
    expect(drawn[0]![0]).toEqual(
      renderScene(sampleScene(createRandom(1), { ...scene, appearance: appearanceOf(toy) })),
    );
    expect(drawn[0]![1]).toEqual(
      renderScene(sampleScene(createRandom(2), { class: 'dog', accessory: 'none' })),
    );
    expect(drawn[1]).toEqual([toyPhotos(toy)[1], toyPhotos(toy)[2]]);
  });

  test('prompts ask for every context, and for accessories that no photo shows', () => {
    const prompts = toyPrompts(asked);
    expect(new Set(prompts.map(({ context }) => context))).toEqual(new Set(CONTEXTS));
    expect(prompts.filter(({ accessory }) => accessory !== undefined)).toHaveLength(5);
    expect(prompts.every(({ name, class: noun }) => name === 'mtj' && noun === 'dog')).toBe(true);
    expect(toyPrompts({ identifier: 'mtj', noun: null })[0]).toEqual({ name: 'mtj', context: 'snow' });
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
