/** How waiting jobs reach whoever runs them. What a job is stays in its folder; a queue only says whose turn it is. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Home } from '../subjects/home';
import { createBackoff } from './backoff';
import { type EngineLease, tryLease } from './engine-lease';
import { type Log, leftAlone, wordsOf } from './host-log';
import { createJobIndex, type JobIndex } from './jobs';
import { waitingLine } from './turns';

/**
 * Runs one waiting job; never rejects. `waits`: it was stopped by `signal`, or another process has it. An error: it could
 * not be run, nor could that be written down, as on a full disk; it waits, and is tried again later.
 */
export type RunJob = (id: string, signal: AbortSignal) => Promise<'ended' | 'waits' | Error>;

export interface JobQueue {
  /** A job was made, or waits again. */
  add(id: string): Promise<void>;
  /** Takes a job out that is cancelled. */
  remove(id: string): Promise<void>;
  /** Runs jobs, one after another, until it is closed; at most once a queue. */
  serve(run: RunJob): void;
  /** Stops the running job, which then waits for another host, and waits for that. */
  close(): Promise<void>;
}

/** Not the id of a job. */
const theLine = '';

/** How often a host looks for jobs that another process put in line, in ms. */
const lookInterval = 250;

/**
 * The line of the jobs in a home, for all hosts on one machine. The host that has the engine's lease runs them;
 * the others look now and then whether it still lives.
 */
export function createLine(home: Home, log: Log, jobs: JobIndex = createJobIndex(home)): JobQueue {
  const closing = new AbortController();
  let wake = () => {};
  let served: Promise<void> | undefined;

  const rest = (ms = lookInterval) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (closing.signal.aborted) wake();
    });

  const backoff = createBackoff();
  let lease: EngineLease | undefined;

  /** Runs the next job, or rests. */
  const turn = async (run: RunJob): Promise<void> => {
    if (lease?.isWanted()) {
      lease.release();
      lease = undefined;
    }
    // Another may have taken it from a process that slept.
    if (!lease?.isHeld()) {
      const taken = tryLease(home);
      lease = 'heldBy' in taken ? undefined : taken;
    }
    // What cannot be run for now keeps nobody else waiting.
    const next = lease && waitingLine(jobs.list()).find(({ id }) => backoff.isDue(id));
    if (lease === undefined || next === undefined) {
      await rest();
      lease?.beat();
      return;
    }
    const timer = setInterval(lease.beat, 1000);
    try {
      const ended = await run(next.id, closing.signal);
      if (ended instanceof Error) log(leftAlone(next.id, ended, backoff.failed(next.id)));
      else backoff.worked(next.id);
      // Held by a process that is just making it: the next look would come too soon.
      if (ended === 'waits') await sleep(20);
    } finally {
      clearInterval(timer);
    }
  };

  const serve = async (run: RunJob): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await turn(run);
        backoff.worked(theLine);
      } catch (error) {
        // The home's folder is full, or away for a while: whatever it is, the host outlives it.
        const wait = backoff.failed(theLine);
        log(`The jobs in ${home.jobs} cannot be looked at (${wordsOf(error)}); again in ${wait / 1000} s.`);
        const until = Date.now() + wait;
        while (Date.now() < until && !closing.signal.aborted) await rest(until - Date.now());
      }
    }
    try {
      lease?.release();
    } catch {
      // It lapses with this process.
    }
  };

  return {
    async add() {
      wake();
    },
    async remove() {},
    serve(run) {
      served ??= serve(run);
    },
    async close() {
      closing.abort();
      wake();
      await served;
    },
  };
}
