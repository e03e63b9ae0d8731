import { createRandom } from '../random';
import { createIndividuals } from './individuals';
import { renderScene } from './renderer';
import { isHeldOut, type Scene, sampleScene } from './scene';

/** One picture of the world that the base model learns from. */
export interface WorldPicture {
  readonly scene: Scene;
  /** Who is shown, or `null` for nobody in particular. */
  readonly name: string | null;
  /** 64 × 64 pixels of red, green, blue (0 … 255), row by row. */
  readonly pixels: Uint8Array;
}

/** A data set that is drawn when it is looked at: nothing of it is stored. */
export interface WorldPictures extends Iterable<WorldPicture> {
  readonly count: number;
  /** Picture `index` (0 … count − 1) without its pixels. */
  describe(index: number): Omit<WorldPicture, 'pixels'>;
  /** Picture `index` (0 … count − 1). */
  at(index: number): WorldPicture;
}

/** The share of pictures that show a named individual. */
const NAMED_SHARE = 0.4;

/**
 * The pictures of pre-training: picture i depends on `seed` and i alone, so they can be drawn in any
 * order, in parts, and again. Held-out triples never occur.
 */
export function createWorldPictures(seed: number, count: number): WorldPictures {
  const individuals = createIndividuals();
  const describe = (index: number) => {
    // The generator mixes its seed well, so that sums of seed and index give unrelated streams.
    const random = createRandom(seed * 2 ** 24 + index);
    const somebody = random.uniform() < NAMED_SHARE ? individuals[random.integer(individuals.length)]! : null;
    const fixed = somebody ? { class: somebody.class, appearance: somebody.appearance } : {};
    let scene = sampleScene(random, fixed);
    while (isHeldOut(scene)) scene = sampleScene(random, fixed);
    return { scene, name: somebody?.name ?? null };
  };
  const at = (index: number) => {
    const described = describe(index);
    return { ...described, pixels: renderScene(described.scene) };
  };
  return {
    count,
    describe,
    at,
    *[Symbol.iterator]() {
      for (let index = 0; index < count; index++) yield at(index);
    },
  };
}
