/** What a host adapter stands on: operations for callers with rights, and the jobs of a home run in their turn. */
import { join, resolve } from 'node:path';
import { DreamBoothError } from '../errors';
import { embeddedBase } from '../jobs/base-path';
import { createEngineWorker } from '../jobs/engine-worker';
import { createLine, type JobQueue } from '../jobs/job-queue';
import { isOpen, type JobRecord } from '../jobs/job-record';
import { createJobIndex, markAnswered, unansweredJobs } from '../jobs/jobs';
import { pruneJobs } from '../jobs/prune-jobs';
import { runWaitingJob } from '../jobs/waiting-job';
import type { Device } from '../runtime/session';
import { type Home, makeFolder, openHome } from '../subjects/home';
import type { ProgressEvent } from '../work/progress';
import { checkInput } from './check-input';
import { createFileRights } from './file-rights';
import { operations as all } from './index';
import { type JobView, viewJob } from './job-view';
import { type Limits, noLimits } from './limits';
import type { Operation } from './operation';
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
  readonly queue?: ((home: Home) => JobQueue) | undefined;
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
   * a DreamBoothError, whose message is for the caller to read.
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
  const queue = options.queue?.(home) ?? createLine(home, jobs);
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
    ...(options.onProgress && { onProgress: options.onProgress }),
  };
  if (options.runsJobs !== false) {
    queue.serve(async (id, signal) => {
      const how = await runWaitingJob(runner, id, signal);
      const job = options.onJobEnd && jobs.get(id);
      if (job) options.onJobEnd?.(viewJob(home, jobs, job));
      return how;
    });
  }
  const prune = () => void (options.keepDays != null && pruneJobs(home, options.keepDays));
  prune();
  const pruning = setInterval(prune, pruneInterval);
  pruning.unref();

  return {
    home,
    inbox,
    operations: table,
    async call(name, given, caller, options = {}) {
      const { signal = new AbortController().signal, replyTo = null, onWait = () => {} } = options;
      const operation = table[name];
      if (operation === undefined) throw new DreamBoothError('unexpected', `There is no operation ${name}.`);
      const input = checkInput(operation, given);
      const context = { home, jobs, queue, defaults, caller, files, signal, replyTo, onWait };
      const result = operation.result.parse(await operation.run({ ...context, limits }, input));
      return { result, text: operation.say(result) };
    },
    async *watch(id, caller, signal) {
      let before = '';
      for (;;) {
        const job = findJob(jobs, caller, id);
        const view = viewJob(home, jobs, job);
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
      clearInterval(pruning);
      await queue.close();
      worker.kill();
      await worker.close();
    },
    kill: worker.kill,
  };
}
