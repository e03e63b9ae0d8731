/**
 * How well a model knows one subject of the embedded world, with the truth at hand: fixed prompts, fixed seeds, the
 * oracle's readings, and the untouched base model through the same. Shaped after the paper's protocol (Ruiz et al.
 * 2023, §4): recontextualisation and accessorisation, four pictures a prompt, and pictures of the bare class noun.
 */
import { type CaptionClauses, caption } from '../toybox/captions';
import { createWorldPictures } from '../toybox/pretraining-data';
import { CLASSES, CONTEXTS } from '../toybox/scene';
import {
  otherPictures,
  PHOTO_CONTEXTS,
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
  readonly text: string;
  readonly seed: number;
}

/** What is measured: two models that draw, and the autoencoder that both draw through. */
export interface ToyModels {
  /** The model that learned the subject, and the one that did not. Guidance null: the model's usual. */
  draw(
    who: 'subject' | 'base',
    orders: readonly PictureOrder[],
    guidanceScale: number | null,
  ): Promise<Float32Array[]>;
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
  readonly subject: SubjectReport;
  readonly base: SubjectReport;
  /** Of each prompt its pictures, by the model that learned the subject and by the base. */
  readonly pictures: readonly (readonly MeasuredPicture[])[];
  readonly basePictures: readonly (readonly MeasuredPicture[])[];
  /** Of the bare class noun, by the model that learned the subject. */
  readonly prior: readonly Uint8Array[];
}

export const picturesAPrompt = 4;
const priorCount = 64;
/** Little guidance shows the class in all its variety. */
const priorGuidance = 1.5;
const realCount = 60;
const otherCount = 120;
const worldCount = 250;

/** Ten contexts, and five times an accessory that no photo shows. */
export function toyPrompts(subject: ToySubject, identifier: string): CaptionClauses[] {
  const asked = { name: identifier, class: subject.class };
  return [
    ...CONTEXTS.map((context) => ({ ...asked, context })),
    ...CONTEXTS.filter((_, i) => i % 2 === 0).map((context, i) => ({
      ...asked,
      context,
      accessory: i % 2 === 0 ? ('hat' as const) : ('scarf' as const),
    })),
  ];
}

/** `onStep` is told after each of `steps` parts of about equal length. */
export async function measureToySubject(
  subject: ToySubject,
  identifier: string,
  models: ToyModels,
  oracle: Oracle,
  onStep: (step: number, steps: number) => void,
): Promise<ToyMeasurement> {
  const prompts = toyPrompts(subject, identifier);
  const orders = prompts.flatMap((clauses, i) =>
    Array.from({ length: picturesAPrompt }, (_, n) => ({
      text: caption(clauses),
      seed: 1000 + i * picturesAPrompt + n,
    })),
  );
  const classOrders = Array.from({ length: priorCount }, (_, i) => ({
    text: caption({ class: subject.class }),
    seed: 2000 + i,
  }));
  let step = 0;
  const done = <T>(result: T): T => {
    step += 1;
    onStep(step, 5);
    return result;
  };
  const drawn = {
    subject: done(await models.draw('subject', orders, null)),
    subjectPrior: done(await models.draw('subject', classOrders, priorGuidance)),
    base: done(await models.draw('base', orders, null)),
    basePrior: done(await models.draw('base', classOrders, priorGuidance)),
  };
  const real = await oracle.read(await models.reconstruct(realPictures(subject, realCount)));
  const others = await oracle.read(await models.reconstruct(otherPictures(subject, otherCount)));
  const world = createWorldPictures(subject.seed, worldCount);
  const centre = featureCentre(
    await oracle.read(Array.from({ length: worldCount }, (_, i) => models.planesOf(world.at(i).pixels))),
  );
  const reference = createSubjectReference(CLASSES.indexOf(subject.class), real, others);

  const judge = async (planes: readonly Float32Array[]) => {
    const readings = await oracle.read(planes);
    return prompts.map((clauses, i) =>
      Array.from({ length: picturesAPrompt }, (_, n) => {
        const at = i * picturesAPrompt + n;
        return {
          clauses,
          text: orders[at]!.text,
          reading: readings[at]!,
          pixels: models.pixelsOf(planes[at]!),
        };
      }),
    );
  };
  const groups = { subject: await judge(drawn.subject), base: await judge(drawn.base) };
  const priors = {
    subject: await oracle.read(drawn.subjectPrior),
    base: await oracle.read(drawn.basePrior),
  };
  const report = (pictures: (typeof groups)['base'], prior: readonly OracleReading[]) =>
    reportSubject({
      reference,
      prompts: pictures,
      prior,
      basePrior: priors.base,
      real,
      photos: toyPhotos(subject),
      photoContexts: PHOTO_CONTEXTS.map((context) => CONTEXTS.indexOf(context)),
      centre,
    });
  return done({
    subject: report(groups.subject, priors.subject),
    base: report(groups.base, priors.base),
    pictures: groups.subject,
    basePictures: groups.base,
    prior: drawn.subjectPrior.map((planes) => models.pixelsOf(planes)),
  });
}
