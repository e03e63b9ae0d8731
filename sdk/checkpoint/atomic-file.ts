import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { writeFailure } from './write-failure';

const largestWrite = 2 ** 30;
let filesWritten = 0;

/**
 * Writes a file so that `path` holds either all of `chunks` or what it held before: into a new file
 * beside it, flushed to the disk, then renamed over it. The folder must exist.
 * Throws DiskFullError when there is no room, UnwritablePathError when it is not allowed; nothing half-written is left behind in any failure.
 */
export function writeFileAtomically(path: string, chunks: Iterable<Uint8Array>): void {
  const file = openPart(path);
  try {
    for (const chunk of chunks) file.append(chunk);
    file.finish();
  } catch (cause) {
    file.abandon();
    throw writeFailure(path, cause);
  }
}

/** As `writeFileAtomically`, in turns with the event loop; stops, leaving nothing, when `signal` is aborted. */
export async function writeFileGradually(
  path: string,
  chunks: Iterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> {
  const file = openPart(path);
  try {
    for (const chunk of chunks) {
      file.append(chunk);
      await setImmediate();
      signal?.throwIfAborted();
    }
    file.finish();
  } catch (cause) {
    file.abandon();
    throw writeFailure(path, cause);
  }
}

/** The file beside `path` that becomes it; the system's refusals come out as what they mean to a caller. */
function openPart(path: string) {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${filesWritten++}.part`);
  let file: number | undefined;
  const close = () => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };
  return {
    append(chunk: Uint8Array): void {
      file ??= openSync(temporary, 'wx');
      for (let written = 0; written < chunk.length; ) {
        written += writeSync(file, chunk, written, Math.min(largestWrite, chunk.length - written));
      }
    },
    finish(): void {
      file ??= openSync(temporary, 'wx');
      fsyncSync(file);
      close();
      renameSync(temporary, path);
    },
    abandon(): void {
      close();
      rmSync(temporary, { force: true });
    },
  };
}
