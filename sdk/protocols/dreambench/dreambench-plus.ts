/**
 * DreamBench++ (Peng et al. 2025): each of 150 subjects learned from one picture, drawn once in each of nine captions,
 * and rated by a judge. Every picture and answer is a row when it is made, so that a run that was broken off goes on.
 */
import { join } from 'node:path';
import { autoencoderWeightFiles } from '../../checkpoint/autoencoder-files';
import { makeFolders } from '../../checkpoint/write-failure';
import { DreamBoothError, InvalidOptionError, TrainingDivergedError } from '../../errors';
import { autoencoderPath, baseName, basePath, embeddedBase } from '../../jobs/base-path';
import type { Engine } from '../../jobs/engine';
import { learnOnce } from '../../jobs/learn-once';
import type { RunOptions } from '../../jobs/run-options';
import { packageVersions } from '../../jobs/versions';
import { describeModel } from '../../library/describe-model';
import { deleteSubject, type Subject, subjectExists } from '../../subjects/subjects';
import { effectiveSettings, type PresetName, type TrainingSettings } from '../../training/presets';
import type { PersonalizationSettings } from '../../work/personalization-settings';
import { drawMissing, drawnAs, isDrawn, type KeptPicture } from '../draw-missing';
import { baseContents, fileHash, fingerprint } from '../fingerprint';
import { tellGaps } from '../gaps';
import { type JsonLines, openJsonLines } from '../json-lines';
import { type DreamBenchReference, dreamBenchReferences, openDreamBench } from './dreambench-data';
import type { Judge } from './judge';
import { type JudgeScores, judgeScores } from './judge-scores';
import {
  type Answer,
  foretell,
  type JudgedPicture,
  type JudgingEstimate,
  type JudgingLimits,
  judgeAll,
} from './judging';

export interface DreamBenchRequest extends JudgingLimits {
  /** The folder of DreamBench++ that has `images` and `captions`, or `data` with them. */
  readonly data: string;
  /** Rows, pictures and answers are kept here, and gone on with. */
  readonly folder: string;
  /** As for `personalize`. */
  readonly base: string;
  readonly vae?: string;
  /** Their preset, by default that of the published row of the base's line (Stable Diffusion 1 or XL), and what is over it. */
  readonly settings?: PersonalizationSettings;
  /** The first so many by id; default: all. */
  readonly subjects?: number;
  /** Who rates; default: nobody, pictures are drawn alone. */
  readonly judge?: Judge;
  /** How often each picture is rated; default 3. */
  readonly runs?: number;
  /** Whether what was learned stays in the home once it is drawn; default false. */
  readonly keepSubjects?: boolean;
}

/** A picture of a run, as `pictures.jsonl` has it. */
export interface DreamBenchPicture extends KeptPicture {
  readonly reference: string;
  /** The caption's index. */
  readonly prompt: number;
  readonly caption: string;
}

export interface DreamBenchEvaluation {
  readonly about: {
    readonly base: string;
    /** Of base models, as `SD 1`; null where it cannot be told. */
    readonly line: string | null;
    readonly vae: string | null;
    /** sha256 of its weights, in 64 hexadecimal digits; null for the base's own and for one in several files. */
    readonly vaeHash: string | null;
    readonly preset: PresetName;
    /** Over the preset's. */
    readonly settings: PersonalizationSettings;
    /** All that a subject is learned by. */
    readonly recipe: TrainingSettings;
    readonly references: number;
    /** Whether the data is all there and all of it was taken. */
    readonly complete: boolean;
    readonly drawing: typeof drawing;
    /** See `drawnAs`. */
    readonly drawn: ReturnType<typeof drawnAs>;
    readonly seed: number;
    readonly judge: {
      readonly endpoint: string;
      readonly model: string;
      readonly temperature: number;
      readonly runs: number;
    } | null;
    readonly versions: Readonly<Record<string, string>>;
  };
  readonly gaps: readonly string[];
  readonly pictures: readonly DreamBenchPicture[];
  readonly answers: readonly Answer[];
  readonly scores: JudgeScores;
  /** USD; null where nothing was judged, or no price is known. */
  readonly spent: number | null;
  /** Why judging ended early; null where it did not. */
  readonly stopped: string | null;
}

/** As both published rows were drawn. */
const drawing = { steps: 100, guidanceScale: 7.5 } as const;
const seed = 42;

export interface DreamBenchEvents {
  readonly onEstimate?: (estimate: JudgingEstimate) => void;
  readonly onAnswer?: (done: number, of: number) => void;
}

/**
 * Rejects with InvalidOptionError, MissingFileError, StoppedError, what the engine's calls do, and what the judge does;
 * a training that diverges is a gap. What was made stays.
 */
export async function evaluateDreamBench(
  engine: Engine,
  request: DreamBenchRequest,
  events: DreamBenchEvents = {},
  run: RunOptions = {},
): Promise<DreamBenchEvaluation> {
  const { folder, judge, runs = 3, settings: { preset: named, ...settings } = {} } = request;
  if (!Number.isSafeInteger(runs) || runs < 1)
    throw new InvalidOptionError('runs', `runs is ${runs}: give one or more.`);
  const alien = (['drawSteps', 'drawGuidanceScale', 'drawScheduler'] as const).find(
    (name) => settings[name] !== undefined,
  );
  if (alien !== undefined)
    throw new InvalidOptionError(
      alien,
      `${alien} is ${settings[alien]}: pictures of this protocol are drawn in ${drawing.steps} steps at guidance ${drawing.guidanceScale}. Leave it out.`,
    );
  const base = baseName(engine.home, request.base);
  const preset = named ?? publishedPreset(base);
  const { references: all, gaps: absent } = await openDreamBench(request.data);
  const { subjects = all.length } = request;
  if (!Number.isSafeInteger(subjects) || subjects < 1 || subjects > dreamBenchReferences)
    throw new InvalidOptionError(
      'subjects',
      `subjects is ${subjects}: give a number from 1 to ${dreamBenchReferences}.`,
    );
  const references = all.slice(0, subjects);
  const gaps = [
    ...absent,
    ...(references.length < all.length
      ? [`${all.length - references.length} references that are there were left out, as asked`]
      : []),
  ];
  tellGaps(absent, `${references.length} of ${dreamBenchReferences} references`, run);
  makeFolders(folder);
  const kept = openJsonLines<DreamBenchPicture>(join(folder, 'pictures.jsonl'));
  const recipe: Recipe = {
    base,
    vae: autoencoderPath(request.vae),
    preset,
    settings,
    recipe: effectiveSettings(preset, settings as Partial<TrainingSettings>),
  };
  const on = baseContents(base, recipe.vae);
  const vaeHash = autoencoderHash(recipe.vae);
  if (judge !== undefined) {
    // What is certain to fail is told before hours of drawing.
    const wanted = references.flatMap((reference) =>
      trialOf(recipe, on, reference).wanted.map((picture): Drawn => ({ reference, picture })),
    );
    const there = wanted.filter(({ picture }) => isDrawn(folder, kept.rows, picture));
    const undrawn = wanted.length - there.length;
    const estimate = foretell(judge, folder, there.map(judgedIn(folder)), undrawn, runs, request);
    if (estimate.calls > 0) await judge.check?.(run.signal);
    events.onEstimate?.(estimate);
  }
  const drawn: Drawn[] = [];
  for (const reference of references) {
    try {
      const pictures = await learnAndDraw(engine, request, recipe, on, reference, kept, run);
      drawn.push(...pictures.map((picture) => ({ reference, picture })));
    } catch (error) {
      if (!(error instanceof TrainingDivergedError)) throw error;
      gaps.push(`${reference.id}: ${error.message}`);
    }
  }
  const { answers, spent, stopped, unreadable } = judge
    ? await judgeAll(judge, folder, drawn.map(judgedIn(folder)), runs, request, events, run.signal)
    : { answers: [], spent: null, stopped: null, unreadable: [] };
  gaps.push(
    ...unreadable.map(
      (file) => `${file} cannot be read and was not judged: delete it, and the same command draws it anew`,
    ),
  );
  const judgeWords = judge && {
    endpoint: judge.endpoint,
    model: judge.model,
    temperature: judge.temperature,
    runs,
  };
  return {
    about: {
      ...recipe,
      vaeHash,
      line: lineOf(base),
      complete: absent.length === 0 && references.length === all.length,
      references: references.length,
      drawing,
      drawn: drawnAs(
        folder,
        drawn.map(({ picture }) => picture),
      ),
      seed,
      judge: judgeWords ?? null,
      versions: packageVersions(),
    },
    gaps,
    pictures: drawn.map(({ picture }) => picture),
    answers,
    scores: judgeScores(answers),
    spent,
    stopped,
  };
}

interface Drawn {
  readonly reference: DreamBenchReference;
  readonly picture: DreamBenchPicture;
}

const judgedIn =
  (folder: string) =>
  ({ reference, picture: { file, prompt, caption } }: Drawn): JudgedPicture => ({
    reference,
    prompt,
    caption,
    picture: join(folder, file),
  });

/** Throws MissingFileError. */
function autoencoderHash(vae: string | null): string | null {
  const [file, ...shards] = vae === null ? [] : autoencoderWeightFiles(vae);
  return file === undefined || shards.length > 0 ? null : fileHash(file);
}

function lineOf(base: string): string | null {
  if (base === embeddedBase) return 'the embedded world';
  try {
    return describeModel(basePath(base)).family;
  } catch (error) {
    if (error instanceof DreamBoothError) return null;
    throw error;
  }
}

/** Throws MissingFileError, UnsupportedModelError. */
const publishedPreset = (base: string): PresetName =>
  describeModel(basePath(base)).family.startsWith('SDXL')
    ? 'dreambench-plus-sdxl-lora'
    : 'dreambench-plus-sd15';

type Recipe = Pick<DreamBenchEvaluation['about'], 'base' | 'vae' | 'preset' | 'settings' | 'recipe'>;

/** What a reference is learned by, under which name, and its nine pictures. */
function trialOf(
  recipe: Recipe,
  on: ReturnType<typeof baseContents>,
  { id, category, number, picture, subject, captions }: DreamBenchReference,
) {
  const settings: PersonalizationSettings = { ...recipe.settings, preset: recipe.preset };
  // All of it: what a preset says may be another in another version.
  const how = fingerprint([on, recipe.preset, recipe.recipe, subject, fileHash(picture)]);
  const files = `pictures/${id}-${fingerprint([how, drawing, seed, captions])}`;
  const wanted = captions.map(
    (caption, prompt): DreamBenchPicture => ({
      reference: id,
      prompt,
      caption,
      seed,
      file: `${files}/${prompt}_0.png`,
    }),
  );
  return { settings, name: `dreambench-${category}-${number}-${how}`.toLowerCase(), wanted };
}

/** All nine pictures of a reference are there after this. */
async function learnAndDraw(
  engine: Engine,
  { folder, keepSubjects = false }: DreamBenchRequest,
  recipe: Recipe,
  on: ReturnType<typeof baseContents>,
  reference: DreamBenchReference,
  kept: JsonLines<DreamBenchPicture>,
  run: RunOptions,
): Promise<DreamBenchPicture[]> {
  const { base, vae, preset } = recipe;
  const { settings, name, wanted } = trialOf(recipe, on, reference);
  if (!wanted.every((row) => isDrawn(folder, kept.rows, row))) {
    const learned = await learnOnce(
      engine,
      {
        images: [reference.picture],
        className: reference.subject,
        name,
        base,
        seed,
        settings,
        ...(vae !== null && { vae }),
      },
      run,
    );
    // Of XL the published pictures were decoded by the base's own, whatever it was learned with.
    const decoding = preset === 'dreambench-plus-sdxl-lora' ? { vae: 'base' } : {};
    const asked = wanted.map((row) => ({
      request: { ...drawing, ...decoding, prompt: askedFor(learned, row.caption), learned: { name } },
      pictures: [row],
    }));
    await drawMissing(engine, folder, kept, asked, run);
  }
  if (!keepSubjects && subjectExists(engine.home, name)) deleteSubject(engine.home, name);
  return wanted;
}

/**
 * The published recipes have no identifier: the noun is the subject, and a caption is the prompt as it stands. With
 * one, the subject is mentioned where its noun is.
 */
function askedFor({ identifier, className, name }: Subject, caption: string): string {
  if (identifier === '') return caption;
  const at = caption.toLowerCase().indexOf(className.toLowerCase());
  return at < 0 ? caption : `${caption.slice(0, at)}@${name}${caption.slice(at + className.length)}`;
}
