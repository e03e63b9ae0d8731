import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { packageFolder } from '../checkpoint/package-folder';
import { MissingFileError } from '../errors';

/** The embedded base model's name. */
export const embeddedBase = 'toybox';

/** A base as it is remembered: `toybox`, or an absolute path. */
export function baseName(base: string): string {
  return base === embeddedBase ? base : resolve(base);
}

/** Where a base's files are. Throws MissingFileError when there is nothing. */
export function basePath(base: string): string {
  const path = base === embeddedBase ? join(packageFolder(), 'fixtures', 'toybox') : resolve(base);
  if (!existsSync(path)) {
    throw new MissingFileError(
      path,
      base === embeddedBase
        ? `The embedded base model is missing at ${path}: install the package again.`
        : `There is no base model at ${path}: give a folder in the diffusers layout, a .safetensors file, or "${embeddedBase}".`,
    );
  }
  return path;
}
