/**
 * The paper's evaluation (Ruiz et al. 2023, §4): each subject learned from its pictures, drawn in 25 prompts, compared
 * with its pictures and its prompts. Every picture is a file and a row when it is made, so that a run that was broken
 * off goes on where it was.
 */
import { join } from 'node:path';
import { makeFolders } from '../../checkpoint/write-failure';
import { InvalidOptionError, TrainingDivergedError } from '../../errors';
import { autoencoderPath, baseName } from '../../jobs/base-path';
import type { Engine } from '../../jobs/engine';
import { learnOnce } from '../../jobs/learn-once';
import type { RunOptions } from '../../jobs/run-options';
import { packageVersions } from '../../jobs/versions';
import { subjectWords } from '../../subjects/prompt';
import { deleteSubject, subjectExists } from '../../subjects/subjects';
import { effectiveSettings, type PresetName, type TrainingSettings } from '../../training/presets';
import type { PersonalizationSettings } from '../../work/personalization-settings';
import { type Drawing, drawMissing, drawnAs, isDrawn } from '../draw-missing';
import { baseContents, fileHash, fingerprint } from '../fingerprint';
import { tellGaps } from '../gaps';
import { type JsonLines, openJsonLines } from '../json-lines';
import { openPaperDataset, type PaperDataset, type PaperPhotos } from './paper-dataset';
import { paperIdentifiers } from './paper-identifiers';
import { measurePaper, type PaperEncoders, type PaperMeasure, tryEncoders } from './paper-measures';
import { classPrompt, paperPrompt, paperPrompts, paperSubjects } from './paper-prompts';
import { type PaperArm, type PaperPicture, type PaperTrial, paperArms, wantedPictures } from './paper-trial';

export interface PaperEvaluationRequest {
  /** A checkout of google/dreambooth, or its folder `dataset`. */
  readonly data: string;
  /** Rows, pictures and measures are kept here, and gone on with. */
  readonly folder: string;
  /** As for `personalize`. */
  readonly base: string;
  readonly vae?: string;
  /** Their preset, by default `paper`, and what is over it; `prior` is said by `arms`. */
  readonly settings?: PersonalizationSettings;
  /** Default: `images` alone. */
  readonly arms?: readonly PaperArm[];
  /** The first so many of those that are there; default: all. */
  readonly subjects?: number;
  /** Of the trainings; default 0. Pictures have the same seeds in every subject and arm. */
  readonly seed?: number;
  /** Of each prompt; default 4. */
  readonly pictures?: number;
  /** Of the bare class, for PRES; default 100. */
  readonly classPictures?: number;
  readonly drawing?: Drawing;
  /** A metric whose encoder is not given is not measured. */
  readonly encoders?: PaperEncoders;
  /** Whether CLIP-T compares with the prompt that the model was given, identifier and all; default false: without it. */
  readonly withIdentifier?: boolean;
  /** Whether what was learned stays in the home once it is drawn; default false: the next 3 GB need the room. */
  readonly keepSubjects?: boolean;
}

export interface PaperEvaluation {
  /** What a reader has to know of how it was made. */
  readonly about: {
    readonly base: string;
    readonly vae: string | null;
    readonly preset: PresetName;
    /** Over the preset's. */
    readonly settings: PersonalizationSettings;
    /** All that a subject is learned by, but for the prior, which an arm says. */
    readonly recipe: Omit<TrainingSettings, 'prior'>;
    readonly arms: readonly PaperArm[];
    readonly seed: number;
    readonly pictures: number;
    readonly classPictures: number;
    /** Over what preset and base say. */
    readonly drawing: Drawing;
    /** See `drawnAs`. */
    readonly drawn: ReturnType<typeof drawnAs>;
    readonly withIdentifier: boolean;
    /** The rare word of each of the thirty, by its name; empty where the settings name subjects without. */
    readonly identifiers: Readonly<Record<string, string>>;
    readonly subjects: readonly string[];
    readonly versions: Readonly<Record<string, string>>;
  };
  readonly gaps: readonly string[];
  readonly pictures: readonly PaperPicture[];
  readonly measures: readonly PaperMeasure[];
}

/**
 * `onMeasure` is told each subject as it is measured, not those that were there before. Rejects with InvalidOptionError,
 * MissingFileError, StoppedError and what the engine's calls do; a training that diverges is a gap. What was made stays.
 */
export async function evaluatePaper(
  engine: Engine,
  request: PaperEvaluationRequest,
  onMeasure: (measure: PaperMeasure) => void,
  run: RunOptions = {},
): Promise<PaperEvaluation> {
  const about = settled(engine, request);
  const on = baseContents(about.base, about.vae);
  const found = await openPaperDataset(request.data);
  const dataset = chosen(found, request.subjects);
  const { folder } = request;
  tellGaps(found.gaps, `${dataset.subjects.length} of ${paperSubjects.length} subjects`, run);
  makeFolders(folder);
  const kept = openJsonLines<PaperPicture>(join(folder, 'pictures.jsonl'));
  const gaps = [...dataset.gaps];
  const trials: PaperTrial[] = [];
  let tried = false;
  const beforeLearning = async (subject: PaperPhotos) => {
    if (!tried) await tryEncoders(engine, request.encoders ?? {}, subject, run);
    tried = true;
  };
  for (const subject of dataset.subjects) {
    for (const arm of about.arms) {
      try {
        trials.push(
          await learnAndDraw(engine, request, { ...about, on }, subject, arm, kept, beforeLearning, run),
        );
      } catch (error) {
        if (!(error instanceof TrainingDivergedError)) throw error;
        gaps.push(`${subject.name}, ${arm}: ${error.message}`);
      }
    }
  }
  const pictures = trials.flatMap((trial) =>
    wantedPictures(about, trial, '').flatMap(({ file }) => kept.rows.find((row) => row.file === file) ?? []),
  );
  const { measures, gaps: unread } = await measurePaper(
    engine,
    { folder, trials, pictures, encoders: request.encoders ?? {}, withIdentifier: about.withIdentifier },
    onMeasure,
    run,
  );
  const subjects = dataset.subjects.map(({ name }) => name);
  const drawn = drawnAs(folder, pictures);
  return { about: { ...about, subjects, drawn }, gaps: [...gaps, ...unread], pictures, measures };
}

/** Throws InvalidOptionError. */
function settled(
  engine: Engine,
  request: PaperEvaluationRequest,
): Omit<PaperEvaluation['about'], 'subjects' | 'drawn'> {
  const { settings = {}, arms = ['images'], pictures = 4, classPictures = 100 } = request;
  if (settings.prior !== undefined) {
    throw new InvalidOptionError(
      'prior',
      `settings.prior is ${settings.prior}: here it is said by arms, ${paperArms.join(' or ')} or both.`,
    );
  }
  for (const [name, value] of Object.entries({ pictures, classPictures, arms: arms.length })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new InvalidOptionError(name, `${name} is ${value}: give one or more.`);
  }
  const { preset = 'paper', ...own } = settings;
  const seed = request.seed ?? 0;
  const base = baseName(engine.home, request.base);
  const { prior, ...recipe } = effectiveSettings(preset, own as Partial<TrainingSettings>);
  const { rareIdentifier, kind } = recipe;
  return {
    base,
    vae: autoencoderPath(request.vae),
    preset,
    settings: own,
    recipe,
    arms,
    seed,
    pictures,
    classPictures,
    drawing: request.drawing ?? {},
    withIdentifier: request.withIdentifier ?? false,
    // An embedding is a word of its own.
    identifiers: rareIdentifier && kind !== 'embedding' ? paperIdentifiers(base, seed) : {},
    versions: packageVersions(),
  };
}

/** Throws InvalidOptionError. */
function chosen({ subjects, gaps }: PaperDataset, count: number = subjects.length): PaperDataset {
  if (!Number.isSafeInteger(count) || count < 1 || count > paperSubjects.length)
    throw new InvalidOptionError('subjects', `subjects is ${count}: give 1 to ${paperSubjects.length}.`);
  const left = subjects.length - count;
  const told = left > 0 ? [`${left} subjects that are there were left out, as asked`] : [];
  return { subjects: subjects.slice(0, count), gaps: [...gaps, ...told] };
}

interface About extends ReturnType<typeof settled> {
  /** See `baseContents`. */
  readonly on: readonly (string | null)[];
}

/** All pictures of a subject in an arm are there after this. */
async function learnAndDraw(
  engine: Engine,
  { folder, keepSubjects = false }: PaperEvaluationRequest,
  about: About,
  subject: PaperPhotos,
  arm: PaperArm,
  kept: JsonLines<PaperPicture>,
  beforeLearning: (subject: PaperPhotos) => Promise<void>,
  run: RunOptions,
): Promise<PaperTrial> {
  const { base, vae, on, preset, seed, drawing, pictures } = about;
  const settings: PersonalizationSettings = { ...about.settings, preset, prior: arm };
  const identifier = about.identifiers[subject.name];
  const photos = subject.photos.map(fileHash);
  // All of it: what a preset says may be another in another version.
  const how = fingerprint([on, seed, identifier, preset, about.recipe, arm, subject.className, photos]);
  const name = `paper-${subject.name}-${arm}-${how}`;
  // Which seeds a prompt has follows from how many pictures each gets.
  const drawn = fingerprint([how, drawing, pictures]);
  const trial = { subject, arm, files: `pictures/${subject.name}-${arm}-${drawn}` };
  if (!wantedPictures(about, trial, '').every((row) => isDrawn(folder, kept.rows, row))) {
    await beforeLearning(subject);
    const learned = await learnOnce(
      engine,
      {
        images: subject.photos,
        className: subject.className,
        name,
        base,
        seed,
        settings,
        ...(identifier !== undefined && { identifier }),
        ...(vae !== null && { vae }),
      },
      run,
    );
    const wanted = wantedPictures(about, trial, subjectWords(learned));
    const ofPrompt = (which: number | null) => wanted.filter(({ prompt }) => prompt === which);
    const asked = paperPrompts(subject).map((prompt, i) => ({
      request: { ...drawing, prompt: paperPrompt(prompt, `@${name}`) },
      pictures: ofPrompt(i),
    }));
    // Its weights take part without its words: what the model now makes of the class.
    const bare = { ...drawing, prompt: classPrompt(subject.className), learned: { name } };
    await drawMissing(engine, folder, kept, [...asked, { request: bare, pictures: ofPrompt(null) }], run);
  }
  if (!keepSubjects && subjectExists(engine.home, name)) deleteSubject(engine.home, name);
  return trial;
}
