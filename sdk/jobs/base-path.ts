/** A base model by what people call it: the embedded one, a path, a hub id, or the name of one that lies about. */
import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { packageFolder } from '../checkpoint/package-folder';
import { InvalidOptionError, MissingFileError } from '../errors';
import { cachedModel } from '../library/cached-model';
import { parseHubId } from '../library/hub-id';
import { modelsNamed } from '../library/list-models';
import type { Home } from '../subjects/home';
import { likelyMeant } from '../subjects/subject-name';

/** The embedded base model's name. */
export const embeddedBase = 'toybox';

/**
 * A base as it is remembered: `toybox`, an absolute path, or a hub id, which is looked up when it is used. What is
 * there as a path is one. Throws MissingFileError or InvalidOptionError for the name of no model or of several.
 */
export function baseName(home: Home, base: string): string {
  if (base === embeddedBase) return base;
  if (existsSync(base) || /[\\/]/.test(base))
    return !existsSync(base) && parseHubId(base) ? base : resolve(base);
  const named = modelsNamed(home);
  const [path, ...others] = named.get(base) ?? [];
  if (path === undefined) {
    const near = likelyMeant(base, [embeddedBase, ...named.keys()]);
    throw new MissingFileError(
      resolve(base),
      `There is no base model "${base}": no file or folder of that name is here, and none was found on this machine${near === undefined ? '' : `; did you mean ${near}?`}. See what there is with: dreambooth models`,
    );
  }
  if (others.length > 0) {
    throw new InvalidOptionError(
      'base',
      `"${base}" may be any of ${[path, ...others].join(', ')}: give the path of one.`,
    );
  }
  return path;
}

/** What `vae` is given as for the base's own. */
const ownAutoencoder = 'base';

/** Where an autoencoder is that stands in place of the base's own; null for that one. Throws MissingFileError. */
export function autoencoderPath(vae: string | null | undefined): string | null {
  if (vae === null || vae === undefined || vae === ownAutoencoder) return null;
  const path = resolve(vae);
  if (existsSync(path)) return path;
  throw new MissingFileError(
    path,
    `There is no autoencoder at ${path}: give a folder with config.json or a .safetensors file, or "${ownAutoencoder}" for the base model's own.`,
  );
}

/** Where the files of a base are, by the name that `baseName` made. Throws MissingFileError when there is nothing. */
export function basePath(name: string): string {
  if (name !== embeddedBase && !isAbsolute(name)) return cachedModel(name);
  const path = name === embeddedBase ? join(packageFolder(), 'fixtures', 'toybox') : name;
  if (!existsSync(path)) {
    throw new MissingFileError(
      path,
      name === embeddedBase
        ? `The embedded base model is missing at ${path}: install the package again.`
        : `There is no base model at ${path}: give a folder in the diffusers layout, a .safetensors file, a hub id as organisation/name, or "${embeddedBase}".`,
    );
  }
  return path;
}
