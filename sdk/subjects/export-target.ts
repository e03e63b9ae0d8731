import { existsSync } from 'node:fs';
import { makeFolderOf } from '../checkpoint/write-failure';
import { InvalidOptionError } from '../errors';

/**
 * Makes the folder of a file that an export is about to write. Throws InvalidOptionError where one is there already that
 * may not be written over, DiskFullError, UnwritablePathError.
 */
export function prepareTarget(file: string, overwrite: boolean): void {
  if (!overwrite && existsSync(file)) {
    throw new InvalidOptionError(
      'out',
      `${file} is there already: name another file, or say that it may be written over (--overwrite; overwrite: true).`,
    );
  }
  makeFolderOf(file);
}
