/** Which of this machine's files a host reads and writes for its callers. */
import { closeSync, lstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { InvalidOptionError, MissingFileError, PathNotAllowedError } from '../errors';
import { imageKind } from '../images/image-kind';

export interface FileRights {
  /**
   * A picture that may be read, by its real path. Throws PathNotAllowedError, MissingFileError, InvalidOptionError
   * for what is no picture or larger than 30 MB.
   */
  picture(field: string, path: string): string;
  /** A place that may be written to, by its real path. Throws PathNotAllowedError. */
  target(field: string, path: string): string;
}

/** Bytes of the largest photo that is taken. */
export const largestPhoto = 30e6;

/** Within `folders` alone, the first of them the host's own; null: everywhere, as for whoever sits at the machine. */
export function createFileRights(folders: readonly string[] | null): FileRights {
  const roots = folders?.map((folder) => realpathSync(folder)) ?? null;
  const check = (field: string, given: string, real: string) => {
    if (roots === null || roots.some((root) => real === root || real.startsWith(root + sep))) return real;
    const named = roots.slice(1);
    const where = named.length === 0 ? 'none was allowed' : `allowed are ${named.join(', ')}`;
    throw new PathNotAllowedError(
      given,
      `${field}: ${given} lies outside the folders that this server may use (${where}). Give a file in one of them, or start the server with --allow-dir ${dirname(given)}.`,
    );
  };
  return {
    picture(field, path) {
      refuseAddress(field, path);
      if (roots !== null && !isAbsolute(path)) {
        throw new InvalidOptionError(field, `${field}: ${path} is no absolute path: write it out from /.`);
      }
      const file = resolve(path);
      let real: string;
      try {
        real = realpathSync(file);
      } catch {
        // Whether something is there is told only where the caller may look.
        check(field, path, nearestReal(file));
        throw new MissingFileError(file, `${field}: there is no file ${file}.`);
      }
      check(field, path, real);
      const { size, ...kind } = statSync(real);
      if (!statSync(real).isFile()) {
        void kind;
        throw new InvalidOptionError(field, `${field}: ${path} is no file: name pictures one by one.`);
      }
      if (size > largestPhoto) {
        throw new InvalidOptionError(
          field,
          `${field}: ${path} has ${Math.round(size / 1e6)} MB, at most ${largestPhoto / 1e6} MB are taken: make it smaller; 2048 pixels a side are plenty.`,
        );
      }
      if (imageKind(head(real)) === null) {
        throw new InvalidOptionError(
          field,
          `${field}: ${path} is no picture: give a JPEG, PNG or WebP file.`,
        );
      }
      return real;
    },
    target(field, path) {
      refuseAddress(field, path);
      const wanted = resolve(path);
      const real = nearestReal(wanted);
      check(field, path, real);
      return real;
    },
  };
}

function refuseAddress(field: string, path: string): void {
  if (!/^[a-z][a-z0-9+.-]+:/i.test(path) || /^[a-z]:[\\/]/i.test(path)) return;
  throw new InvalidOptionError(
    field,
    `${field}: ${path.slice(0, 80)} is an address: nothing is fetched here. Save the file, and give its path.`,
  );
}

/** The real path of what need not be there yet: the nearest folder that is, and the rest of the way. */
function nearestReal(path: string): string {
  const rest: string[] = [];
  for (let there = path; ; there = dirname(there)) {
    if (lstatSync(there, { throwIfNoEntry: false }) !== undefined) {
      try {
        return join(realpathSync(there), ...rest);
      } catch {
        // A link to nowhere leads where it says.
        return there;
      }
    }
    rest.unshift(there.slice(dirname(there).length).replace(/^[\\/]/, ''));
  }
}

function head(path: string): Uint8Array {
  const bytes = new Uint8Array(32);
  const file = openSync(path, 'r');
  try {
    return bytes.subarray(0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}
