import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { writeFailure } from './write-failure';

/** A file held by this process until it is released or the process ends. */
export interface FileLock {
  /** Shows that the holder lives, to those who cannot see its process. Call it every few seconds. */
  beat(): void;
  /** Whether it is still this one: another may have taken it from a holder that slept, as a closed laptop does. */
  isHeld(): boolean;
  release(): void;
}

/** Without a sign of life for so long, a holder that cannot be looked up counts as dead. */
const silence = 120_000;
/** Taking a lock over takes milliseconds; one that has taken longer was broken off. */
const longestTakeover = 10_000;

/**
 * Takes the lock at `path` (whose folder exists), or returns who holds it. The lock of a dead process is taken over.
 * Throws DiskFullError.
 */
export function takeLock(path: string): FileLock | { readonly heldBy: LockHolder } {
  const text = describeSelf();
  if (!create(path, text)) {
    const takeover = `${path}.takeover`;
    const holder = liveHolder(path);
    if (holder !== undefined) return { heldBy: holder };
    // Of several that find a dead lock, one removes it, or the second would remove the first's new one.
    if (age(takeover) > longestTakeover) rmSync(takeover, { force: true });
    if (!create(takeover, '')) return { heldBy: liveHolder(path) ?? unknownHolder };
    try {
      const again = liveHolder(path);
      if (again !== undefined) return { heldBy: again };
      rmSync(path, { force: true });
      if (!create(path, text)) return { heldBy: liveHolder(path) ?? unknownHolder };
    } finally {
      rmSync(takeover, { force: true });
    }
  }
  const isHeld = () => {
    try {
      return readFileSync(path, 'utf8') === text;
    } catch (error) {
      // A network folder may be away for a moment.
      return (error as NodeJS.ErrnoException).code !== 'ENOENT';
    }
  };
  return {
    isHeld,
    beat() {
      if (!isHeld()) return;
      const now = new Date();
      try {
        utimesSync(path, now, now);
      } catch {
        // The home was removed under us; the next write will say so.
      }
    },
    release() {
      if (isHeld()) rmSync(path, { force: true });
    },
  };
}

export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** Tells this process from a later one of the same number, where the system shows it. */
  readonly started: string | null;
}

const unknownHolder: LockHolder = { pid: 0, host: '', started: null };

/** Who holds the lock at `path` and lives; undefined when it is free or its holder is dead. */
export function liveHolder(path: string): LockHolder | undefined {
  const holder = readHolder(path);
  if (holder === undefined) return undefined;
  const recent = age(path) < silence;
  // Being written at this moment.
  if (holder === unknownHolder) return recent ? holder : undefined;
  if (holder.host !== hostname()) return recent ? holder : undefined;
  if (!isRunning(holder.pid)) return undefined;
  const started = processStart(holder.pid);
  const same = started === null || holder.started === null ? recent : started === holder.started;
  return same ? holder : undefined;
}

function readHolder(path: string): LockHolder | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  try {
    return JSON.parse(text) as LockHolder;
  } catch {
    return unknownHolder;
  }
}

function create(path: string, text: string): boolean {
  let file: number;
  try {
    file = openSync(path, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw writeFailure(path, error);
  }
  try {
    writeSync(file, text);
    return true;
  } catch (error) {
    // A lock that says nothing of its holder would keep everybody out for a while.
    rmSync(path, { force: true });
    throw writeFailure(path, error);
  } finally {
    closeSync(file);
  }
}

function describeSelf(): string {
  const holder: LockHolder = { pid: process.pid, host: hostname(), started: processStart(process.pid) };
  // A process may lose a lock and have it again: the two are not one.
  return JSON.stringify({ ...holder, lock: randomUUID() });
}

const age = (path: string) => Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Clock ticks after boot at which a process began, from Linux's /proc; null elsewhere. */
function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets and may hold blanks; this is field 22.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
