/** The photo of a generation: decoded, of a size that the base makes, and what is drawn put back into it. */
import { InvalidOptionError } from '../errors';
import { binary, lightness, paste } from '../images/mask';
import { toPlanes } from '../images/pixel-planes';
import { readImage } from '../images/read-image';
import { resize } from '../images/resize';
import type { RgbImage } from '../images/rgb-image';
import { type BaseModel, inpaints } from '../models/base-model';
import type { Photo } from '../sampling/photo';
import { aspectBuckets, nearestBucket, type PictureSize } from '../training/aspect-buckets';
import { usualSide } from './loaded-base';
import type { WorkContext } from './work-context';

/** A file as the caller gave it. */
export interface GivenPicture {
  readonly bytes: Uint8Array;
  /** For messages. */
  readonly name: string;
}

/** A photo to draw from, or with a mask into. */
export interface PhotoRequest {
  readonly image: GivenPicture;
  readonly mask: GivenPicture | null;
  /** By how much it changes, above 0 to 1. */
  readonly strength: number;
}

export interface PreparedPhoto {
  /** Of what is drawn. */
  readonly size: PictureSize;
  readonly photo: Photo;
  /** The picture to hand over: what was drawn, with a mask within the photo. */
  finish(drawn: RgbImage): RgbImage;
}

/** Diffusers' filter for photos and masks. */
const filter = 'lanczos';

/**
 * Reads photo and mask. The size, where it was not asked for, has the photo's shape and the area that the base is used
 * to; then a masked photo also comes back in its own size. Throws UnreadableImageError, and InvalidOptionError for a mask
 * of another shape than the photo's or without white.
 */
export async function preparePhoto(
  { image, mask }: PhotoRequest,
  asked: { readonly width: number | null; readonly height: number | null },
  base: BaseModel,
  { onWarning }: WorkContext,
): Promise<PreparedPhoto> {
  const original = await readImage(image.bytes, { onWarning, name: image.name });
  const size = photoSize(original, asked, base);
  const small = resize(original, size.width, size.height, filter);
  if (mask === null) return { size, photo: { planes: toPlanes(small) }, finish: (drawn) => drawn };

  const painted = await readImage(mask.bytes, { onWarning, name: mask.name });
  checkShape(painted, original, mask.name);
  const whole = asked.width === null && asked.height === null ? original : small;
  const shown = binary(lightness(resize(painted, size.width, size.height, filter)));
  if (!shown.includes(1)) {
    throw new InvalidOptionError(
      'mask',
      `Nothing would be drawn, since ${mask.name} has no white: paint white what is to be drawn anew.`,
    );
  }
  if (!shown.includes(0)) onWarning(`The whole photo is drawn anew, since ${mask.name} is white all over.`);
  const pasted = lightness(resize(painted, whole.width, whole.height, filter));
  return {
    size,
    photo: { planes: toPlanes(small), mask: shown },
    finish: (drawn) => paste(whole, drawn, pasted, filter),
  };
}

/** Throws InvalidOptionError for a base that inpaints and has nothing to inpaint. */
export function refuseMissingMask(base: BaseModel, photo: PhotoRequest | null): void {
  if (!inpaints(base) || (photo?.mask ?? null) !== null) return;
  throw new InvalidOptionError(
    photo === null ? 'image' : 'mask',
    `${base.directory} is an inpainting model, which draws into a photo: give it with image (--image photo.jpg), and with mask (--mask mask.png, white where something new is drawn) where.`,
  );
}

function photoSize(
  photo: PictureSize,
  { width, height }: { readonly width: number | null; readonly height: number | null },
  base: BaseModel,
): PictureSize {
  const step = base.vae.config.factor;
  const near = (side: number) => Math.max(step, Math.round(side / step) * step);
  if (width !== null && height !== null) return { width, height };
  if (width !== null) return { width, height: near((width * photo.height) / photo.width) };
  if (height !== null) return { width: near((height * photo.width) / photo.height), height };
  const side = usualSide(base);
  return nearestBucket(aspectBuckets(side, { step, shortest: side / 4, longest: side * 4 }), photo);
}

function checkShape(mask: PictureSize, photo: PictureSize, name: string): void {
  const stretched = (mask.width * photo.height) / (mask.height * photo.width);
  if (Math.abs(stretched - 1) <= 0.02) return;
  throw new InvalidOptionError(
    'mask',
    `Mask and photo differ in shape, ${name} being ${mask.width}×${mask.height} pixels and the photo ${photo.width}×${photo.height}: paint the mask over the photo itself.`,
  );
}
