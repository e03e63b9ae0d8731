/**
 * The embedded world's evaluation: ways to learn (`toyArms`) on several subjects and seeds, how it goes with the number
 * of steps and of photos, and what the metrics say of the truth itself. Each row is written down when it is measured,
 * so that a run that was broken off goes on where it was.
 */
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFolders } from '../../checkpoint/write-failure';
import { InvalidOptionError, TrainingDivergedError } from '../../errors';
import type { SubjectReport } from '../../evaluation/subject-report';
import type { ToyMeasurement } from '../../evaluation/toybox-protocol';
import { contactSheet } from '../../images/contact-sheet';
import { writePng } from '../../images/png';
import { embeddedBase } from '../../jobs/base-path';
import type { Engine } from '../../jobs/engine';
import { listJobs } from '../../jobs/jobs';
import { learnOnce } from '../../jobs/learn-once';
import type { ToySource } from '../../jobs/measured-model';
import type { RunOptions } from '../../jobs/run-options';
import { writeToyPhotos } from '../../jobs/toy-photos';
import { deleteSubject, subjectExists } from '../../subjects/subjects';
import type { CaptionClauses } from '../../toybox/captions';
import { PICTURE_SIZE } from '../../toybox/renderer';
import type { ToySubject } from '../../toybox/toy-subject';
import { effectiveSettings, type TrainingSettings } from '../../training/presets';
import type { PersonalizationSettings } from '../../work/personalization-settings';
import { type CardTraining, trainingOf } from '../card/card-training';
import { baseContents, fingerprint } from '../fingerprint';
import { openJsonLines } from '../json-lines';
import { type ToyArm, type ToyArmName, toyArmNames, toyArms } from './toybox-arms';

/** On these two settings may be chosen. */
export const toyDevelopmentSubjects: readonly ToySubject[] = [
  { class: 'cat', seed: 1 },
  { class: 'cup', seed: 2 },
];

/**
 * By these settings are judged: every class. The first five were never seen before settings were frozen; by what the last
 * three made of an earlier recipe that one was given up.
 */
export const toyTestSubjects: readonly ToySubject[] = [
  { class: 'bird', seed: 14 },
  { class: 'car', seed: 15 },
  { class: 'house', seed: 16 },
  { class: 'cat', seed: 17 },
  { class: 'cup', seed: 18 },
  { class: 'dog', seed: 11 },
  { class: 'fish', seed: 12 },
  { class: 'mushroom', seed: 13 },
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
  /** A hash of the base, and of all that its arm was learned with: rows of another recipe are not gone on with. */
  readonly settings: string;
  readonly report: SubjectReport;
  /** Of the learning; 0 where a row is of the same learning as another, or a run was broken off in or after it. */
  readonly seconds: number;
  /** Whether class images were drawn in that time: they are there for all that is learned of a class later on. */
  readonly drewClassImages: boolean;
  /** Of the last step of a handful each, with their mean loss; of runs alone whose steps are looked at, in the row of their end. */
  readonly losses?: CardTraining['losses'];
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
  readonly learning: Learning;
}

/** What a row says of its learning. */
type Learning = Pick<ToyRow, 'seconds' | 'drewClassImages' | 'losses'>;
const noLearning: Learning = { seconds: 0, drewClassImages: false };

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
 * `onRow` is told each row as it is measured, not those that were there before. Returns all that are of these subjects
 * and of this recipe. Rejects with what the engine's calls do; rows that were written stay. Rejects with
 * InvalidOptionError for no subjects or seeds, for settings that tell arms apart, and for those of no preset.
 */
export async function evaluateToybox(
  engine: Engine,
  request: ToyEvaluationRequest,
  onRow: (row: ToyRow) => void,
  run: RunOptions = {},
): Promise<readonly ToyRow[]> {
  const { folder, subjects = toyTestSubjects.slice(0, 5), settings = {} } = request;
  const groups = groupsOf({ ...request, subjects });
  const hashOf = rowHash(settings);
  makeFolders(folder);
  const kept = openJsonLines<ToyRow>(join(folder, rowsFile));
  const rows = kept.rows
    .filter(
      ({ arm, toy, settings: of }) => subjects.some((one) => isSame(one, toy)) && of === hashOf(arm, toy),
    )
    .map(revived);
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
    kept.append(row);
    rows.push(row);
    onRow(row);
  };

  for (const { toy, seed, trials } of groups) {
    const measured: Measured[] = [];
    const controls = seed === 0 ? toyControls : [];
    for (const arm of controls) {
      const place = { arm, toy, seed: 0, photos: usualPhotos, steps: null };
      const source = arm === 'base' ? { kind: arm, settings: drawnBy(settings) } : { kind: arm };
      if (!isThere(place)) measured.push({ place, source, learning: noLearning });
    }
    const learned: string[] = [];
    for (const trial of trials) {
      const wanted = [...(trial.sweep ? stepsBefore(stepsOf(trial.arm, settings)) : []), null];
      const name = subjectOf(trial, hashOf(trial.arm, toy));
      if (wanted.every((steps) => isThere({ ...trial, steps }))) {
        // Of a run that was killed after its last row.
        if (subjectExists(engine.home, name)) deleteSubject(engine.home, name);
        continue;
      }
      const { sources, learning } = await learn(engine, name, trial, settings, run);
      if (sources.length > 0) learned.push(name);
      for (const source of sources) {
        const steps = source.step ?? null;
        // The end comes last: with it the trial is done.
        measured.push({
          place: { ...trial, steps },
          source,
          learning: steps === null ? learning : noLearning,
        });
      }
    }
    if (measured.length === 0) continue;
    const sources = measured.map(({ source }) => source);
    const measurements = await engine.measure(toy, sources, run);
    for (const [i, { place, learning }] of measured.entries()) {
      const { arm, photos, steps } = place;
      const measurement = measurements[i]!;
      const row: ToyRow = {
        arm,
        toy,
        seed,
        photos,
        steps,
        settings: hashOf(arm, toy),
        report: measurement.report,
        ...learning,
      };
      const isShown = arm !== 'real' && arm !== 'copies' && steps === null && photos === usualPhotos;
      if (isShown && seed === 0) await keepSheet(join(folder, sheetOf(row)), toy, measurement);
      keep(row);
    }
    for (const name of learned) deleteSubject(engine.home, name);
  }
  return rows;
}

/** Throws InvalidOptionError for none, and for an arm that there is not. */
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
  if (!Number.isSafeInteger(sweeps) || sweeps < 0)
    throw new InvalidOptionError('sweeps', `sweeps is ${sweeps}: give a number of subjects, 0 for none.`);
  const unknown = arms.find((arm) => !isArm(arm));
  if (unknown !== undefined) {
    throw new InvalidOptionError(
      'arms',
      `There is no arm "${unknown}"; there are ${toyArmNames.join(', ')}.`,
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

/** What tells the arms apart stays theirs, and what is measured of a run is not the settings' to say. */
const ofArms = [
  'preset',
  'kind',
  'prior',
  'captions',
  'instancePrompt',
  'classPrompt',
  'classPromptTemplates',
  'keep',
  'stopWhen',
] as const;

/** All that a subject is learned with in an arm. Throws InvalidOptionError for settings that the arms or the rows rest on. */
export function armSettings(arm: ToyArmName, settings: PersonalizationSettings): TrainingSettings {
  const given = ofArms.find((name) => settings[name] !== undefined);
  if (given !== undefined) {
    throw new InvalidOptionError(
      given,
      `${given} is not to be set here: what the arms differ in, and when they end, is theirs, so that they can be compared. Leave it out, or choose among the arms ${toyArmNames.join(', ')}.`,
    );
  }
  return effectiveSettings('toybox', { ...settings, ...toyArms[arm].settings });
}

/** How a subject of the recipe is drawn. */
function drawnBy(settings: PersonalizationSettings) {
  const { drawSteps, drawGuidanceScale, drawScheduler, clipSkip, zeroTerminalSnr } = armSettings(
    'class-images',
    settings,
  );
  return { drawSteps, drawGuidanceScale, drawScheduler, clipSkip, zeroTerminalSnr };
}

const stepsOf = (arm: ToyArmName, settings: PersonalizationSettings): number =>
  armSettings(arm, settings).steps;

/** By base, recipe and arm; what is drawn without learning is the base's alone. */
function rowHash(settings: PersonalizationSettings): (arm: ToyRow['arm'], toy: ToySubject) => string {
  const base = baseContents(embeddedBase, null);
  return (arm, toy) => {
    if (!isArm(arm)) return fingerprint({ base, control: arm, ...(arm === 'base' && drawnBy(settings)) });
    const { identifier, noun, withoutNoun }: ToyArm = toyArms[arm];
    return fingerprint({
      base,
      settings: armSettings(arm, settings),
      identifier,
      noun: noun?.(toy),
      withoutNoun,
    });
  };
}

export const isArm = (arm: string): arm is ToyArmName => Object.hasOwn(toyArms, arm);

/** That a sweep may look at its steps. */
const looksOf = ({ sweep }: Trial): PersonalizationSettings =>
  sweep ? { sampleEvery: sweepEvery, keep: 'every', samplePrompts: ['a {subject}'], sampleSteps: 1 } : {};

/** Short enough for a subject's name, whatever the arm and the class are called. */
const subjectOf = (trial: Trial, rowHash: string): string => {
  const { arm, toy, seed, photos } = trial;
  return `${arm}-${toy.class}-${toy.seed}-${fingerprint({ rowHash, seed, photos, looks: looksOf(trial) })}`;
};

/**
 * What a run that was broken off has learned is not learned again; its time is not known and said to be 0. Of a training
 * that diverged there are no sources, and a warning.
 */
async function learn(
  engine: Engine,
  name: string,
  trial: Trial,
  settings: PersonalizationSettings,
  run: RunOptions,
): Promise<{ sources: (ToySource & { kind: 'subject' })[]; learning: Learning }> {
  const { arm, toy, seed, photos, sweep } = trial;
  const { identifier, noun, withoutNoun, settings: own }: ToyArm = toyArms[arm];
  const isBrokenOff =
    subjectExists(engine.home, name) ||
    listJobs(engine.home).some(
      (job) => job.kind === 'personalize' && job.name === name && job.state !== 'done',
    );
  const started = performance.now();
  let drewClassImages = false;
  const onProgress: RunOptions['onProgress'] = (event) => {
    if (event.kind === 'step-end' && event.phase === 'class-images') drewClassImages = true;
    run.onProgress?.(event);
  };
  const photosFolder = join(engine.home.cache, name);
  const images = await writeToyPhotos(photosFolder, toy, {
    count: photos,
    ...(withoutNoun && { mention: identifier! }),
  });
  const subject = await learnOnce(
    engine,
    {
      images,
      className: noun?.(toy) ?? toy.class,
      name,
      base: embeddedBase,
      seed,
      ...(identifier !== undefined && { identifier }),
      settings: { ...settings, ...own, ...looksOf(trial) },
    },
    { ...run, onProgress },
  ).catch((error) => {
    if (!(error instanceof TrainingDivergedError)) throw error;
    const message = `${arm} of ${toy.class} ${toy.seed}, seed ${seed}, is left out: ${error.message}`;
    run.onProgress?.({ kind: 'warning-found', message });
  });
  const seconds = isBrokenOff ? 0 : (performance.now() - started) / 1000;
  rmSync(photosFolder, { recursive: true, force: true });
  if (subject === undefined) return { sources: [], learning: noLearning };
  const end = { kind: 'subject' as const, name, photos, ...(withoutNoun && { noun: null }) };
  const before = sweep ? stepsBefore(subject.steps).map((step) => ({ ...end, step })) : [];
  const losses = sweep ? trainingOf(subject)?.losses : undefined;
  const learning = { seconds, drewClassImages, ...(losses && { losses }) };
  return { sources: [...before, end], learning };
}

/** At which a sweep measures before the end of so many. */
const stepsBefore = (steps: number): number[] =>
  Array.from({ length: Math.ceil(steps / sweepEvery) - 1 }, (_, i) => (i + 1) * sweepEvery);

/** Where a row's sheet lies, from the evaluation's folder. */
export const sheetOf = ({ arm, toy, settings }: Pick<ToyRow, 'arm' | 'toy' | 'settings'>): string =>
  `pictures/${toy.class}-${toy.seed}-${arm}-${settings}.png`;

/** What was drawn: the ten scenes, what it never wore, the bare class; each says what it was asked for. */
async function keepSheet(file: string, toy: ToySubject, { pictures, prior }: ToyMeasurement): Promise<void> {
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
  makeFolders(dirname(file));
  await writePng(file, sheet);
}

const sheetColumns = 5;

const wordsOf = ({ context, accessory }: CaptionClauses): string =>
  [context, accessory].filter((word) => word !== undefined).join(', ');

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
