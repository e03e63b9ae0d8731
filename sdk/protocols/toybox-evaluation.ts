/**
 * The embedded world's evaluation: ways to learn (`toyArms`) on several subjects and seeds, how it goes with the number
 * of steps and of photos, and what the metrics say of the truth itself. Each row is written down when it is measured,
 * so that a run that was broken off goes on where it was.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../checkpoint/write-failure';
import { InvalidOptionError } from '../errors';
import type { SubjectReport } from '../evaluation/subject-report';
import type { ToyMeasurement } from '../evaluation/toybox-protocol';
import { contactSheet } from '../images/contact-sheet';
import { writePng } from '../images/png';
import type { Engine } from '../jobs/engine';
import type { ToySource } from '../jobs/measured-model';
import type { RunOptions } from '../jobs/run-options';
import { learnToy } from '../jobs/toy-trial';
import { deleteSubject, readSubject, subjectExists } from '../subjects/subjects';
import type { CaptionClauses } from '../toybox/captions';
import { PICTURE_SIZE } from '../toybox/renderer';
import type { ToySubject } from '../toybox/toy-subject';
import type { PersonalizationSettings } from '../work/personalization-settings';
import { fingerprint } from './learn-once';
import { type ToyArm, type ToyArmName, toyArmNames, toyArms } from './toybox-arms';

/** On these two settings may be chosen. */
export const toyDevelopmentSubjects: readonly ToySubject[] = [
  { class: 'cat', seed: 1 },
  { class: 'cup', seed: 2 },
];

/**
 * By these settings are judged: every class. An earlier recipe, since given up, was tried on the first three; the others were
 * never seen before settings were frozen.
 */
export const toyTestSubjects: readonly ToySubject[] = [
  { class: 'dog', seed: 11 },
  { class: 'fish', seed: 12 },
  { class: 'mushroom', seed: 13 },
  { class: 'bird', seed: 14 },
  { class: 'car', seed: 15 },
  { class: 'house', seed: 16 },
  { class: 'cat', seed: 17 },
  { class: 'cup', seed: 18 },
];

/** What is measured without learning anything. */
export const toyControls = ['base', 'real', 'copies'] as const;
export type ToyControl = (typeof toyControls)[number];

export interface ToyRow {
  readonly arm: ToyArmName | ToyControl;
  readonly toy: ToySubject;
  /** Of the training; 0 for controls. */
  readonly seed: number;
  readonly photos: number;
  /** After so many; null: the end of the recipe. */
  readonly steps: number | null;
  /** The settings that were not the preset's, in a hash: rows of other settings are not gone on with. */
  readonly settings: string;
  readonly report: SubjectReport;
  /** Of the learning; 0 where a row is of the same learning as another, or a run was broken off after it. */
  readonly seconds: number;
}

/** What a row is of. */
type RowPlace = Pick<ToyRow, 'arm' | 'toy' | 'seed' | 'photos' | 'steps'>;

export interface ToyEvaluationRequest {
  /** Rows and pictures are kept here, and gone on with. */
  readonly folder: string;
  /** Default: the first five of `toyTestSubjects`. */
  readonly subjects?: readonly ToySubject[];
  /** Default: all. */
  readonly arms?: readonly ToyArmName[];
  /** Trainings of each subject in the main arms, seeded 0, 1, …; default 3. */
  readonly seeds?: number;
  /** On how many of the subjects steps and numbers of photos are tried; default 2. */
  readonly sweeps?: number;
  /** Over those of the base's preset, in every arm. */
  readonly settings?: PersonalizationSettings;
}

/** What is measured in one call, since the truth about a subject takes as long to draw as a model's pictures. */
interface Group {
  readonly toy: ToySubject;
  readonly seed: number;
  readonly trials: readonly Trial[];
}

interface Measured {
  readonly place: RowPlace;
  readonly source: ToySource;
  readonly seconds: number;
}

/** A learning and what is measured of it. */
interface Trial {
  readonly arm: ToyArmName;
  readonly toy: ToySubject;
  readonly seed: number;
  readonly photos: number;
  /** Steps at which it is measured beside the end. */
  readonly sweep: boolean;
}

export const usualPhotos = 4;
const otherPhotos = [1, 2, 3, 5];
const sweepEvery = 100;
/** Arms whose course over the steps is looked at. */
const sweptArms: readonly ToyArmName[] = ['class-images', 'no-prior'];
const rowsFile = 'rows.jsonl';

/**
 * `onRow` is told each row as it is measured, not those that were there before. Returns all. Rejects with what the
 * engine's calls do; rows that were written stay. Rejects with InvalidOptionError for no subjects or seeds.
 */
export async function evaluateToybox(
  engine: Engine,
  request: ToyEvaluationRequest,
  onRow: (row: ToyRow) => void,
  run: RunOptions = {},
): Promise<readonly ToyRow[]> {
  const { folder, subjects = toyTestSubjects.slice(0, 5), settings = {} } = request;
  const groups = groupsOf({ ...request, subjects });
  makeFolders(folder);
  const hash = createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 12);
  const file = join(folder, rowsFile);
  const rows = readRows(file).filter((row) => row.settings === hash);
  const isThere = ({ arm, toy, seed, photos, steps }: RowPlace) =>
    rows.some(
      (row) =>
        row.arm === arm &&
        isSame(row.toy, toy) &&
        row.seed === seed &&
        row.photos === photos &&
        row.steps === steps,
    );
  const keep = (row: ToyRow) => {
    // Of a sweep or the controls that were broken off half-way, some are.
    if (isThere(row)) return;
    appendFileSync(file, `${JSON.stringify(row)}\n`);
    rows.push(row);
    onRow(row);
  };

  for (const { toy, seed, trials } of groups) {
    const measured: Measured[] = [];
    const controls = seed === 0 ? toyControls : [];
    for (const arm of controls) {
      const place = { arm, toy, seed: 0, photos: usualPhotos, steps: null };
      if (!isThere(place)) measured.push({ place, source: { kind: arm }, seconds: 0 });
    }
    const learned: string[] = [];
    for (const trial of trials) {
      if (isThere({ ...trial, steps: null })) continue;
      const { name, sources, seconds } = await learn(engine, trial, settings, run);
      learned.push(name);
      for (const source of sources) {
        const steps = source.step ?? null;
        // The end comes last: with it the trial is done.
        measured.push({ place: { ...trial, steps }, source, seconds: steps === null ? seconds : 0 });
      }
    }
    if (measured.length === 0) continue;
    const sources = measured.map(({ source }) => source);
    const measurements = await engine.measure(toy, sources, run);
    for (const [i, { place, seconds }] of measured.entries()) {
      const { arm, photos, steps } = place;
      const measurement = measurements[i]!;
      const isShown = arm !== 'real' && arm !== 'copies' && steps === null && photos === usualPhotos;
      if (isShown && seed === 0) await keepSheet(folder, place, measurement);
      keep({ arm, toy, seed, photos, steps, settings: hash, report: measurement.report, seconds });
    }
    for (const name of learned) deleteSubject(engine.home, name);
  }
  return rows;
}

/** Throws InvalidOptionError for none. */
function groupsOf({
  subjects = [],
  arms = toyArmNames,
  seeds = 3,
  sweeps = 2,
}: ToyEvaluationRequest): Group[] {
  if (subjects.length === 0 || !Number.isSafeInteger(seeds) || seeds < 1) {
    throw new InvalidOptionError(
      'seeds',
      `${subjects.length} subjects and ${seeds} seeds make no evaluation: give at least one of each.`,
    );
  }
  const swept = subjects.slice(0, sweeps);
  const trialsOf = (toy: ToySubject, seed: number): Trial[] => {
    const isSwept = seed === 0 && swept.includes(toy);
    const chosen = arms.filter((arm) => seed === 0 || toyArms[arm].main);
    const usual = chosen.map(
      (arm): Trial => ({ arm, toy, seed, photos: usualPhotos, sweep: isSwept && sweptArms.includes(arm) }),
    );
    if (!isSwept || !arms.includes('class-images')) return usual;
    const others = otherPhotos.map(
      (photos): Trial => ({ arm: 'class-images', toy, seed, photos, sweep: false }),
    );
    return [...usual, ...others];
  };
  // What matters most first: a run that is broken off has all arms on the first seed.
  return Array.from({ length: seeds }, (_, seed) => seed).flatMap((seed) =>
    subjects.map((toy) => ({ toy, seed, trials: trialsOf(toy, seed) })),
  );
}

/** What a run that was broken off has learned is not learned again; its time is not known and said to be 0. */
async function learn(
  engine: Engine,
  { arm, toy, seed, photos, sweep }: Trial,
  settings: PersonalizationSettings,
  run: RunOptions,
): Promise<{ name: string; sources: (ToySource & { kind: 'subject' })[]; seconds: number }> {
  const { identifier, noun, withoutNoun, settings: own }: ToyArm = toyArms[arm];
  const looks: PersonalizationSettings = sweep
    ? { sampleEvery: sweepEvery, keep: 'every', samplePrompts: ['a {subject}'], sampleSteps: 1 }
    : {};
  const inEffect = { ...settings, ...own, ...looks };
  // Short enough for a subject's name, whatever the arm and the class are called.
  const name = `${arm}-${toy.class}-${toy.seed}-${fingerprint({ seed, photos, settings: inEffect })}`;
  const { subject, seconds } = subjectExists(engine.home, name)
    ? { subject: readSubject(engine.home, name), seconds: 0 }
    : await learnToy(
        engine,
        {
          toy,
          name,
          photosFolder: join(engine.home.cache, name),
          photos,
          seed,
          ...(identifier !== undefined && { identifier }),
          ...(noun !== undefined && { className: noun(toy) }),
          ...(withoutNoun && { mention: identifier! }),
          settings: inEffect,
        },
        run,
      );
  rmSync(join(engine.home.cache, name), { recursive: true, force: true });
  const end = { kind: 'subject' as const, name, ...(withoutNoun && { noun: null }) };
  const before = Array.from({ length: Math.ceil(subject.steps / sweepEvery) - 1 }, (_, i) => ({
    ...end,
    step: (i + 1) * sweepEvery,
  }));
  return { name, sources: [...(sweep ? before : []), end], seconds };
}

/** What was drawn: the ten scenes, what it never wore, the bare class; each says what it was asked for. */
async function keepSheet(
  folder: string,
  { arm, toy }: Pick<ToyRow, 'arm' | 'toy'>,
  { pictures, prior }: ToyMeasurement,
): Promise<void> {
  const shown = (data: Uint8Array) => ({ width: PICTURE_SIZE, height: PICTURE_SIZE, data });
  const cells = [
    ...pictures.map(([first]) => ({ image: shown(first!.pixels), words: wordsOf(first!.clauses) })),
    ...prior.slice(0, sheetColumns).map((pixels) => ({ image: shown(pixels), words: `a ${toy.class}` })),
  ];
  const rows = Array.from({ length: Math.ceil(cells.length / sheetColumns) }, (_, i) => {
    const own = cells.slice(i * sheetColumns, (i + 1) * sheetColumns);
    return { images: own.map(({ image }) => image), captions: own.map(({ words }) => words) };
  });
  const sheet = await contactSheet(rows, { cell: PICTURE_SIZE, gap: 4, scaling: 'nearest' });
  const pictureFolder = join(folder, 'pictures');
  makeFolders(pictureFolder);
  await writePng(join(pictureFolder, `${toy.class}-${toy.seed}-${arm}.png`), sheet);
}

const sheetColumns = 5;

const wordsOf = ({ context, accessory }: CaptionClauses): string =>
  [context, accessory].filter((word) => word !== undefined).join(', ');

/** What was broken off in the middle of a line is measured again; the next row gets a line of its own. */
function readRows(file: string): ToyRow[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  if (text !== '' && !text.endsWith('\n')) appendFileSync(file, '\n');
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [revived(JSON.parse(line))];
    } catch {
      return [];
    }
  });
}

/** JSON has no NaN, which says that something was not asked for. */
const revived = (row: ToyRow): ToyRow => ({
  ...row,
  report: Object.fromEntries(
    Object.entries(row.report).map(([name, value]) => [name, value ?? Number.NaN]),
  ) as unknown as SubjectReport,
});

export const isSame = (a: ToySubject, b: ToySubject): boolean => a.class === b.class && a.seed === b.seed;

export const distinct = (toys: readonly ToySubject[]): ToySubject[] =>
  toys.filter((toy, i) => toys.findIndex((one) => isSame(one, toy)) === i);
