/**
 * How well models know one subject of the embedded world, with the truth at hand: fixed prompts, fixed seeds, the
 * oracle's readings. Shaped after the paper's protocol (Ruiz et al. 2023, §4): recontextualisation and accessorisation,
 * four pictures a prompt, and pictures of the bare class noun.
 */
import { createRandom } from '../random';
import { type CaptionClauses, caption } from '../toybox/captions';
import { createWorldPictures } from '../toybox/pretraining-data';
import { renderScene } from '../toybox/renderer';
import { CLASSES, CONTEXTS, sampleScene } from '../toybox/scene';
import {
  appearanceOf,
  otherPictures,
  photoContext,
  realPictures,
  type ToySubject,
  toyPhotos,
} from '../toybox/toy-subject';
import { featureCentre } from './features';
import { createSubjectReference } from './identity';
import type { Oracle } from './oracle';
import type { OracleReading } from './oracle-reading';
import { reportSubject, type SubjectReport } from './subject-report';

export interface PictureOrder {
  readonly clauses: CaptionClauses;
  readonly text: string;
  readonly seed: number;
}

/** Something that draws what is asked, and how the subject is asked for there. */
export interface ToyModel {
  /** Null: nothing stands before the noun. */
  readonly identifier: string | null;
  /** Null: no noun is said. */
  readonly noun: string | null;
  /** How many photos it was learned from: copies are of these; default 4. */
  readonly photos?: number;
  /** Pictures [3, 64, 64] in about [−1, 1]. Guidance null: the model's usual. */
  readonly draw: Draw;
  /** The untouched model, drawn in as many steps and likewise otherwise; default: the world's. */
  readonly drawBase?: Draw;
}

type Draw = (orders: readonly PictureOrder[], guidanceScale: number | null) => Promise<Float32Array[]>;

/** What all models draw through. */
export interface ToyWorld {
  /** The untouched model: PRIOR-FD is the distance from its pictures of the bare class. */
  readonly drawBase: Draw;
  readonly oracle: Oracle;
  /** Pictures through the autoencoder and back, so that its losses do not count against the models. */
  reconstruct(pictures: readonly Uint8Array[]): Promise<Float32Array[]>;
  /** [3, 64, 64] in about [−1, 1] as 64 × 64 × 3 bytes. */
  pixelsOf(planes: Float32Array): Uint8Array;
  planesOf(pixels: Uint8Array): Float32Array;
}

export interface MeasuredPicture {
  readonly text: string;
  readonly clauses: CaptionClauses;
  readonly pixels: Uint8Array;
}

export interface ToyMeasurement {
  readonly report: SubjectReport;
  /** Of each prompt its pictures. */
  readonly pictures: readonly (readonly MeasuredPicture[])[];
  /** Of the bare class noun. */
  readonly prior: readonly Uint8Array[];
}

const picturesAPrompt = 4;
const priorCount = 64;
/** Little guidance shows the class in all its variety. */
const priorGuidance = 1.5;
const realCount = 60;
const otherCount = 120;
const worldCount = 250;

/** Ten contexts, and five times an accessory that no photo shows. */
export function toyPrompts({ identifier, noun }: Pick<ToyModel, 'identifier' | 'noun'>): CaptionClauses[] {
  // A noun of several words or of another language is no clause of the grammar; the sentence takes it all the same.
  const asked = {
    ...(identifier !== null && { name: identifier }),
    ...(noun !== null && { class: noun as NonNullable<CaptionClauses['class']> }),
  };
  return [
    ...CONTEXTS.map((context) => ({ ...asked, context })),
    ...CONTEXTS.filter((_, i) => i % 2 === 0).map((context, i) => ({
      ...asked,
      context,
      accessory: i % 2 === 0 ? ('hat' as const) : ('scarf' as const),
    })),
  ];
}

/** The same for each model. `onStep` is told after each of `steps` parts. */
export async function measureToyModels(
  toy: ToySubject,
  models: readonly ToyModel[],
  world: ToyWorld,
  onStep: (step: number, steps: number) => void,
): Promise<ToyMeasurement[]> {
  const { oracle } = world;
  const classOrders = Array.from({ length: priorCount }, (_, i) => orderOf({ class: toy.class }, 2000 + i));
  const real = await oracle.read(await world.reconstruct(realPictures(toy, realCount)));
  const others = await oracle.read(await world.reconstruct(otherPictures(toy, otherCount)));
  const seen = createWorldPictures(toy.seed, worldCount);
  const centre = featureCentre(
    await oracle.read(Array.from({ length: worldCount }, (_, i) => world.planesOf(seen.at(i).pixels))),
  );
  const reference = createSubjectReference(CLASSES.indexOf(toy.class), real, others);
  // By who drew them: most are compared with the same, and the base with itself.
  const priors = new Map<Draw, Promise<{ pictures: Float32Array[]; readings: OracleReading[] }>>();
  const priorOf = (draw: Draw) => {
    const drawn =
      priors.get(draw) ??
      draw(classOrders, priorGuidance).then(async (pictures) => ({
        pictures,
        readings: await oracle.read(pictures),
      }));
    priors.set(draw, drawn);
    return drawn;
  };
  onStep(1, models.length + 1);

  const measured: ToyMeasurement[] = [];
  for (const model of models) {
    const prompts = toyPrompts(model);
    const orders = prompts.map((clauses, i) =>
      Array.from({ length: picturesAPrompt }, (_, n) => orderOf(clauses, 1000 + i * picturesAPrompt + n)),
    );
    const drawn = await model.draw(orders.flat(), null);
    const readings = await oracle.read(drawn);
    const pictures = orders.map((group, i) =>
      group.map(({ clauses, text }, n) => {
        const at = i * picturesAPrompt + n;
        return { clauses, text, reading: readings[at]!, pixels: world.pixelsOf(drawn[at]!) };
      }),
    );
    const prior = await priorOf(model.draw);
    const basePrior = await priorOf(model.drawBase ?? world.drawBase);
    const photos = toyPhotos(toy, model.photos);
    const report = reportSubject({
      reference,
      prompts: pictures,
      prior: prior.readings,
      basePrior: basePrior.readings,
      real,
      photos,
      photoContexts: photos.map((_, i) => CONTEXTS.indexOf(photoContext(i))),
      centre,
    });
    measured.push({ report, pictures, prior: prior.pictures.map((planes) => world.pixelsOf(planes)) });
    onStep(measured.length + 1, models.length + 1);
  }
  return measured;
}

const orderOf = (clauses: CaptionClauses, seed: number): PictureOrder => ({
  clauses,
  text: caption(clauses),
  seed,
});

/** The ceiling: renders of the subject itself in what is asked, and of anyone where the class alone is. */
export const realModel = (toy: ToySubject, { reconstruct }: Pick<ToyWorld, 'reconstruct'>): ToyModel => ({
  identifier: 'real',
  noun: toy.class,
  draw: (orders) =>
    reconstruct(
      orders.map(({ clauses, seed }) => {
        const { name, context, accessory = 'none' } = clauses;
        return renderScene(
          sampleScene(createRandom(seed), {
            class: toy.class,
            accessory,
            ...(context && { context }),
            ...(name !== undefined && { appearance: appearanceOf(toy) }),
          }),
        );
      }),
    ),
});

/** One of the photos, whatever is asked: a metric worth having does not fall for it. */
export const copyingModel = (toy: ToySubject, { reconstruct }: Pick<ToyWorld, 'reconstruct'>): ToyModel => ({
  identifier: 'copy',
  noun: toy.class,
  draw(orders) {
    const photos = toyPhotos(toy);
    return reconstruct(orders.map(({ seed }) => photos[seed % photos.length]!));
  },
});
