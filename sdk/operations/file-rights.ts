/** Which of this machine's files a host reads and writes for its callers. */
import { closeSync, lstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { InvalidOptionError, MissingFileError, PathNotAllowedError } from '../errors';
import { imageKind } from '../images/image-kind';
import { listPhotos } from '../images/list-photos';

export interface FileRights {
  /**
   * A picture that may be read, by its real path. Throws PathNotAllowedError, MissingFileError, InvalidOptionError
   * for what is no picture or larger than 30 MB.
   */
  picture(field: string, path: string): string;
  /** As `picture`, or a folder of which every picture may be read; see `listPhotos`. Throws what both throw. */
  pictures(field: string, path: string): string;
  /** A place that may be written to, by its real path. Throws PathNotAllowedError. */
  target(field: string, path: string): string;
}

/** Bytes of the largest photo that is taken. */
export const largestPhoto = 30e6;

/**
 * Within `folders` alone, the first of them the host's own, of which files are named one by one; null: everywhere, as
 * for whoever sits at the machine. Throws MissingFileError for a folder that is not there.
 */
export function createFileRights(folders: readonly string[] | null): FileRights {
  const roots = folders?.map(realFolder) ?? null;
  const named = roots?.slice(1) ?? [];
  const isAllowed = (real: string) => roots === null || roots.some((root) => isWithin(root, real));
  const check = (field: string, given: string, real: string) => {
    if (isAllowed(real)) return real;
    const wanted = resolve(given);
    // Where links of others lead is told to nobody who may not look at them.
    const isLinkOfOurs = [...named, ...(folders ?? [])].some((folder) => isWithin(resolve(folder), wanted));
    const where = named.length === 0 ? 'none was allowed' : `allowed are ${named.join(', ')}`;
    throw new PathNotAllowedError(
      given,
      `${field}: ${given} ${isLinkOfOurs ? `leads to ${real}, which lies` : 'lies'} outside the folders that this server may use (${where}). Give a file in one of them, or start the server with --allow-dir ${dirname(isLinkOfOurs ? real : wanted)}.`,
    );
  };
  const refuseRelative = (field: string, path: string) => {
    if (roots === null || isAbsolute(path)) return;
    // Assistants that see no files are told the whole path, where it can be guessed: Pictures/rex in /Users/me/Pictures.
    const meant = named
      .flatMap((root) => [join(root, path), join(dirname(root), path)])
      .find((place) => isAllowed(nearestReal(place)) && statSync(place, { throwIfNoEntry: false }));
    const mend =
      meant !== undefined
        ? `write ${meant}.`
        : named.length === 0
          ? 'write it out from /.'
          : `write it out from /, in a folder that this server may use (${named.join(', ')}), as ${join(named[0]!, basename(path))}.`;
    throw new InvalidOptionError(field, `${field}: ${path} is no absolute path: ${mend}`);
  };
  /** What is there, by its real path. */
  const found = (field: string, path: string): string => {
    refuseAddress(field, path);
    refuseRelative(field, path);
    const file = resolve(path);
    let real: string;
    try {
      real = realpathSync(file);
    } catch {
      // Whether something is there is told only where the caller may look.
      check(field, path, nearestReal(file));
      throw new MissingFileError(file, `${field}: there is no file ${file}.`);
    }
    return check(field, path, real);
  };
  const picture = (field: string, path: string): string => {
    const real = found(field, path);
    const status = statSync(real);
    if (status.isDirectory()) {
      throw new InvalidOptionError(field, `${field}: ${path} is a folder: name one picture in it.`);
    }
    if (!status.isFile()) {
      throw new InvalidOptionError(field, `${field}: ${path} is no file: give a JPEG, PNG or WebP file.`);
    }
    if (status.size > largestPhoto) {
      throw new InvalidOptionError(
        field,
        `${field}: ${path} has ${Math.round(status.size / 1e6)} MB, at most ${largestPhoto / 1e6} MB are taken: make it smaller; 2048 pixels a side are plenty.`,
      );
    }
    if (imageKind(head(real)) === null) {
      throw new InvalidOptionError(field, `${field}: ${path} is no picture: give a JPEG, PNG or WebP file.`);
    }
    return real;
  };
  return {
    picture,
    pictures(field, path) {
      const real = found(field, path);
      if (!statSync(real).isDirectory()) return picture(field, path);
      // What others sent lies there, under names that nobody can guess.
      if (roots !== null && isWithin(roots[0]!, real)) {
        throw new PathNotAllowedError(
          path,
          `${field}: ${path} lies outside the folders that this server may use: of what was sent to it, name files one by one.`,
        );
      }
      for (const photo of listPhotos([real]).photos) picture(field, photo);
      return real;
    },
    target(field, path) {
      refuseAddress(field, path);
      refuseRelative(field, path);
      return check(field, path, nearestReal(resolve(path)));
    },
  };
}

const isWithin = (folder: string, path: string) =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch (cause) {
    throw new MissingFileError(
      folder,
      `There is no folder ${resolve(folder)}, in which callers were to name files (--allow-dir): make it, or name one that is there.`,
      { cause },
    );
  }
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
