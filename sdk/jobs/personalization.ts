/** One personalisation from request to subject: name, job, the engine's work, and every way it can end. */
import { randomUUID } from 'node:crypto';
import { cpSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { writeFailure } from '../checkpoint/write-failure';
import { InvalidOptionError, JobStateError } from '../errors';
import type { WorkerProcess } from '../runtime/worker-process';
import type { Home } from '../subjects/home';
import { snapshotSteps, snapshotsFolder } from '../subjects/snapshots';
import { createSubject, isSubjectOf, listSubjects, readSubject, type Subject } from '../subjects/subjects';
import { type Preset, presets } from '../training/presets';
import type { PersonalizationJob } from '../work/personalization-job';
import { checkSettings, type PersonalizationSettings } from '../work/personalization-settings';
import type { SubjectDraft } from '../work/run-personalization';
import { scoringEncoders, withEncoders } from '../work/scoring-encoders';
import { autoencoderPath, baseName, basePath } from './base-path';
import {
  continuedPhotos,
  continuedSettings,
  continuedSubject,
  refuseOtherClass,
  relearned,
} from './continuation';
import type { PersonalizationRecord } from './job-record';
import {
  clearJobFiles,
  createPersonalization,
  type HeldJob,
  holdJob,
  isKind,
  type Placement,
  photosFolder,
  startFolder,
} from './jobs';
import {
  keepForJob,
  type NameReservation,
  reserveDefaultName,
  reserveForJob,
  reserveName,
} from './name-reservation';
import { workOn } from './run-job';
import type { EngineSettings, RunOptions } from './run-options';
import { imageList, readSubjectPhotos, refuseTooMany, type SubjectImage } from './subject-photos';
import { packageVersions } from './versions';

export interface PersonalizationRequest {
  /** 1 to 20 photos, 3 to 6 recommended: files, folders, or bytes. With `continueFrom` or `again`: more of them, or none. */
  readonly images: readonly SubjectImage[];
  /** The noun for what the subject is, as "dog"; may be left out with `continueFrom` and `again`. */
  readonly className?: string | undefined;
  /**
   * A finished subject to go on with: its weights are the start, its photos, class, identifier, base and settings the
   * default; `steps` are made on top. AdamW's sums and the schedule of the rate begin anew. Under the same name, the
   * default, the result takes its place when it is done.
   */
  readonly continueFrom?: string;
  /**
   * A finished subject to learn anew from its photos (and these), on its base from the beginning: its captions, masks,
   * class, identifier, base, seed and settings are the default. The old one stays.
   */
  readonly again?: string;
  /** How prompts will call it (`@rex`); default: the class and a number, of one learned anew its name and a number. */
  readonly name?: string;
  /** The rare word that stands for it in prompts, empty for none; default: as the preset says, usually one of the tokenizer's. */
  readonly identifier?: string;
  /**
   * A folder in the diffusers layout, a `.safetensors` file, the hub id of a model in the Hugging Face cache, a name that
   * `listModels` gives, or `toybox`; default: the engine's.
   */
  readonly base?: string;
  /** An autoencoder in place of the base's own, a folder or a `.safetensors` file; `base`: the base's own, the default. */
  readonly vae?: string;
  /** Default: the preset's where it has one, else 0. */
  readonly seed?: number;
  readonly settings?: PersonalizationSettings;
  /** Who affirmed that the photos may be used for this, and in answer to what; kept with the subject. */
  readonly consent?: PersonalizationRecord['consent'];
}

/** A personalisation held by this process, as is the name of its subject. */
export interface HeldPersonalization {
  readonly held: HeldJob<PersonalizationRecord>;
  readonly reservation: NameReservation;
}

/** Makes the job of a request, held by this process; its place is asked for at the moment in which it is made. */
export async function startPersonalization(
  home: Home,
  request: PersonalizationRequest,
  defaults: { readonly base: string; readonly vae: string | undefined },
  placement: () => Placement,
  onWarning: (message: string) => void,
): Promise<HeldPersonalization> {
  if (request.continueFrom !== undefined && request.again !== undefined)
    throw new InvalidOptionError(
      'again',
      'A subject is gone on with (continueFrom) or learned anew (again): leave one of them out.',
    );
  const start = request.continueFrom === undefined ? undefined : continuedSubject(home, request.continueFrom);
  const anew = request.again === undefined ? undefined : readSubject(home, request.again.replace(/^@/, ''));
  const source = start ?? anew;
  const images = imageList(request.images);
  const { name = start?.name } = request;
  const className = checkClass(request.className ?? source?.className ?? '');
  if (start) refuseOtherClass(start, name ?? start.name, className);
  const given = checkSettings(request.settings ?? {});
  const afresh = anew && relearned(anew, given);
  const identifier = request.identifier ?? start?.identifier ?? afresh?.identifier ?? null;
  const base = baseName(home, request.base ?? source?.base.path ?? defaults.base);
  const settings = withEncoders(
    start
      ? continuedSettings(start, given, { className, identifier: identifier ?? start.identifier })
      : (afresh?.settings ?? given),
    basePath(base),
  );
  const preset: Preset | undefined = settings.preset && presets[settings.preset];
  // The same draws over again would add less than others.
  const seed = request.seed ?? (start ? start.seed + 1 : (anew?.seed ?? preset?.seed ?? 0));
  // Also: whether there is something to score by, before anything is made.
  scoringEncoders(settings, basePath(base));
  const vae = autoencoderPath(request.vae ?? source?.base.vae ?? defaults.vae);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new InvalidOptionError('seed', `seed is ${seed}: give a whole number from 0 on.`);
  }
  const reservation =
    name === undefined
      ? reserveDefaultName(home, anew ? anew.name.replace(/-\d+$/, '') : className)
      : reserveName(home, name, start?.id);
  try {
    const reading = {
      oneIsEnough: preset?.onePhoto === true || source !== undefined,
      captions: settings.captions !== false,
    };
    const read =
      source && images.length === 0 ? [] : await readSubjectPhotos(images, base, reading, onWarning);
    const photos = source ? continuedPhotos(source, read, onWarning) : read;
    refuseTooMany(photos);
    const usedIdentifiers = listSubjects(home).map((subject) => subject.identifier);
    const wanted = {
      name: reservation.name,
      className,
      identifier,
      usedIdentifiers,
      base,
      vae,
      seed,
      settings,
      continueFrom: start
        ? {
            name: start.name,
            id: start.id,
            steps: start.steps,
            baseFingerprint: start.base.fingerprint,
          }
        : null,
      // Of the same photos the same was affirmed.
      consent: request.consent ?? (images.length === 0 ? source?.consent : null) ?? null,
    };
    const held = createPersonalization(home, wanted, photos, placement(), start?.folder);
    return { held, reservation };
  } catch (error) {
    reservation.release();
    throw error;
  }
}

/**
 * Puts a personalisation in line: a host of the home runs it when its turn comes. Its name stays its own.
 * Throws what `Engine.personalize` rejects with before any work is done.
 */
export async function queuePersonalization(
  home: Home,
  request: PersonalizationRequest,
  defaults: { readonly base: string; readonly vae: string | undefined },
  placement: () => Placement,
): Promise<PersonalizationRecord> {
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message);
  const { held, reservation } = await startPersonalization(home, request, defaults, placement, onWarning);
  keepForJob(home, reservation.name, held.record().id);
  const job = held.update({ warnings });
  held.release();
  reservation.release();
  return job;
}

export interface ResumeChanges {
  /** Another name, where the first was taken meanwhile. */
  readonly name?: string | undefined;
  /** What may change on the way, as after a training that diverged; see `changeableSettings`. */
  readonly settings?: PersonalizationSettings | undefined;
}

/** Settings that decide nothing of what a checkpoint holds. */
const changeableSettings: readonly string[] = [
  'learningRate',
  'textEncoderLearningRate',
  'maxGradientNorm',
  'checkpointEvery',
];

/** Takes a job that was broken off, as it was or with changes. */
export function retakePersonalization(home: Home, id: string, changes: ResumeChanges): HeldPersonalization {
  const settings = checkSettings(changes.settings ?? {});
  const fixed = Object.keys(settings).find((name) => !changeableSettings.includes(name));
  if (fixed !== undefined) {
    throw new InvalidOptionError(
      fixed,
      `${fixed} cannot change while a subject is being learned; ${changeableSettings.join(', ')} can. To change ${fixed}, learn the subject anew.`,
    );
  }
  const held = holdPersonalization(home, id);
  let reservation: NameReservation | undefined;
  try {
    const before = held.record();
    reservation = reserveForJob(home, changes.name ?? before.name, before);
    held.update({ name: reservation.name, settings: { ...before.settings, ...settings }, error: null });
    return { held, reservation };
  } catch (error) {
    reservation?.release();
    held.release();
    throw error;
  }
}

/** Runs a held job to its end, whatever that is, and lets go of it. */
export async function runPersonalizationJob(
  home: Home,
  { held, reservation }: HeldPersonalization,
  worker: WorkerProcess,
  settings: EngineSettings,
  run: RunOptions,
): Promise<Subject> {
  const { id, name } = held.record();
  try {
    run.onProgress?.({ kind: 'job-start', job: id, name });
    const subject = await workOn(
      home,
      held,
      {
        method: 'personalize',
        task: () => task(held),
        keep: (draft: SubjectDraft) => keepSubject(home, held, draft),
        onBeat: reservation.beat,
      },
      worker,
      settings,
      run,
    );
    clearJobFiles(home, id);
    return subject;
  } finally {
    held.release();
    reservation.release();
  }
}

function task(held: HeldJob<PersonalizationRecord>): PersonalizationJob {
  const {
    id,
    name,
    className,
    identifier,
    usedIdentifiers,
    base,
    vae,
    seed,
    settings,
    photos,
    continueFrom,
  } = held.record();
  return {
    id,
    name,
    className,
    identifier,
    usedIdentifiers,
    basePath: basePath(base),
    vaePath: autoencoderPath(vae),
    seed,
    settings: settings as PersonalizationSettings,
    start: continueFrom
      ? { folder: join(held.folder, startFolder), baseFingerprint: continueFrom.baseFingerprint }
      : null,
    photos: photos.map(({ file, mask, ...photo }) => ({
      ...photo,
      file: join(held.folder, file),
      ...(mask === undefined ? {} : { mask: join(held.folder, mask) }),
    })),
  };
}

function holdPersonalization(home: Home, id: string): HeldJob<PersonalizationRecord> {
  const held = holdJob(home, id);
  if (isKind(held, 'personalize')) return held;
  held.release();
  throw new JobStateError(
    id,
    held.record().state,
    `The job ${id} draws pictures, which is not gone on with: ask for them again.`,
  );
}

/**
 * The subject of a job whose process died between the two last things it did, making the subject and writing down that
 * the job is done; that is written down now.
 */
export function finishedSubject(home: Home, job: PersonalizationRecord): Subject | undefined {
  if (!isSubjectOf(home, job.name, job.id)) return undefined;
  const held = holdPersonalization(home, job.id);
  held.update({ state: 'done', error: null });
  held.release();
  clearJobFiles(home, job.id);
  return readSubject(home, job.name);
}

/** The photos go with it, so that it can be gone on with. */
function keepSubject(home: Home, held: HeldJob<PersonalizationRecord>, draft: SubjectDraft): Subject {
  const job = held.record();
  try {
    cpSync(join(held.folder, photosFolder), join(draft.folder, photosFolder), { recursive: true });
  } catch (error) {
    throw writeFailure(draft.folder, error);
  }
  const { identifier, instancePrompt, kind, settings, steps } = draft;
  countOn(draft.folder, job.continueFrom?.steps ?? 0);
  const record = {
    id: randomUUID(),
    className: job.className,
    identifier,
    instancePrompt,
    kind,
    base: {
      path: job.base,
      fingerprint: draft.baseFingerprint,
      ...(job.vae === null ? {} : { vae: job.vae }),
    },
    settings: { ...settings },
    seed: job.seed,
    steps: steps + (job.continueFrom?.steps ?? 0),
    createdAt: new Date().toISOString(),
    photos: job.photos,
    ...(job.continueFrom ? { continuedFrom: { name: job.continueFrom.name, id: job.continueFrom.id } } : {}),
    versions: packageVersions(),
    job: job.id,
    owner: job.owner,
    scope: job.scope,
    consent: job.consent,
  };
  return createSubject(home, job.name, record, draft.folder, job.continueFrom?.id);
}

/** Kept steps are counted from the subject's beginning, as its own are, not from where this run went on. */
function countOn(folder: string, before: number): void {
  if (before === 0) return;
  // The last first, or one would land on the next.
  for (const step of snapshotSteps(folder).reverse())
    renameSync(
      join(folder, snapshotsFolder, String(step)),
      join(folder, snapshotsFolder, String(step + before)),
    );
}

/** What can be said without a tokenizer; the engine checks the rest. */
function checkClass(className: unknown): string {
  if (typeof className !== 'string' || /[{}]/.test(className)) {
    throw new InvalidOptionError(
      'class',
      `The class is ${JSON.stringify(className)}: give a plain noun for what the subject is, as "dog"; {subject} and {class} belong in prompts.`,
    );
  }
  const words = className.trim().replace(/\s+/g, ' ');
  if (!/[\p{L}\p{N}]/u.test(words)) {
    throw new InvalidOptionError(
      'class',
      `The class is "${className}": give the noun for what the subject is, as "dog" or "toy car".`,
    );
  }
  return words;
}
