/** Jobs as durable records: a folder each, with job.json, the photos or pictures, and what a training keeps. */
import { randomBytes } from 'node:crypto';
import {
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { type FileLock, liveHolder, takeLock } from '../checkpoint/file-lock';
import { readJsonFile } from '../checkpoint/json-file';
import { writeFailure } from '../checkpoint/write-failure';
import { BrokenFileError, JobStateError, UnknownJobError } from '../errors';
import { type Home, makeFolder } from '../subjects/home';
import { nearestFirst } from '../subjects/subject-name';
import {
  type DrawingRecord,
  isOpen,
  type JobOrigin,
  type JobRecord,
  jobRecord,
  type PersonalizationRecord,
} from './job-record';
import type { SubjectPhoto } from './subject-photos';

const recordFile = 'job.json';
export const photosFolder = 'photos';
/** Weights that a job starts from. */
export const startFolder = 'start';

export const jobFolder = (home: Home, id: string) => join(home.jobs, id);
const lockPath = (home: Home, id: string) => join(jobFolder(home, id), 'lock');
const cancelPath = (home: Home, id: string) => join(jobFolder(home, id), 'cancel');

/** Whose a new job is and how it runs. */
export interface Placement extends JobOrigin {
  readonly attended: boolean;
  /** See `turns.ts`; 0 for an attended one. */
  readonly turn: number;
  readonly replyTo: Readonly<Record<string, string>> | null;
}

type Filled =
  | 'id'
  | 'state'
  | 'createdAt'
  | 'updatedAt'
  | 'progress'
  | 'warnings'
  | 'error'
  | keyof Placement;

/**
 * Makes a queued personalisation, held by this process from the first moment in which others see it. Its id is the subject's name and four random digits. The photos' bytes are kept with
 * it, so that a resumed run reads the same ones, and so are the weights in the folder `start`; they go when the job is
 * done or cancelled.
 */
export function createPersonalization(
  home: Home,
  wanted: Omit<PersonalizationRecord, Filled | 'kind' | 'photos'>,
  photos: readonly SubjectPhoto[],
  placement: Placement,
  start?: string,
): HeldJob<PersonalizationRecord> {
  return createHeld(home, wanted.name, placement, (folder, common) => {
    makeFolder(join(folder, photosFolder));
    const kept = photos.map(({ bytes, mask, ...photo }, i) => {
      const file = `${photosFolder}/${String(i + 1).padStart(2, '0')}`;
      writeFileAtomically(join(folder, file), [bytes]);
      if (mask === undefined) return { ...photo, file };
      writeFileAtomically(join(folder, `${file}-mask`), [mask]);
      return { ...photo, file, mask: `${file}-mask` };
    });
    if (start !== undefined) copyWeights(start, join(folder, startFolder));
    return { ...common, kind: 'personalize', ...wanted, photos: kept };
  });
}

/** Makes a queued drawing, `draw-` and four random digits; `files` are kept with it under their names. */
export function createDrawing(
  home: Home,
  wanted: Omit<DrawingRecord, Filled | 'kind' | 'pictures'>,
  files: Readonly<Record<string, Uint8Array>>,
  placement: Placement,
): DrawingRecord {
  const held = createHeld(home, 'draw', placement, (folder, common) => {
    for (const [name, bytes] of Object.entries(files)) writeFileAtomically(join(folder, name), [bytes]);
    return { ...common, kind: 'generate', ...wanted, pictures: [] } as DrawingRecord;
  });
  held.release();
  return held.record();
}

function createHeld<Job extends JobRecord>(
  home: Home,
  stem: string,
  { owner, scope, host, attended, turn, replyTo }: Placement,
  fill: (folder: string, common: Pick<JobRecord, Filled>) => Job,
): HeldJob<Job> {
  makeFolder(home.jobs);
  const id = newFolder(home, stem);
  const folder = jobFolder(home, id);
  try {
    const now = new Date().toISOString();
    const common = { id, owner, scope, host, attended, replyTo, turn } as const;
    const fresh = {
      state: 'queued',
      createdAt: now,
      updatedAt: now,
      progress: null,
      warnings: [],
      error: null,
    } as const;
    const job = fill(folder, { ...common, ...fresh, warnings: [] });
    const lock = takeLock(lockPath(home, id));
    if ('heldBy' in lock) throw new Error(`The new job ${id} is held by process ${lock.heldBy.pid}.`);
    return heldBy(home, write(home, job), lock);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/**
 * The job as it stands. One that is recorded as queued or running while no process works on it waits for a host; an
 * attended one was broken off (a crash, a power cut) and is `stopped`. Throws UnknownJobError, BrokenFileError.
 */
export function readJob(home: Home, id: string): JobRecord {
  return asItStands(home, parseRecord(home, id));
}

/** Oldest first; a job whose record is damaged is left out. */
export const listJobs = (home: Home): JobRecord[] => createJobIndex(home).list();

/** All jobs of a home, for whoever looks often: a record is read again only when it was written again. */
export interface JobIndex {
  /** Oldest first; a job whose record is damaged is left out. */
  list(): JobRecord[];
  /** One of them; undefined where there is none. */
  get(id: string): JobRecord | undefined;
}

/** Its id may be another job's meanwhile: after so many ms the record of an ended job is looked at again. */
const glanceLife = 10_000;

export function createJobIndex(home: Home): JobIndex {
  interface Known {
    readonly written: string;
    readonly job: JobRecord | null;
    /** When the file was looked at. */
    readonly at: number;
  }
  let known = new Map<string, Known>();
  const look = (id: string): Known | undefined => {
    const file = statSync(join(home.jobs, id, recordFile), { throwIfNoEntry: false });
    if (file === undefined) return undefined;
    // Each record is a new file, renamed into its place.
    const written = `${file.ino} ${file.mtimeMs} ${file.size}`;
    const before = known.get(id);
    return { written, job: before?.written === written ? before.job : parsed(home, id), at: Date.now() };
  };
  /** Of thousands of jobs most have ended for good; only that one is there is looked at each time. */
  const glance = (id: string): Known | undefined => {
    const before = known.get(id);
    const isOver = before?.job?.state === 'done' || before?.job?.state === 'cancelled';
    return isOver && Date.now() - before.at < glanceLife ? before : look(id);
  };
  return {
    get(id) {
      const found = isId(id) ? look(id) : undefined;
      if (found === undefined) return undefined;
      known.set(id, found);
      return found.job === null ? undefined : asItStands(home, found.job);
    },
    list() {
      const seen = new Map<string, Known>();
      for (const id of foldersOf(home)) {
        const found = glance(id);
        if (found !== undefined) seen.set(id, found);
      }
      known = seen;
      const jobs = [...seen.values()].flatMap(({ job }) => (job === null ? [] : [asItStands(home, job)]));
      return jobs.sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0));
    },
  };
}

function parsed(home: Home, id: string): JobRecord | null {
  try {
    return parseRecord(home, id);
  } catch (error) {
    if (error instanceof BrokenFileError || error instanceof UnknownJobError) return null;
    throw error;
  }
}

function parseRecord(home: Home, id: string): JobRecord {
  const path = join(jobFolder(home, id), recordFile);
  if (!isId(id) || !existsSync(path)) throw new UnknownJobError(id, nearestFirst(id, jobIds(home)));
  const record = jobRecord.safeParse(readJsonFile(path, `it describes the job ${id}`));
  if (record.success) return record.data;
  throw new BrokenFileError(
    path,
    `${path} is not a job's record (${z.prettifyError(record.error)}): remove ${jobFolder(home, id)}.`,
  );
}

function asItStands(home: Home, job: JobRecord): JobRecord {
  if (!isOpen(job)) return job;
  const lock = lockPath(home, job.id);
  // Most are held by nobody, which is told without reading.
  if (statSync(lock, { throwIfNoEntry: false }) !== undefined && liveHolder(lock) !== undefined) return job;
  return { ...job, state: job.attended ? 'stopped' : 'queued' };
}

/** A job held by this process, which alone may change it. */
export interface HeldJob<Job extends JobRecord = JobRecord> {
  readonly folder: string;
  record(): Job;
  /** Throws JobStateError when another process has taken the job over; what that wrote stays. */
  update(change: Partial<Omit<Job, 'id' | 'kind'>>): Job;
  /** Whether someone, here or in another process, asked for the job to be cancelled. */
  cancelRequested(): boolean;
  /** Whether no other process has taken it over, as from one that slept. */
  isHeld(): boolean;
  beat(): void;
  release(): void;
}

/** Whether a held job is of that kind. */
export function isKind<Kind extends JobRecord['kind']>(
  held: HeldJob,
  kind: Kind,
): held is HeldJob & HeldJob<Extract<JobRecord, { kind: Kind }>> {
  return held.record().kind === kind;
}

/** Takes a job that is to run. Throws JobStateError when a process is working on it, or it is done or cancelled. */
export function holdJob(home: Home, id: string): HeldJob {
  const lock = takeJobLock(home, id);
  try {
    const record = readJob(home, id);
    if (record.state === 'done' || record.state === 'cancelled') {
      const mend = record.state === 'done' ? whatItMade(record) : 'its checkpoint is gone; start a new one';
      throw new JobStateError(id, record.state, `The job ${id} is ${record.state}: ${mend}.`);
    }
    // Left by someone who asked an earlier run to stop; this one is wanted.
    rmSync(cancelPath(home, id), { force: true });
    // What it comes to now is still to be told.
    rmSync(answeredPath(home, id), { force: true });
    return heldBy(home, record, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

function heldBy<Job extends JobRecord>(home: Home, job: Job, lock: FileLock): HeldJob<Job> {
  let record = job;
  const { id } = job;
  return {
    folder: jobFolder(home, id),
    record: () => record,
    update(change) {
      if (!lock.isHeld()) throw takenOver(home, id);
      record = write(home, { ...record, ...change, updatedAt: new Date().toISOString() });
      return record;
    },
    cancelRequested: () => existsSync(cancelPath(home, id)),
    isHeld: lock.isHeld,
    beat: lock.beat,
    release: lock.release,
  };
}

/** What is said to who held a job and slept until another took it. */
export function takenOver(home: Home, id: string): Error {
  const { state } = readJob(home, id);
  return new JobStateError(
    id,
    state,
    `The job ${id} was taken over by another process while this one gave no sign of life for minutes, and is ${state} there: look at it with \`jobs show ${id}\`.`,
  );
}

/** With everything that it made and kept. */
export const removeJob = (home: Home, id: string): void =>
  rmSync(jobFolder(home, id), { recursive: true, force: true });

const answeredPath = (home: Home, id: string) => join(jobFolder(home, id), 'answered');

/** Finished jobs whose asker has still to be told, as far as `markAnswered` knows. */
export const unansweredJobs = (home: Home, jobs: JobIndex, host: string): JobRecord[] =>
  jobs
    .list()
    .filter((job) => job.host === host && job.replyTo !== null && !existsSync(answeredPath(home, job.id)));

/** Whoever asked for the job knows how it ended. */
export const markAnswered = (home: Home, id: string): void => writeFileSync(answeredPath(home, id), '');

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
        job.kind === 'personalize'
          ? `The job ${id} is done: remove what it learned with \`subjects delete ${job.name}\`.`
          : `The job ${id} is done: ${whatItMade(job)}.`,
      );
    }
    if (isOpen(job) && liveHolder(lockPath(home, id)) !== undefined) {
      writeFileSync(cancelPath(home, id), '');
    } else {
      const held = holdUnlessHeld(home, id);
      if (held !== undefined) {
        try {
          const cancelled = held.update({ state: 'cancelled', error: null });
          clearJobFiles(home, id);
          return cancelled;
        } finally {
          held.release();
        }
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

/** Nothing where another process took it a moment ago. */
function holdUnlessHeld(home: Home, id: string): HeldJob | undefined {
  try {
    return holdJob(home, id);
  } catch (error) {
    if (error instanceof JobStateError && error.state === 'running') return undefined;
    throw error;
  }
}

const whatItMade = (job: JobRecord) =>
  job.kind === 'personalize' ? `the subject is @${job.name}` : `its pictures are made`;

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

function write<Job extends JobRecord>(home: Home, job: Job): Job {
  const text = `${JSON.stringify(job, null, 2)}\n`;
  writeFileAtomically(join(jobFolder(home, job.id), recordFile), [Buffer.from(text)]);
  return job;
}

function newFolder(home: Home, name: string): string {
  for (let attempt = 0; ; attempt++) {
    // Where most of the short ones are given, a longer one.
    const id = `${name}-${randomBytes(attempt < 16 ? 2 : 6).toString('hex')}`;
    try {
      mkdirSync(join(home.jobs, id));
      return id;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw writeFailure(home.jobs, error);
    }
  }
}

const isId = (id: string) => /^[a-z0-9][a-z0-9_-]*$/.test(id);

const foldersOf = (home: Home): string[] =>
  existsSync(home.jobs) ? readdirSync(home.jobs).filter(isId) : [];

const jobIds = (home: Home): string[] =>
  foldersOf(home).filter((id) => existsSync(join(home.jobs, id, recordFile)));
