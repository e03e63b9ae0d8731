import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { writeFailure } from './write-failure';

const largestWrite = 2 ** 30;
let filesWritten = 0;

/**
 * Writes a file so that `path` holds either all of `chunks` or what it held before: into a new file
 * beside it, flushed to the disk, then renamed over it. The folder must exist.
 * Throws DiskFullError when there is no room, UnwritablePathError when it is not allowed; nothing half-written is left behind in any failure.
 */
export function writeFileAtomically(path: string, chunks: Iterable<Uint8Array>): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${filesWritten++}.part`);
  let file: number | undefined;
  try {
    file = openSync(temporary, 'wx');
    for (const chunk of chunks) {
      for (let written = 0; written < chunk.length; ) {
        written += writeSync(file, chunk, written, Math.min(largestWrite, chunk.length - written));
      }
    }
    fsyncSync(file);
    closeSync(file);
    file = undefined;
    renameSync(temporary, path);
  } catch (cause) {
    if (file !== undefined) closeSync(file);
    rmSync(temporary, { force: true });
    throw writeFailure(path, cause);
  }
}
