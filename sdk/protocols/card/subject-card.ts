/**
 * How well a subject of the user's own was learned, by what can see it: pictures in a few scenes and of the bare class
 * against the photos and against the base. Shaped after the paper's protocol (Ruiz et al. 2023, §4), with every
 * figure between what comes of itself and what can be reached, so that it can be read without a table beside it.
 */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { makeFolders } from '../../checkpoint/write-failure';
import { InvalidOptionError, MissingFileError } from '../../errors';
import { photoScenePrompts, toyScenePrompts } from '../../evaluation/scene-prompts';
import { listPhotos } from '../../images/list-photos';
import { basePath } from '../../jobs/base-path';
import type { Engine } from '../../jobs/engine';
import { oracleNote } from '../../jobs/oracle-errors';
import type { RunOptions } from '../../jobs/run-options';
import { readSubject, type Subject } from '../../subjects/subjects';
import type { EncoderFile } from '../../work/picture-encoder';
import { oracleIn } from '../../work/scoring-encoders';
import { type Advice, adviceOn } from './card-advice';
import {
  anchorsOf,
  type CardFigures,
  type CoursePoint,
  coursePoint,
  figuresOf,
  filesOf,
  type JudgedCardPicture,
  judgedPicture,
} from './card-figures';
import { type CardPicture, type CardPictures, type CardScene, drawCard } from './card-pictures';
import { lookAt, type Sight } from './card-sight';
import { type CardTraining, trainingOf } from './card-training';

export interface SubjectCardRequest {
  /** In the engine's home. */
  readonly name: string;
  /** Pictures and reports are kept here; what is there is not drawn again. */
  readonly folder: string;
  /** Files or folders of what it is measured by; default: those that are kept with it. */
  readonly photos?: readonly string[];
  /** Of each scene; default 2. */
  readonly pictures?: number;
  /** What looks at the pictures, one of a kind. The embedded base brings its own. */
  readonly encoders?: readonly EncoderFile[];
}

export interface SubjectCard {
  readonly subject: Pick<Subject, 'name' | 'id' | 'className' | 'kind' | 'steps' | 'folder' | 'seed'> & {
    readonly base: string;
    readonly prior: string | null;
    readonly photos: readonly { readonly name: string; readonly file: string }[];
  };
  readonly instruments: Sight['instruments'];
  /** How far the embedded world's oracle can be trusted, in a sentence; null where it is no instrument here. */
  readonly oracle: string | null;
  /** What no instrument was there for, and what would be one. */
  readonly notMeasured: readonly string[];
  readonly scenes: readonly (Omit<CardScene, 'pictures'> & {
    readonly pictures: readonly JudgedCardPicture[];
  })[];
  readonly class: readonly CardPicture[];
  readonly figures: CardFigures;
  /** By the first scenes alone, one picture each; empty where no earlier weights were kept. */
  readonly course: readonly CoursePoint[];
  /** Of the course the steps with the highest score; null where there is none. */
  readonly best: number | null;
  /** By its log; null where there is none. */
  readonly training: CardTraining | null;
  readonly advice: readonly Advice[];
}

/**
 * Draws, looks and judges. Rejects with UnknownSubjectError, InvalidOptionError (a subject without photos, a number of
 * pictures, an encoder given twice), MissingFileError, and what the engine's calls do; pictures that were drawn stay.
 */
export async function measureSubject(
  engine: Engine,
  { name, folder, photos: given = [], pictures = 2, encoders = [] }: SubjectCardRequest,
  run: RunOptions = {},
): Promise<SubjectCard> {
  if (!Number.isSafeInteger(pictures) || pictures < 1 || pictures > 100)
    throw new InvalidOptionError('pictures', `pictures is ${pictures}: give a whole number from 1 to 100.`);
  const subject = readSubject(engine.home, name);
  const kept = given.length > 0 ? namedPhotos(given) : photosOf(subject);
  const photos = kept.map(({ file }) => file);
  const oracle = oracleIn(basePath(subject.base.path));
  const target = resolve(folder);
  makeFolders(target);
  const prompts = oracle ? toyScenePrompts : photoScenePrompts;
  // Published encoders see no drawn world of 64 pixels as people do; the oracle was made for it.
  const seeing = oracle ? [oracle, ...encoders.filter(({ kind }) => kind === 'lpips')] : encoders;
  const idle = encoders.filter((one) => !seeing.includes(one)).map(({ kind }) => kind);
  if (idle.length > 0) {
    const message = `${idle.join(', ')} is not asked: on the embedded model its oracle tells more. Of encoders lpips alone counts there.`;
    run.onProgress?.({ kind: 'warning-found', message });
  }
  const twice = encoders.find(({ kind }, i) => encoders.findIndex((one) => one.kind === kind) !== i);
  if (twice !== undefined)
    throw new InvalidOptionError('encoder', `There are two encoders of the kind ${twice.kind}: give one.`);
  // What is no encoder or no photo is told before anything is drawn. LPIPS would take a photo in its own size.
  for (const encoder of seeing) {
    const tried = encoder.kind === 'lpips' ? [] : photos.slice(0, 1);
    const texts = encoder.kind === 'clip' ? [subject.className] : [];
    await engine.embed({ encoder, pictures: tried, texts }, run);
  }
  const drawn = await drawCard(engine, subject, { folder: target, pictures, prompts }, run);
  const sight = await lookAt(
    engine,
    subject,
    seeing,
    { photos, drawn: allFiles(drawn), groups: comparedFiles(drawn) },
    drawn.scenes,
    run,
  );

  const anchors = anchorsOf(sight, photos, drawn);
  const figures = figuresOf(sight, photos, drawn, anchors);
  const course = drawn.course.map(({ steps, pictures: then }) =>
    coursePoint(sight, photos, drawn.scenes, then, steps, anchors),
  );
  const scored = course.filter(({ score }) => score !== null);
  const best = scored.reduce<CoursePoint | null>(
    (top, one) => (top === null || one.score! > top.score! ? one : top),
    null,
  );
  const { className, kind, steps, id, seed, settings } = subject;
  const prior = typeof settings['prior'] === 'string' ? settings['prior'] : null;
  const judged = { figures, course, best: best?.steps ?? null };
  return {
    subject: {
      name,
      id,
      className,
      kind,
      steps,
      seed,
      folder: subject.folder,
      base: subject.base.path,
      prior,
      photos: kept,
    },
    instruments: sight.instruments,
    oracle: oracle ? oracleNote() : null,
    notMeasured: notMeasured(sight, name, kept.length),
    scenes: drawn.scenes.map((scene) => ({
      ...scene,
      pictures: scene.pictures.map((picture) => judgedPicture(sight, photos, scene, picture)),
    })),
    class: drawn.class,
    ...judged,
    training: trainingOf(subject),
    advice: adviceOn(subject, judged, subject.photos.some(({ file }) => file) ? [] : photos),
  };
}

const namedPhotos = (paths: readonly string[]): SubjectCard['subject']['photos'] =>
  listPhotos(paths).photos.map((path) => ({ name: basename(path), file: resolve(path) }));

function photosOf({ name, folder, photos }: Subject): SubjectCard['subject']['photos'] {
  const files = photos.flatMap(({ name: called, file }) =>
    file === undefined ? [] : [{ name: called, file: join(folder, file) }],
  );
  if (files.length === 0)
    throw new InvalidOptionError(
      'subject',
      `@${name} keeps no photos, having been made elsewhere or by an earlier version, and they are what it is measured by: name them, as --photos rex/, or learn it here.`,
    );
  const gone = files.find(({ file }) => !existsSync(file))?.file;
  if (gone === undefined) return files;
  throw new MissingFileError(
    gone,
    `${gone}, a photo of @${name}, is gone: name where its photos are now, as --photos rex/, or learn it anew.`,
  );
}

const allFiles = (drawn: CardPictures): string[] =>
  filesOf([
    ...drawn.scenes.flatMap(({ pictures, base }) => [...pictures, ...base]),
    ...drawn.class,
    ...drawn.baseClass,
    ...drawn.course.flatMap(({ pictures }) => pictures),
  ]);

/** Pictures whose diversity is a figure. */
const comparedFiles = (drawn: CardPictures): string[][] =>
  [...drawn.scenes.map(({ pictures }) => pictures), drawn.class, drawn.baseClass].map(filesOf);

function notMeasured({ instruments }: Sight, name: string, photos: number): string[] {
  const missing = [
    ...(photos === 1
      ? [
          `How near it comes to its photos, and whether it copies them, cannot be told from the one that there is. More of them, learned with personalize --continue ${name}, teach it better, too.`,
        ]
      : []),
    ...(instruments.identity === null
      ? [
          'Whether it is the very subject, and whether the bare class became it, was not measured: pixels do not tell. Give DINO with --encoder dino=PATH, a folder with the config.json and weights of facebook/dino-vits16 or an ONNX file.',
        ]
      : []),
    ...(instruments.promptFollowing === null
      ? [
          'Whether the pictures show what was asked for was not measured. Give CLIP with --encoder clip=PATH, a folder with the config.json and weights of openai/clip-vit-base-patch32.',
        ]
      : []),
  ];
  return instruments.diversity === 'pixels'
    ? [
        ...missing,
        'How much the pictures differ was measured over pixels alone; the paper takes LPIPS: --encoder lpips=FILE.',
      ]
    : missing;
}
