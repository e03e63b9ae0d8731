import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidOptionError, MissingFileError } from '../errors';
import { hasPhotoName, listPhotos } from '../images/list-photos';
import { refuseNoPhoto } from '../images/read-image';
import { embeddedBase } from './base-path';
import { type PhotoSidecars, sidecarsOf } from './photo-sidecars';

/** A photo, a folder of photos, or the bytes of a photo. */
export type SubjectImage = string | URL | Uint8Array;

export interface SubjectPhoto extends PhotoSidecars {
  readonly name: string;
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

const mostPhotos = 20;

/** What a caller in JavaScript may give: a list, or one photo by itself. Throws InvalidOptionError for anything else. */
export function imageList(images: unknown): readonly SubjectImage[] {
  const isImage = (one: unknown): one is SubjectImage =>
    typeof one === 'string' || one instanceof URL || one instanceof Uint8Array;
  if (isImage(images)) return [images];
  if (Array.isArray(images) && images.every(isImage)) return images;
  throw new InvalidOptionError(
    'photos',
    'The photos are no list of files: give paths, URLs of files or bytes, as ["rex/1.jpg", "rex/2.jpg"].',
  );
}

/**
 * Reads the bytes of the photos that a caller names, and what lies beside them; they are decoded later, by the engine.
 * With `oneIsEnough` a single photo is no reason for a warning, without `captions` texts are left unread.
 * Throws MissingFileError, UnreadableImageError for what neither is nor is called a photo, BrokenFileError for a caption that is no text, and InvalidOptionError for none.
 */
export async function readSubjectPhotos(
  images: readonly SubjectImage[],
  base: string,
  { oneIsEnough, captions }: { readonly oneIsEnough: boolean; readonly captions: boolean },
  onWarning: (message: string) => void,
): Promise<SubjectPhoto[]> {
  const files = images.filter((image) => !(image instanceof Uint8Array)) as (string | URL)[];
  const given = images.filter((image) => image instanceof Uint8Array);
  const photos = given.map((bytes, i) => photo(`photo ${i + 1}`, bytes));
  if (files.length > 0 || given.length === 0) {
    const paths = files.map((file) => (file instanceof URL ? fileURLToPath(file) : file));
    const list = listPhotos(paths);
    for (const warning of list.warnings) {
      if (!isAlone(warning) || (given.length === 0 && !oneIsEnough)) onWarning(warning);
    }
    for (const path of list.photos) {
      const bytes = await readBytes(resolve(path));
      // What is not even called a photo is looked at before there is a job and a model is loaded.
      if (!hasPhotoName(path)) await refuseNoPhoto(bytes, path);
      photos.push({ ...photo(basename(path), bytes), ...sidecarsOf(path, captions) });
    }
  } else if (photos.length === 1 && !oneIsEnough) {
    onWarning('There is one photo; 3 to 5 from different sides teach the subject far better.');
  }
  if (base === embeddedBase && photos.some(({ bytes }) => !isSmallPng(bytes))) {
    onWarning(
      'The embedded base model draws 64-pixel toys and knows no photographs. For photos name a real one, as a folder in the diffusers layout: --base path/to/stable-diffusion-v1-5.',
    );
  }
  return photos;
}

/** Throws InvalidOptionError. */
export function refuseTooMany(photos: readonly SubjectPhoto[]): void {
  if (photos.length <= mostPhotos) return;
  throw new InvalidOptionError(
    'photos',
    `${photos.length} photos are too many: give the best 3 to 6, at most ${mostPhotos}.`,
  );
}

const isAlone = (warning: string) => warning.startsWith('There is one photo');

function photo(name: string, bytes: Uint8Array): SubjectPhoto {
  return { name, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new MissingFileError(path, `${path} cannot be read: ${(cause as Error).message}.`, { cause });
  }
}

/** A drawn picture rather than a photograph: a PNG of at most 512 pixels a side, by its header. */
function isSmallPng(bytes: Uint8Array): boolean {
  if (bytes.length < 24) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isPng = view.getUint32(0) === 0x89504e47;
  return isPng && view.getUint32(16) <= 512 && view.getUint32(20) <= 512;
}
