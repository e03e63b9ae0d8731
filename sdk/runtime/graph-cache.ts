/** Graphs as onnxruntime left them after optimisation, kept in a folder by all that makes them. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../checkpoint/write-failure';

/** A graph has a few megabytes; the ones used longest ago go. */
const mostKept = 64;

export interface CachedGraph {
  /** Undefined where there is none yet. */
  read(): Uint8Array | undefined;
  /** Where onnxruntime is to write it. */
  readonly draft: string;
  /** Makes the draft the one that is read from now on. A draft that was not written changes nothing. */
  keep(): void;
  forget(): void;
}

/**
 * `graph` are its bytes before optimisation, `settings` whatever else decides what it becomes. Undefined where the folder
 * cannot be made: the work goes on without.
 */
export function cachedGraph(folder: string, graph: Uint8Array, settings: string): CachedGraph | undefined {
  const key = createHash('sha256').update(settings).update(graph).digest('hex').slice(0, 40);
  try {
    makeFolders(folder);
  } catch {
    return undefined;
  }
  const file = join(folder, `${key}.onnx`);
  const draft = join(folder, `.${key}.${process.pid}.part`);
  return {
    draft,
    read() {
      if (!existsSync(file)) return undefined;
      const now = new Date();
      try {
        utimesSync(file, now, now);
      } catch {
        // Another user's, or a disk that is only read: it is as good.
      }
      return readFileSync(file);
    },
    keep() {
      if (!existsSync(draft)) return;
      renameSync(draft, file);
      const used = (name: string) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
      const kept = readdirSync(folder).filter((name) => name.endsWith('.onnx'));
      const oldestLast = kept.sort((a, b) => used(b) - used(a));
      for (const name of oldestLast.slice(mostKept)) rmSync(join(folder, name), { force: true });
    },
    forget() {
      rmSync(file, { force: true });
      rmSync(draft, { force: true });
    },
  };
}
