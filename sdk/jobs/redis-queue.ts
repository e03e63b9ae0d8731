/**
 * The line for workers on several machines: BullMQ on Redis says whose turn it is; what a job is stays in the home, which
 * all of them share as a folder. What Redis loses is put in line again from there.
 */
import type { Job, Queue, Worker } from 'bullmq';
import { MissingPackageError, QueueUnreachableError } from '../errors';
import type { Home } from '../subjects/home';
import { homeIdentity } from '../subjects/home-identity';
import { createBackoff } from './backoff';
import { waitForLease } from './engine-lease';
import { type Log, leftAlone } from './host-log';
import type { JobQueue, RunJob } from './job-queue';
import { createJobIndex, readJob } from './jobs';
import { waitingLine } from './turns';

export interface RedisQueueOptions {
  /** After so many ms without a sign of life a worker counts as dead and its job goes to another; default 30,000. */
  readonly lockDuration?: number;
  /** What the names of lines in Redis begin with; default `dreambooth`. */
  readonly name?: string;
}

/** How long a call waits for Redis before it goes on without it, in ms. */
const patience = 3_000;
/** How often what waits in the home is looked for in Redis, in ms. */
const reconcileInterval = 15_000;
/** Before a job is tried again that another process has, or whose worker left, in ms. */
const retryDelay = 1_000;
const largestPriority = 2 ** 21;

/** The name of a home's line in Redis. A home has its own: workers of another do not have its jobs, and would lose them. */
export const lineName = (home: Home, name = 'dreambooth'): string => `${name}-${homeIdentity(home)}`;

/**
 * Connects to Redis (`redis://` or `rediss://`). Rejects with QueueUnreachableError when it does not answer, and with
 * MissingPackageError where `bullmq` or `ioredis` is not installed.
 */
export async function openRedisQueue(
  url: string,
  { lockDuration = 30_000, name }: RedisQueueOptions = {},
): Promise<(home: Home, log?: Log) => JobQueue> {
  const [bullmq, { Redis }] = [await load(() => import('bullmq')), await load(() => import('ioredis'))];
  // Said without the cause, which repeats the address.
  if (!URL.canParse(url))
    throw new QueueUnreachableError(
      `No Redis answers at ${withoutPassword(url)} (it is no address; write / and @ of a password as %2F and %40): mend the address.`,
    );
  const connect = () => {
    const connection = new Redis(url, { maxRetriesPerRequest: null, lazyConnect: true });
    // Said by what fails for it; without a listener it would end the program.
    connection.on('error', () => {});
    return connection;
  };
  const trial = connect();
  try {
    await within(patience, trial.ping());
  } catch (cause) {
    throw new QueueUnreachableError(
      `No Redis answers at ${withoutPassword(url)} (${(cause as Error).message}): start it, as with redis-server, or mend the address.`,
      { cause },
    );
  } finally {
    trial.disconnect();
  }
  return (home, log = () => {}) => {
    const connection = connect();
    const blocking = connect();
    const jobs = createJobIndex(home);
    const line = lineName(home, name);
    const queue: Queue<{ id: string }> = new bullmq.Queue(line, { connection });
    queue.on('error', () => {});
    let worker: Worker<{ id: string }> | undefined;
    const closing = new AbortController();

    const put = async (id: string) => {
      const { turn, kind } = readJob(home, id);
      const priority = Math.min(largestPriority, 1 + 2 * turn + (kind === 'generate' ? 0 : 1));
      await queue.add(kind, { id }, { jobId: id, priority, removeOnComplete: true, removeOnFail: true });
    };
    /** One that is in line already is not put there again. */
    const reconcile = async () => {
      for (const { id } of waitingLine(jobs.list())) {
        if (closing.signal.aborted) return;
        await within(patience, put(id));
      }
    };
    const inBackground = () => void reconcile().catch(() => {});
    connection.on('ready', inBackground);
    const timer = setInterval(inBackground, reconcileInterval);
    timer.unref();
    inBackground();

    const backoff = createBackoff();
    const inLease = async (id: string, run: RunJob) => {
      const lease = await waitForLease(home, closing.signal, () => {});
      const beating = setInterval(lease.beat, 1_000);
      try {
        return await run(id, closing.signal);
      } finally {
        clearInterval(beating);
        lease.release();
      }
    };
    const work = async (job: Job<{ id: string }>, token: string | undefined, run: RunJob) => {
      const { id } = job.data;
      const ended = await inLease(id, run).catch((error: unknown) =>
        error instanceof Error ? error : new Error(String(error)),
      );
      if (ended instanceof Error && !closing.signal.aborted) {
        const wait = backoff.failed(id);
        log(leftAlone(id, ended, wait));
        await job.moveToDelayed(Date.now() + wait, token);
        throw new bullmq.DelayedError();
      }
      backoff.worked(id);
      if (ended === 'ended') return;
      await job.moveToDelayed(Date.now() + retryDelay, token);
      throw new bullmq.DelayedError();
    };

    return {
      // Where Redis is away the job waits in the home until it is back.
      add: (id) => within(patience, put(id)).catch(() => {}),
      remove: (id) =>
        within(patience, queue.remove(id)).then(
          () => {},
          () => {},
        ),
      serve(run) {
        worker ??= new bullmq.Worker(line, (job, token) => work(job, token, run), {
          connection: blocking,
          concurrency: 1,
          lockDuration,
          stalledInterval: lockDuration,
          // However often workers die over it: its checkpoint goes further each time.
          maxStalledCount: 1_000_000,
        });
        worker.on('error', () => {});
      },
      async close() {
        closing.abort();
        clearInterval(timer);
        // Redis may be gone: what waits is in the home.
        await within(patience, worker?.close() ?? Promise.resolve()).catch(() => {});
        await within(patience, queue.close()).catch(() => {});
        worker = undefined;
        // BullMQ leaves connections that it was given open.
        for (const one of [connection, blocking]) one.disconnect();
      },
    };
  };
}

async function load<Package>(loading: () => Promise<Package>): Promise<Package> {
  try {
    return await loading();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new MissingPackageError('bullmq ioredis', 'A queue on Redis', { cause });
  }
}

async function within<Result>(ms: number, work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing was heard for ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

const withoutPassword = (url: string) => url.replace(/\/\/.*@/, '//');
