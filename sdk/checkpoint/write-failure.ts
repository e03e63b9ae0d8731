import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DiskFullError, UnwritablePathError } from '../errors';

/** No blocks left; the user's quota used up. */
const full = ['ENOSPC', 'EDQUOT'];
/** No right to write; no folder can be made there; a file for a folder or the other way round; a name too long. */
const barred = ['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ENAMETOOLONG', 'ELOOP'];

/** What the system's refusal to write `path` means to a caller; any other error as it is. */
export function writeFailure(path: string, cause: unknown): unknown {
  const code = String((cause as { code?: unknown } | null)?.code);
  if (full.includes(code)) {
    return new DiskFullError(
      path,
      `No room on the disk to write ${path}. What was there before is untouched; free some space and repeat.`,
      { cause },
    );
  }
  if (barred.includes(code)) {
    return new UnwritablePathError(
      path,
      `${path} cannot be written (${(cause as Error).message}): name a place that can, or change its permissions.`,
      { cause },
    );
  }
  return cause;
}

/** Makes the folders that `file` is to lie in. Throws UnwritablePathError, DiskFullError. */
export function makeFolderOf(file: string): void {
  try {
    makeEach(dirname(file));
  } catch (cause) {
    throw writeFailure(file, cause);
  }
}

/** Makes a folder and those above it. Throws UnwritablePathError, DiskFullError. */
export function makeFolders(folder: string): void {
  try {
    makeEach(folder);
  } catch (cause) {
    throw writeFailure(folder, cause);
  }
}

/** Node's own way never returns where a folder that is there takes none (/proc). */
function makeEach(folder: string): void {
  if (isFolder(folder) || folder === dirname(folder)) return;
  makeEach(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have been faster.
    if (!isFolder(folder)) throw error;
  }
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
