/** Personalisations as durable records: a folder each, with job.json, the photos and what the training keeps. */
import { randomBytes } from 'node:crypto';
import { constants, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { type FileLock, liveHolder, takeLock } from '../checkpoint/file-lock';
import { readJsonFile } from '../checkpoint/json-file';
import { writeFailure } from '../checkpoint/write-failure';
import { BrokenFileError, JobStateError, UnknownJobError } from '../errors';
import { type Home, makeFolder } from '../subjects/home';
import { nearestFirst } from '../subjects/subject-name';
import { personalizationSettings } from '../work/personalization-settings';
import { phases } from '../work/progress';
import type { SubjectPhoto } from './subject-photos';

const recordFile = 'job.json';
export const photosFolder = 'photos';
/** Weights that a job starts from. */
export const startFolder = 'start';

export const jobStates = ['queued', 'running', 'stopped', 'failed', 'done', 'cancelled'] as const;
export type JobState = (typeof jobStates)[number];

const jobRecord = z.object({
  id: z.string(),
  kind: z.literal('personalize'),
  state: z.enum(jobStates),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  /** The name that the subject gets. */
  name: z.string(),
  className: z.string(),
  /** As given; null: the base's tokenizer chooses one that no subject in `usedIdentifiers` has. */
  identifier: z.string().nullable(),
  usedIdentifiers: z.array(z.string()),
  /** `toybox`, or an absolute path. */
  base: z.string(),
  /** The absolute path of an autoencoder in place of the base's own. */
  vae: z.string().nullable().default(null),
  seed: z.number().int(),
  /** The subject whose weights it starts from, and how many steps those had; null: the base's own. */
  continueFrom: z
    .object({ name: z.string(), id: z.string(), steps: z.number(), baseFingerprint: z.string() })
    .nullable()
    .default(null),
  /** As given; of a continued subject, its own with those over them. */
  settings: personalizationSettings.partial(),
  /** `file` and `mask` are relative to the job's folder; `name` is what the caller called the photo. */
  photos: z.array(
    z.object({
      file: z.string(),
      name: z.string(),
      sha256: z.string(),
      caption: z.string().optional(),
      mask: z.string().optional(),
    }),
  ),
  progress: z
    .object({
      phase: z.enum(phases),
      step: z.number(),
      steps: z.number(),
      loss: z.number().optional(),
    })
    .nullable(),
  /** Why it failed. */
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});

export type JobRecord = z.infer<typeof jobRecord>;
export type JobPhoto = JobRecord['photos'][number];

export const jobFolder = (home: Home, id: string) => join(home.jobs, id);
const lockPath = (home: Home, id: string) => join(jobFolder(home, id), 'lock');
const cancelPath = (home: Home, id: string) => join(jobFolder(home, id), 'cancel');

/**
 * Makes a queued job. Its id is the subject's name and four random digits. The photos' bytes are kept with it, so
 * that a resumed run reads the same ones, and so are the weights in the folder `start`; they go when the job is done
 * or cancelled.
 */
export function createJob(
  home: Home,
  wanted: Pick<
    JobRecord,
    | 'name'
    | 'className'
    | 'identifier'
    | 'usedIdentifiers'
    | 'base'
    | 'vae'
    | 'seed'
    | 'settings'
    | 'continueFrom'
  >,
  photos: readonly SubjectPhoto[],
  start?: string,
): JobRecord {
  makeFolder(home.jobs);
  const id = newFolder(home, wanted.name);
  try {
    makeFolder(join(jobFolder(home, id), photosFolder));
    const keep = (file: string, bytes: Uint8Array) => {
      writeFileAtomically(join(jobFolder(home, id), file), [bytes]);
      return file;
    };
    const kept = photos.map(({ bytes, mask, ...photo }, i) => {
      const file = `${photosFolder}/${String(i + 1).padStart(2, '0')}`;
      return {
        ...photo,
        file: keep(file, bytes),
        ...(mask === undefined ? {} : { mask: keep(`${file}-mask`, mask) }),
      };
    });
    const now = new Date().toISOString();
    if (start !== undefined) copyWeights(start, join(jobFolder(home, id), startFolder));
    return write(home, {
      id,
      kind: 'personalize',
      state: 'queued',
      createdAt: now,
      updatedAt: now,
      ...wanted,
      photos: kept,
      progress: null,
      error: null,
    });
  } catch (error) {
    rmSync(jobFolder(home, id), { recursive: true, force: true });
    throw error;
  }
}

/**
 * The job as it stands. One that is recorded as queued or running while no process works on it was broken off (a
 * crash, a power cut): it is `stopped`. Throws UnknownJobError, BrokenFileError.
 */
export function readJob(home: Home, id: string): JobRecord {
  const path = join(jobFolder(home, id), recordFile);
  if (!isId(id) || !existsSync(path)) throw new UnknownJobError(id, nearestFirst(id, jobIds(home)));
  const parsed = jobRecord.safeParse(readJsonFile(path, `it describes the job ${id}`));
  if (!parsed.success) {
    throw new BrokenFileError(
      path,
      `${path} is not a job's record (${z.prettifyError(parsed.error)}): remove ${jobFolder(home, id)}.`,
    );
  }
  const job = parsed.data;
  const open = job.state === 'running' || job.state === 'queued';
  return open && liveHolder(lockPath(home, id)) === undefined ? { ...job, state: 'stopped' } : job;
}

/** Oldest first; a job whose record is damaged is left out. */
export function listJobs(home: Home): JobRecord[] {
  const jobs = jobIds(home).flatMap((id) => {
    try {
      return [readJob(home, id)];
    } catch (error) {
      if (error instanceof BrokenFileError || error instanceof UnknownJobError) return [];
      throw error;
    }
  });
  return jobs.sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0));
}

/** A job held by this process, which alone may change it. */
export interface HeldJob {
  readonly folder: string;
  record(): JobRecord;
  update(change: Partial<Omit<JobRecord, 'id' | 'kind'>>): JobRecord;
  /** Whether someone, here or in another process, asked for the job to be cancelled. */
  cancelRequested(): boolean;
  beat(): void;
  release(): void;
}

/** Takes a job that is to run. Throws JobStateError when a process is working on it, or it is done or cancelled. */
export function holdJob(home: Home, id: string): HeldJob {
  const lock = takeJobLock(home, id);
  let record = readJob(home, id);
  if (record.state === 'done' || record.state === 'cancelled') {
    lock.release();
    const mend =
      record.state === 'done' ? `the subject is @${record.name}` : 'its checkpoint is gone; start a new one';
    throw new JobStateError(id, record.state, `The job ${id} is ${record.state}: ${mend}.`);
  }
  // Left by someone who asked an earlier run to stop; this one is wanted.
  rmSync(cancelPath(home, id), { force: true });
  return {
    folder: jobFolder(home, id),
    record: () => record,
    update(change) {
      record = write(home, { ...record, ...change, updatedAt: new Date().toISOString() });
      return record;
    },
    cancelRequested: () => existsSync(cancelPath(home, id)),
    beat: lock.beat,
    release: lock.release,
  };
}

/** Removes what only a job that goes on needs: photos, checkpoints, half-made results. */
export function clearJobFiles(home: Home, id: string): void {
  for (const name of readdirSync(jobFolder(home, id))) {
    if (name !== recordFile && !name.startsWith('lock')) {
      rmSync(join(jobFolder(home, id), name), { recursive: true, force: true });
    }
  }
}

/**
 * Cancels a job and removes its checkpoint. One that runs, here or in another process, is asked to stop and waited
 * for, at most `patience` ms (default 90,000). Throws UnknownJobError; JobStateError when it is done or does not stop.
 */
export async function cancelJob(
  home: Home,
  id: string,
  options: { readonly patience?: number } = {},
): Promise<JobRecord> {
  const deadline = Date.now() + (options.patience ?? 90_000);
  for (;;) {
    const job = readJob(home, id);
    if (job.state === 'cancelled') return job;
    if (job.state === 'done') {
      throw new JobStateError(
        id,
        'done',
        `The job ${id} is done: remove what it learned with \`subjects delete ${job.name}\`.`,
      );
    }
    if (job.state === 'running' || job.state === 'queued') {
      writeFileSync(cancelPath(home, id), '');
    } else {
      const held = holdJob(home, id);
      try {
        const cancelled = held.update({ state: 'cancelled', error: null });
        clearJobFiles(home, id);
        return cancelled;
      } finally {
        held.release();
      }
    }
    if (Date.now() > deadline) {
      throw new JobStateError(
        id,
        job.state,
        `The job ${id} was asked to stop and has not yet: it stops at the end of its step. Look again with \`jobs show ${id}\`.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Copied, so that the subject may be renamed, replaced or deleted while the job waits. */
function copyWeights(from: string, to: string): void {
  try {
    for (const file of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.safetensors')) continue;
      mkdirSync(dirname(join(to, file)), { recursive: true });
      copyFileSync(join(from, file), join(to, file), constants.COPYFILE_FICLONE);
    }
  } catch (error) {
    throw writeFailure(to, error);
  }
}

function takeJobLock(home: Home, id: string): FileLock {
  readJob(home, id);
  const lock = takeLock(lockPath(home, id));
  if ('heldBy' in lock) {
    throw new JobStateError(
      id,
      'running',
      `The job ${id} is running already, in process ${lock.heldBy.pid} on ${lock.heldBy.host}.`,
    );
  }
  return lock;
}

function write(home: Home, job: JobRecord): JobRecord {
  const text = `${JSON.stringify(job, null, 2)}\n`;
  writeFileAtomically(join(jobFolder(home, job.id), recordFile), [Buffer.from(text)]);
  return job;
}

function newFolder(home: Home, name: string): string {
  for (;;) {
    const id = `${name}-${randomBytes(2).toString('hex')}`;
    try {
      mkdirSync(join(home.jobs, id));
      return id;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw writeFailure(home.jobs, error);
    }
  }
}

const isId = (id: string) => /^[a-z0-9][a-z0-9_-]*$/.test(id);

function jobIds(home: Home): string[] {
  if (!existsSync(home.jobs)) return [];
  return readdirSync(home.jobs).filter((id) => isId(id) && existsSync(join(home.jobs, id, recordFile)));
}
