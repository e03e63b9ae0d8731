/** What a host adapter stands on: operations for callers with rights, and the jobs of a home run in their turn. */
import { join, resolve } from 'node:path';
import { HostClosedError, InvalidOptionError, UnknownSubjectError } from '../errors';
import { embeddedBase } from '../jobs/base-path';
import { createEngineWorker } from '../jobs/engine-worker';
import { type Log, wordsOf } from '../jobs/host-log';
import { createLine, type JobQueue } from '../jobs/job-queue';
import { isOpen, type JobRecord } from '../jobs/job-record';
import { createJobIndex, markAnswered, unansweredJobs } from '../jobs/jobs';
import { pruneJobs } from '../jobs/prune-jobs';
import { runWaitingJob } from '../jobs/waiting-job';
import type { Device } from '../runtime/session';
import { type Home, makeFolder, openHome } from '../subjects/home';
import { likelyMeant } from '../subjects/subject-name';
import type { ProgressEvent } from '../work/progress';
import { checkInput } from './check-input';
import { createFileRights } from './file-rights';
import { operations as all } from './index';
import { type JobView, type Places, placesOf, viewInLine, viewJob } from './job-view';
import { type Limits, noLimits } from './limits';
import { hostKinds, nameAt, type Operation } from './operation';
import { type Caller, findJob } from './rights';

export interface HostOptions {
  /** Holds subjects, jobs and caches; default `$DREAMBOOTH_HOME`, then the platform's folder for data. */
  readonly home?: string | undefined;
  /** For requests that name no base model; default `toybox`. */
  readonly base?: string | undefined;
  readonly vae?: string | undefined;
  /** Default `cpu`. */
  readonly device?: Device | undefined;
  readonly threads?: number | undefined;
  readonly memoryCheck?: boolean | undefined;
  /** Folders of this machine that callers may name files in; null: everywhere; default: none. */
  readonly allowFolders?: readonly string[] | null | undefined;
  /** Of everybody but operators; default: none. */
  readonly limits?: Partial<Limits> | undefined;
  /** Whether this host runs jobs, in turn with the home's other hosts; default true. Else they wait for one that does. */
  readonly runsJobs?: boolean | undefined;
  /** How jobs reach who runs them; default: the line in the home, for all hosts of one machine. */
  readonly queue?: ((home: Home, log: Log) => JobQueue) | undefined;
  /** Days after which finished jobs and their pictures are removed; null: never, the default. */
  readonly keepDays?: number | null | undefined;
  /** Default: all. */
  readonly operations?: Readonly<Record<string, Operation>> | undefined;
  /** As of `EngineOptions`. */
  readonly mode?: 'process' | 'in-process' | undefined;
  readonly workerModule?: string | undefined;
  readonly stopPatience?: number | undefined;
  /** Of the jobs that this host runs. */
  readonly onProgress?: ((job: string, event: ProgressEvent) => void) | undefined;
  /** A job that this host ran has ended, or waits for another. */
  readonly onJobEnd?: ((job: JobView) => void) | undefined;
  /** Told what keeps the host from its work and does not end it, as a full disk; default: standard error. */
  readonly log?: Log | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told when the call begins to wait for a job; the signal is aborted when it no longer does. */
  readonly onWait?: ((job: string, waits: AbortSignal) => void) | undefined;
  /** Kept with the job that the call makes, so that the host can answer when it ends, also after a restart. */
  readonly replyTo?: Readonly<Record<string, string>> | undefined;
}

export interface Answer {
  readonly result: Readonly<Record<string, unknown>>;
  /** The result in words. */
  readonly text: string;
}

export interface Host {
  readonly home: Home;
  /** A folder for what callers send, whose files every operation may read; remove them when the call has returned. */
  readonly inbox: string;
  /** What this host offers, by name. */
  readonly operations: Readonly<Record<string, Operation>>;
  /**
   * Does an operation for a caller. Rejects with InvalidOptionError for wrong arguments, and what the operation throws:
   * a DreamBoothError, whose message is for the caller to read; with HostClosedError after `close`.
   */
  call(operation: string, input: unknown, caller: Caller, options?: CallOptions): Promise<Answer>;
  /** A job as it stands, again whenever that changes, until it has ended. Throws UnknownJobError. */
  watch(job: string, caller: Caller, signal?: AbortSignal): AsyncGenerator<JobView>;
  /** Jobs that were made with `replyTo` through the host of that name and not `answered`: open ones, and ended ones. */
  unanswered(host: string): readonly JobRecord[];
  /** Whoever asked for the job knows how it ended. */
  answered(job: string): void;
  /** The engine's running job is stopped at its next step and waits for another host; rejects nothing. */
  close(): Promise<void>;
  /** Ends the engine's process at once; its job waits for another host and goes on from its checkpoint. */
  kill(): void;
}

const watchInterval = 250;
const pruneInterval = 3600e3;

/** Throws UnwritablePathError for a home that cannot be written to, MissingFileError for a folder that is not there. */
export function createHost(options: HostOptions = {}): Host {
  const home = openHome(options.home);
  const jobs = createJobIndex(home);
  const log = options.log ?? ((line: string) => void process.stderr.write(`${line}\n`));
  /** What fails is told, and nothing ends for it. */
  const attempt = (what: string, act: () => void) => {
    try {
      act();
    } catch (error) {
      log(`${what}: ${wordsOf(error)}`);
    }
  };
  const queue = options.queue?.(home, log) ?? createLine(home, log, jobs);
  const inbox = makeFolder(join(home.folder, 'inbox'));
  const files = createFileRights(
    options.allowFolders === null ? null : [inbox, ...(options.allowFolders ?? [])],
  );
  const table: Readonly<Record<string, Operation>> = options.operations ?? all;
  const limits = { ...noLimits, ...options.limits };
  const defaults = { base: options.base ?? embeddedBase, vae: options.vae };
  const worker = createEngineWorker({
    mode: options.mode ?? 'process',
    workerModule: options.workerModule === undefined ? undefined : resolve(options.workerModule),
    stopPatience: options.stopPatience ?? 60_000,
  });
  const settings = {
    device: options.device ?? 'cpu',
    threads: options.threads ?? null,
    memoryCheck: options.memoryCheck ?? true,
  } as const;
  const runner = {
    home,
    worker,
    defaults,
    settings,
    onProgress: (job: string, event: ProgressEvent) =>
      attempt(`onProgress of ${job}`, () => options.onProgress?.(job, event)),
  };
  if (options.runsJobs !== false) {
    queue.serve(async (id, signal) => {
      const how = await runWaitingJob(runner, id, signal);
      if (how instanceof Error) return how;
      attempt(`onJobEnd of ${id}`, () => {
        const job = options.onJobEnd && jobs.get(id);
        if (job) options.onJobEnd?.(viewJob(home, jobs, job));
      });
      return how;
    });
  }
  let places: { readonly of: Places; readonly at: number } | undefined;
  /** One look for all jobs that are watched; another for one that came since. */
  const recentPlaces = (job: string): Places => {
    if (!places?.of.has(job) || Date.now() - places.at >= watchInterval)
      places = { of: placesOf(jobs), at: Date.now() };
    return places.of;
  };
  const { keepDays } = options;
  const prune = () => {
    if (keepDays != null) attempt('Old jobs are not removed', () => pruneJobs(home, keepDays, log));
  };
  prune();
  const pruning = setInterval(prune, pruneInterval);
  pruning.unref();
  let closed = false;

  return {
    home,
    inbox,
    operations: table,
    async call(name, given, caller, options = {}) {
      const { signal = new AbortController().signal, replyTo = null, onWait = () => {} } = options;
      const operation = table[name];
      if (closed) throw new HostClosedError();
      if (operation === undefined) throw unknownOperation(name, Object.keys(table));
      const input = checkInput(operation, given);
      const context = { home, jobs, queue, defaults, caller, files, signal, replyTo, onWait };
      const made = await operation.run({ ...context, limits }, input).catch((error: unknown) => {
        throw inWordsOf(caller, table, error);
      });
      const result = operation.result.parse(made);
      return { result, text: operation.say(result) };
    },
    async *watch(id, caller, signal) {
      let before = '';
      for (;;) {
        const job = findJob(jobs, caller, id);
        const view = viewInLine(home, job, recentPlaces);
        const now = JSON.stringify(view);
        if (now !== before) yield view;
        before = now;
        if (!isOpen(job) || signal?.aborted) return;
        await new Promise((done) => setTimeout(done, watchInterval));
      }
    },
    unanswered: (host) => unansweredJobs(home, jobs, host),
    answered: (id) => markAnswered(home, id),
    async close() {
      closed = true;
      clearInterval(pruning);
      await queue.close();
      worker.kill();
      await worker.close();
    },
    kill: worker.kill,
  };
}

function unknownOperation(name: string, known: readonly string[]): InvalidOptionError {
  const meant = likelyMeant(name, known);
  const mend = meant === undefined ? `there are ${known.join(', ')}.` : `did you mean ${meant}?`;
  return new InvalidOptionError('operation', `There is no operation ${name}; ${mend}`);
}

/** Whoever has no subjects yet is told how one is learned where they ask. */
function inWordsOf({ host }: Caller, table: Readonly<Record<string, Operation>>, error: unknown): unknown {
  const kind = hostKinds.find((one) => one === host);
  const learn = table['personalize'];
  if (!(error instanceof UnknownSubjectError) || error.existing.length > 0) return error;
  const name = kind && learn && nameAt(learn, kind);
  if (!name) return error;
  const said = { cli: `dreambooth ${name}`, mcp: name, discord: `/dreambooth ${name}` }[kind];
  return new UnknownSubjectError(error.subject, [], said);
}
