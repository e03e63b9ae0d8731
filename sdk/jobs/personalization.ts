/** One personalisation from request to subject: name, job, the engine's work, and every way it can end. */
import { randomUUID } from 'node:crypto';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { writeFailure } from '../checkpoint/write-failure';
import { DreamBoothError, EngineCrashedError, InvalidOptionError, StoppedError } from '../errors';
import { WorkerExitError, type WorkerProcess } from '../runtime/worker-process';
import type { Home } from '../subjects/home';
import { createSubject, listSubjects, type Subject } from '../subjects/subjects';
import { type Preset, presets } from '../training/presets';
import type { PersonalizationJob } from '../work/personalization-job';
import { checkSettings, type PersonalizationSettings } from '../work/personalization-settings';
import type { ProgressEvent } from '../work/progress';
import type { SubjectDraft } from '../work/run-personalization';
import type { WorkOrder } from '../work/work';
import { autoencoderPath, baseName, basePath } from './base-path';
import { continuedPhotos, continuedSettings, continuedSubject } from './continuation';
import {
  clearJobFiles,
  createJob,
  type HeldJob,
  holdJob,
  type JobRecord,
  photosFolder,
  startFolder,
} from './jobs';
import { type NameReservation, reserveDefaultName, reserveName } from './name-reservation';
import type { EngineSettings, RunOptions } from './run-options';
import { readSubjectPhotos, refuseTooMany, type SubjectImage } from './subject-photos';
import { packageVersions } from './versions';

export interface PersonalizationRequest {
  /** 1 to 20 photos, 3 to 6 recommended: files, folders, or bytes. With `continueFrom`: more of them, or none. */
  readonly images: readonly SubjectImage[];
  /** The noun for what the subject is, as "dog"; may be left out with `continueFrom`. */
  readonly className?: string | undefined;
  /**
   * A finished subject to go on with: its weights are the start, its photos, class, identifier, base and settings the
   * default; `steps` are made on top. AdamW's sums and the schedule of the rate begin anew. Under the same name, the
   * default, the result takes its place when it is done.
   */
  readonly continueFrom?: string;
  /** How prompts will call it (`@rex`); default: the class and a number. */
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
}

/** How often a run shows that it lives, looks for a wish to cancel, and writes down how far it is; ms. */
const beatInterval = 1_000;

/** Makes the job of a request, held by this process. */
export async function startJob(
  home: Home,
  request: PersonalizationRequest,
  defaultBase: string,
  defaultVae: string | undefined,
  onWarning: (message: string) => void,
): Promise<{ readonly held: HeldJob; readonly reservation: NameReservation }> {
  const source =
    request.continueFrom === undefined ? undefined : continuedSubject(home, request.continueFrom);
  const { images, name = source?.name, identifier = source?.identifier ?? null } = request;
  const className = checkClass(request.className ?? source?.className ?? '');
  const given = checkSettings(request.settings ?? {});
  const settings = source
    ? continuedSettings(source, given, { className, identifier: identifier ?? source.identifier })
    : given;
  const preset: Preset | undefined = settings.preset && presets[settings.preset];
  // The same draws over again would add less than others.
  const seed = request.seed ?? (source ? source.seed + 1 : (preset?.seed ?? 0));
  const base = baseName(home, request.base ?? source?.base.path ?? defaultBase);
  basePath(base);
  const vae = autoencoderPath(request.vae ?? source?.base.vae ?? defaultVae);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new InvalidOptionError('seed', `seed is ${seed}: give a whole number from 0 on.`);
  }
  const reservation =
    name === undefined ? reserveDefaultName(home, className) : reserveName(home, name, source?.id);
  try {
    const reading = {
      oneIsEnough: preset?.onePhoto === true || source !== undefined,
      captions: settings.captions !== false,
    };
    const read =
      source && images.length === 0 ? [] : await readSubjectPhotos(images, base, reading, onWarning);
    const photos = source ? continuedPhotos(source, read) : read;
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
      continueFrom: source
        ? {
            name: source.name,
            id: source.id,
            steps: source.steps,
            baseFingerprint: source.base.fingerprint,
          }
        : null,
    };
    const job = createJob(home, wanted, photos, source?.folder);
    return { held: holdJob(home, job.id), reservation };
  } catch (error) {
    reservation.release();
    throw error;
  }
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
export function retakeJob(
  home: Home,
  id: string,
  changes: ResumeChanges,
): { readonly held: HeldJob; readonly reservation: NameReservation } {
  const settings = checkSettings(changes.settings ?? {});
  const fixed = Object.keys(settings).find((name) => !changeableSettings.includes(name));
  if (fixed !== undefined) {
    throw new InvalidOptionError(
      fixed,
      `${fixed} cannot change while a subject is being learned; ${changeableSettings.join(', ')} can. Learn it anew for another ${fixed}.`,
    );
  }
  const held = holdJob(home, id);
  let reservation: NameReservation | undefined;
  try {
    const before = held.record();
    reservation = reserveName(home, changes.name ?? before.name, before.continueFrom?.id);
    held.update({ name: reservation.name, settings: { ...before.settings, ...settings }, error: null });
    return { held, reservation };
  } catch (error) {
    reservation?.release();
    held.release();
    throw error;
  }
}

/** Runs a held job to its end, whatever that is, and lets go of it. */
export async function runJob(
  home: Home,
  { held, reservation }: { readonly held: HeldJob; readonly reservation: NameReservation },
  worker: WorkerProcess,
  { device, threads, memoryCheck }: EngineSettings,
  { onProgress, signal }: RunOptions,
): Promise<Subject> {
  const { id, name } = held.record();
  const stop = new AbortController();
  const onStop = () => stop.abort();
  signal?.addEventListener('abort', onStop, { once: true });
  if (signal?.aborted) stop.abort();
  let progress = null as JobRecord['progress'];
  let written = progress;
  const timer = setInterval(() => {
    held.beat();
    reservation.beat();
    if (held.cancelRequested()) stop.abort();
    if (progress === written || held.record().state !== 'running') return;
    written = progress;
    try {
      held.update({ progress });
    } catch {
      // A full disk: how far it is will be told later; the work itself says what it could not write.
    }
  }, beatInterval);
  timer.unref();

  try {
    onProgress?.({ kind: 'job-start', job: id, name });
    const order: WorkOrder<PersonalizationJob> = {
      task: task(held),
      home,
      folder: held.folder,
      device,
      threads,
      memoryCheck,
    };
    held.update({ state: 'running' });
    const onEvent = (event: unknown) => {
      const told = event as ProgressEvent;
      if (told.kind === 'step-end') progress = recorded(told);
      onProgress?.(told);
    };
    const draft = await worker.call('personalize', order, { onEvent, signal: stop.signal });
    const subject = keepSubject(home, held, draft as SubjectDraft);
    held.update({ state: 'done', progress });
    clearJobFiles(home, id);
    return subject;
  } catch (error) {
    throw ended(home, held, progress, stop.signal.aborted, error);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', onStop);
    held.release();
    reservation.release();
  }
}

/** Records how a run that did not succeed ended, and returns what the caller gets to know. */
function ended(
  home: Home,
  held: HeldJob,
  progress: JobRecord['progress'],
  stopped: boolean,
  error: unknown,
): unknown {
  const { id } = held.record();
  const failure =
    error instanceof WorkerExitError && !stopped ? new EngineCrashedError(id, error.exit) : error;
  try {
    if (stopped && held.cancelRequested()) {
      held.update({ state: 'cancelled' });
      clearJobFiles(home, id);
      return new StoppedError(null, { cause: error });
    }
    if (stopped) {
      held.update({ state: 'stopped', progress });
      return new StoppedError(id, { cause: error });
    }
    const code = failure instanceof DreamBoothError ? failure.code : 'unexpected';
    held.update({
      state: 'failed',
      progress,
      error: { code, message: failure instanceof Error ? failure.message : String(failure) },
    });
  } catch {
    // The disk may be full or gone: the first failure is the one to tell; the job will be seen as stopped.
  }
  return failure;
}

function task(held: HeldJob): PersonalizationJob {
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

/** The photos go with it, so that it can be gone on with. */
function keepSubject(home: Home, held: HeldJob, draft: SubjectDraft): Subject {
  const job = held.record();
  try {
    cpSync(join(held.folder, photosFolder), join(draft.folder, photosFolder), { recursive: true });
  } catch (error) {
    throw writeFailure(draft.folder, error);
  }
  const { identifier, instancePrompt, kind, settings, steps } = draft;
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
  };
  return createSubject(home, job.name, record, draft.folder, job.continueFrom?.id);
}

function recorded({ phase, step, steps, loss }: ProgressEvent & { kind: 'step-end' }): JobRecord['progress'] {
  return { phase, step, steps, ...(loss === undefined ? {} : { loss }) };
}

/** What can be said without a tokenizer; the engine checks the rest. */
function checkClass(className: string): string {
  const words = className.trim().replace(/\s+/g, ' ');
  if (!/[\p{L}\p{N}]/u.test(words)) {
    throw new InvalidOptionError(
      'class',
      `The class is "${className}": give the noun for what the subject is, as "dog" or "toy car".`,
    );
  }
  return words;
}
