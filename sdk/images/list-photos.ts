import { readdirSync, realpathSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { InvalidOptionError, MissingFileError } from '../errors';

export interface PhotoList {
  readonly photos: readonly string[];
  /** What a caller should tell: files passed over, photos named twice, fewer photos than the method wants. */
  readonly warnings: readonly string[];
}

/** HEIC is listed so that reading it can say what to do, rather than leave it out in silence. */
const extensions = ['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.gif', '.avif', '.heic', '.heif'];

/** Whether its name says that it is a photo. */
export const hasPhotoName = (path: string): boolean => extensions.includes(extname(path).toLowerCase());

const mostPhotos = 20;

/**
 * The photos that `paths` name: files as they are, of folders every photo in them (not in folders below), in the
 * order of their names with numbers counted as numbers; hidden and other files are passed over, captions and masks
 * beside photos (`1.txt`, `1.caption`, `1-masklabel.png`) without a word.
 * Throws MissingFileError, and InvalidOptionError for no photos or more than 20.
 */
export function listPhotos(paths: readonly string[]): PhotoList {
  const warnings: string[] = [];
  const found = paths.flatMap((path) => {
    const status = statSync(path, { throwIfNoEntry: false });
    if (status === undefined) throw new MissingFileError(path, `There is no photo or folder ${path}.`);
    return status.isDirectory() ? photosIn(path, warnings) : [path];
  });

  const seen = new Set<string>();
  const photos = withoutSidecars(found).filter((path) => {
    const real = realpathSync(path);
    if (seen.has(real)) warnings.push(`${path} is named twice; it is used once.`);
    return !seen.has(real) && seen.add(real);
  });
  const searched = paths.length === 0 ? '' : ` in ${paths.join(', ')}`;
  if (photos.length === 0) {
    throw new InvalidOptionError(
      'photos',
      `There are no photos${searched}: give 3 to 6 photos of the subject (1 to ${mostPhotos} work), as files or a folder.${passedOver(warnings)}`,
    );
  }
  if (photos.length > mostPhotos) {
    throw new InvalidOptionError(
      'photos',
      `${photos.length} photos are too many: give the best 3 to 6, at most ${mostPhotos}.`,
    );
  }
  const [only] = photos;
  if (photos.length === 1) {
    warnings.push(`There is one photo, ${only}; 3 to 5 from different sides teach the subject far better.`);
  }
  return { photos, warnings };
}

const byName = new Intl.Collator('en', { numeric: true });

function photosIn(folder: string, warnings: string[]): string[] {
  const all = readdirSync(folder).sort((a, b) => byName.compare(a, b) || (a < b ? -1 : 1));
  const entries = withoutSidecars(all);
  const isPhoto = (name: string) =>
    !name.startsWith('.') &&
    hasPhotoName(name) &&
    statSync(join(folder, name), { throwIfNoEntry: false })?.isFile() === true;
  const others = entries.filter((name) => !isPhoto(name) && !name.startsWith('.'));
  if (others.length > 0) warnings.push(`Passed over in ${folder}, not being photos: ${others.join(', ')}.`);
  return entries.filter(isPhoto).map((name) => join(folder, name));
}

/** A caption or a mask beside a picture has its name and one of these ends. */
const sidecarEnd = /(?:-masklabel\.png|\.txt|\.caption)$/i;
const stemOf = (path: string) => path.slice(0, path.length - extname(path).length);

function withoutSidecars(paths: readonly string[]): string[] {
  const stems = new Set(paths.filter((path) => !sidecarEnd.test(path)).map(stemOf));
  return paths.filter((path) => !(sidecarEnd.test(path) && stems.has(path.replace(sidecarEnd, ''))));
}

const passedOver = (warnings: readonly string[]) => warnings.map((warning) => ` ${warning}`).join('');
