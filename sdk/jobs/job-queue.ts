/** How waiting jobs reach whoever runs them. What a job is stays in its folder; a queue only says whose turn it is. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Home } from '../subjects/home';
import { type EngineLease, tryLease } from './engine-lease';
import { createJobIndex, type JobIndex } from './jobs';
import { waitingLine } from './turns';

/** Runs one waiting job; never rejects. `waits`: it was stopped by `signal`, or another process has it. */
export type RunJob = (id: string, signal: AbortSignal) => Promise<'ended' | 'waits'>;

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

/** How often a host looks for jobs that another process put in line, in ms. */
const lookInterval = 250;

/**
 * The line of the jobs in a home, for all hosts on one machine. The host that has the engine's lease runs them;
 * the others look now and then whether it still lives.
 */
export function createLine(home: Home, jobs: JobIndex = createJobIndex(home)): JobQueue {
  const closing = new AbortController();
  let wake = () => {};
  let served: Promise<void> | undefined;

  const rest = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, lookInterval);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (closing.signal.aborted) wake();
    });

  const serve = async (run: RunJob): Promise<void> => {
    let lease: EngineLease | undefined;
    while (!closing.signal.aborted) {
      if (lease?.isWanted()) {
        lease.release();
        lease = undefined;
      }
      if (lease === undefined) {
        const taken = tryLease(home);
        if (!('heldBy' in taken)) lease = taken;
      }
      const next = lease && waitingLine(jobs.list())[0];
      if (lease === undefined || next === undefined) {
        await rest();
        lease?.beat();
        continue;
      }
      const timer = setInterval(lease.beat, 1000);
      const ended = await run(next.id, closing.signal);
      clearInterval(timer);
      // Held by a process that is just making it: the next look would come too soon.
      if (ended === 'waits') await sleep(20);
    }
    lease?.release();
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
