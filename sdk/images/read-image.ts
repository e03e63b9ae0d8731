import { readFileSync, statSync } from 'node:fs';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { MissingFileError, UnreadableImageError } from '../errors';
import type { RgbImage } from './rgb-image';

export interface ReadImageOptions {
  /** Told what a reader should know and that did not stop the reading (an animation's first frame was taken). */
  readonly onWarning?: (warning: string) => void;
  /** What messages call the photo; default: its path. */
  readonly name?: string;
}

/** 16,384 × 16,384: beyond what cameras make, and 800 MB when decoded. */
const mostPixels = 2 ** 28;
const photoFormats = ['jpeg', 'png', 'webp', 'tiff', 'gif', 'heif'];
/** Brands of the ISO container (bytes 8 to 11) by which phones mark pictures coded with HEVC. */
const heicBrands = ['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'hevm', 'hevs', 'mif1', 'msf1'];

/**
 * Reads a photo, from a file or from its bytes, to 8-bit sRGB: turned upright by its EXIF orientation, transparent
 * parts on white, grey, CMYK and 16-bit pictures converted, of an animation the first frame.
 * Reads JPEG, PNG, WebP, TIFF, GIF and AVIF. Throws MissingFileError or UnreadableImageError (which names the
 * file, and for HEIC the mend); a header that claims an enormous picture is refused before anything is decoded.
 */
export async function readImage(
  source: string | Uint8Array,
  options: ReadImageOptions = {},
): Promise<RgbImage> {
  const { bytes, name, pages } = await openPhoto(source, options);
  if (pages > 1) options.onWarning?.(`${name} has ${pages} frames; the first is used.`);
  return decode(bytes, name, (photo) => photo.flatten({ background: '#ffffff' }).removeAlpha());
}

/**
 * How opaque a photo is, as a grey picture, upright as `readImage` gives the photo: white what is seen, black what is
 * transparent. Undefined where nothing is. Throws as `readImage`.
 */
export async function readAlpha(
  source: string | Uint8Array,
  options: Pick<ReadImageOptions, 'name'> = {},
): Promise<RgbImage | undefined> {
  const { bytes, name, hasAlpha } = await openPhoto(source, options);
  if (!hasAlpha) return undefined;
  const { width, height, data } = await decode(bytes, name, (photo) =>
    photo.toColourspace('srgb').ensureAlpha(),
  );
  const alpha = Uint8Array.from({ length: width * height }, (_, i) => data[i * 4 + 3]!);
  if (alpha.every((value) => value === 255)) return undefined;
  return {
    width,
    height,
    data: Uint8Array.from({ length: alpha.length * 3 }, (_, i) => alpha[Math.floor(i / 3)]!),
  };
}

/** Whether these bytes begin as a photo does: nothing is decoded. Throws UnreadableImageError. */
export async function refuseNoPhoto(bytes: Uint8Array, name: string): Promise<void> {
  await openPhoto(bytes, { name });
}

async function openPhoto(source: string | Uint8Array, options: Pick<ReadImageOptions, 'name'>) {
  const name =
    options.name ?? (typeof source === 'string' ? source : `the picture of ${source.length} bytes`);
  const bytes = typeof source === 'string' ? readPhotoFile(source) : source;
  if (bytes.length === 0)
    throw new UnreadableImageError(name, `${name} is empty (0 bytes): copy the photo again.`);
  refuseHeic(bytes, name);

  const { width, height, pages = 1, hasAlpha = false } = await readHeader(bytes, name);
  if (width * height > mostPixels) {
    throw new UnreadableImageError(
      name,
      `${name} claims ${width}×${height} pixels; at most ${mostPixels} are read (16384×16384). Scale it down first.`,
    );
  }
  return { bytes, name, pages, hasAlpha };
}

/** A photo's bytes. Throws MissingFileError, and UnreadableImageError for a folder. */
export function readPhotoFile(path: string): Uint8Array {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) throw new MissingFileError(path, `There is no photo ${path}.`);
  if (status.isDirectory()) {
    throw new UnreadableImageError(path, `${path} is a folder, not a photo: name the photos in it.`);
  }
  return readFileSync(path);
}

function refuseHeic(bytes: Uint8Array, name: string): void {
  const text = new TextDecoder('latin1').decode(bytes.subarray(4, 64));
  if (!text.startsWith('ftyp')) return;
  // The main brand may be the container's general one; AVIF then says so among the compatible brands.
  const isAvif = /avif|avis/.test(text.slice(4, 60));
  if (heicBrands.includes(text.slice(4, 8)) && !isAvif) {
    throw new UnreadableImageError(
      name,
      `${name} is a HEIC photo, which cannot be read here. Convert it to JPEG or PNG: ` +
        'on a Mac in Preview (File, Export), on an iPhone set Settings, Camera, Formats to "Most Compatible".',
    );
  }
}

async function readHeader(bytes: Uint8Array, name: string) {
  const open = (limitInputPixels: boolean) => sharp(bytes, { limitInputPixels, failOn: 'error' }).metadata();
  let header: Metadata;
  try {
    header = await open(false);
  } catch (cause) {
    throw unreadable(name, cause);
  }
  const { format, width, height } = header;
  if (!photoFormats.includes(format) || !width || !height) {
    throw new UnreadableImageError(
      name,
      `${name} is ${format.toUpperCase()}, not a photo: give JPEG, PNG, WebP, TIFF, GIF or AVIF.`,
    );
  }
  return header;
}

/** As many bytes a pixel as `channels` leaves. */
async function decode(bytes: Uint8Array, name: string, channels: (photo: Sharp) => Sharp) {
  try {
    const photo = sharp(bytes, { limitInputPixels: mostPixels, failOn: 'error' }).autoOrient();
    const { data, info } = await channels(photo)
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return {
      width: info.width,
      height: info.height,
      data: new Uint8Array(data.buffer, data.byteOffset, data.length),
    };
  } catch (cause) {
    throw unreadable(name, cause);
  }
}

function unreadable(name: string, cause: unknown): UnreadableImageError {
  const found = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
  return new UnreadableImageError(
    name,
    `${name} cannot be read as a photo (${found}): it is cut short, damaged, or of another kind. Give JPEG, PNG, WebP, TIFF, GIF or AVIF.`,
    { cause },
  );
}
