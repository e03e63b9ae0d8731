/**
 * One engine at a time on a machine and home. A host keeps the lease while it lives, and with it the models that it
 * has loaded; between two jobs it lets go for whoever waits. The lease of a dead process is taken over.
 */
import { readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { liveHolder, takeLock } from '../checkpoint/file-lock';
import type { WorkerProcess } from '../runtime/worker-process';
import { type Home, makeFolder } from '../subjects/home';
import type { ProgressEvent } from '../work/progress';

export interface EngineLease {
  /** Shows that the holder lives; call it every few seconds. */
  beat(): void;
  /** Whether no other process has taken it over, as from one that slept. */
  isHeld(): boolean;
  /** Whether another process waits for the engine. */
  isWanted(): boolean;
  release(): void;
}

/** How often a waiting process looks, in ms. */
const lookInterval = 100;
/** How often the holder shows that it lives. */
const beatInterval = 1_000;
let tickets = 0;

/** The lease, or who has it: a process, or one that waited before. Never waits. */
export function tryLease(home: Home): EngineLease | { readonly heldBy: number } {
  const folder = leaseFolder(home);
  const [first] = waitingProcesses(folder);
  if (first !== undefined) return { heldBy: first.pid };
  return take(folder);
}

/** Waits for the lease, after those who wait already; `onWait` is told once, and only when there is a wait. Rejects with the signal's reason. */
export async function waitForLease(
  home: Home,
  signal: AbortSignal | undefined,
  onWait: (pid: number) => void,
): Promise<EngineLease> {
  const folder = leaseFolder(home);
  const name = `${Date.now().toString().padStart(15, '0')}-${process.pid}-${tickets++}.waiting`;
  const ticket = takeLock(join(folder, name));
  if ('heldBy' in ticket) throw new Error(`The ticket ${name} is taken.`);
  try {
    let told = false;
    for (;;) {
      signal?.throwIfAborted();
      const [first] = waitingProcesses(folder);
      const lease = first === undefined || first.name === name ? take(folder) : { heldBy: first.pid };
      if (!('heldBy' in lease)) return lease;
      if (!told) onWait(lease.heldBy);
      told = true;
      ticket.beat();
      await sleep(lookInterval);
    }
  } finally {
    ticket.release();
  }
}

/** A worker whose calls have the lease while they run; one that waits for it is told as `engine-awaited`. */
export function inTurn(home: Home, worker: WorkerProcess): WorkerProcess {
  let queue: Promise<unknown> = Promise.resolve();
  return {
    ...worker,
    call(method, argument, options = {}) {
      const answer = queue.then(async () => {
        const tell = (pid: number) =>
          options.onEvent?.({ kind: 'engine-awaited', pid } satisfies ProgressEvent);
        const lease = await waitForLease(home, options.signal, tell);
        const timer = setInterval(lease.beat, beatInterval);
        timer.unref();
        try {
          return await worker.call(method, argument, options);
        } finally {
          clearInterval(timer);
          lease.release();
        }
      });
      queue = answer.catch(() => {});
      return answer;
    },
    close: async () => {
      await queue;
      await worker.close();
    },
  };
}

function take(folder: string): EngineLease | { readonly heldBy: number } {
  // Homes may be shared by machines: each has an engine of its own.
  const lock = takeLock(join(folder, `${hostname()}.lock`));
  if ('heldBy' in lock) return { heldBy: lock.heldBy.pid };
  return { ...lock, isWanted: () => waitingProcesses(folder).length > 0 };
}

const leaseFolder = (home: Home) => makeFolder(join(home.jobs, '.engine'));

/** Of this machine, who came first first. */
function waitingProcesses(folder: string): { readonly name: string; readonly pid: number }[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.waiting'));
  return names.sort().flatMap((name) => {
    const holder = liveHolder(join(folder, name));
    if (holder === undefined) rmSync(join(folder, name), { force: true });
    return holder?.host === hostname() ? [{ name, pid: holder.pid }] : [];
  });
}
