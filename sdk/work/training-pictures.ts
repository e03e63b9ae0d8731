/** Photos cut to the sizes they are learned in, and pictures as latents. */
import { toPlanes } from '../images/pixel-planes';
import { resize, resizeShorterSide } from '../images/resize';
import { centerOffset, crop, flipHorizontally, type RgbImage } from '../images/rgb-image';
import type { BaseModel } from '../models/base-model';
import type { PictureSizes } from '../models/text-condition';
import type { Random } from '../random';
import { createEncoder } from '../sampling/autoencoder';
import { aspectBuckets, coveringSize, nearestBucket, type PictureSize } from '../training/aspect-buckets';
import type { TrainingPicture } from '../training/dreambooth-batch';
import type { TrainingSettings } from '../training/presets';
import { sessionsOf } from './loaded-base';
import { latentMask } from './photo-masks';
import type { WorkContext } from './work-context';

/** How many random crops of a photo that is not square take part. */
const randomCrops = 4;

/** A photo, and which parts of it count; a grey picture of its size, or all of it. */
export interface MaskedPhoto {
  readonly picture: RgbImage;
  readonly mask?: RgbImage | undefined;
}

/** A picture as the model is shown it. */
export interface PhotoVariant extends MaskedPhoto {
  readonly sizes: PictureSizes;
}

/**
 * The size each photo is cut to: a square of `side` or, with `aspectBuckets`, that of the base's usual sizes of such
 * an area which is nearest to its shape.
 */
export function trainedSizes(
  photos: readonly PictureSize[],
  side: number,
  factor: number,
  { aspectBuckets: inBuckets }: Pick<TrainingSettings, 'aspectBuckets'>,
): PictureSize[] {
  const square = { width: side, height: side };
  if (!inBuckets) return photos.map(() => square);
  // kohya's 64 at 512 pixels and above, as fine a grid for small bases.
  const step = Math.max(factor, Math.floor(Math.min(64, side / 8) / factor) * factor);
  const buckets = aspectBuckets(side, { step });
  return photos.map((photo) => nearestBucket(buckets, photo));
}

/** A photo's variants of a size: the middle or some random crops, and each mirrored where `flip` is on. */
export function variantsOf(
  { picture: photo, mask }: MaskedPhoto,
  { width, height }: PictureSize,
  { centerCrop, flip }: Pick<TrainingSettings, 'centerCrop' | 'flip'>,
  random: Random,
): PhotoVariant[] {
  const covering = (image: RgbImage) => {
    // A square is cut from what torchvision's Resize makes, as diffusers' scripts do.
    if (width === height) return resizeShorterSide(image, width);
    const { width: w, height: h } = coveringSize(image, { width, height });
    return resize(image, w, h);
  };
  const fitted = covering(photo);
  const fittedMask = mask && covering(mask);
  const spare = { x: fitted.width - width, y: fitted.height - height };
  const offsets =
    centerCrop || Math.max(spare.x, spare.y) === 0
      ? [centerOffset(fitted, width, height)]
      : Array.from({ length: randomCrops }, () => {
          const at = random.integer(Math.max(spare.x, spare.y) + 1);
          return spare.x > spare.y ? { left: at, top: 0 } : { left: 0, top: at };
        });
  return offsets.flatMap((offset) => {
    const shown = (image: RgbImage) => crop(image, width, height, offset);
    const variant = (fromLeft: number, as: (image: RgbImage) => RgbImage): PhotoVariant => ({
      picture: as(fitted),
      sizes: [photo.height, photo.width, offset.top, fromLeft, height, width],
      ...(fittedMask ? { mask: as(fittedMask) } : {}),
    });
    const mirrored = variant(spare.x - offset.left, (image) => flipHorizontally(shown(image)));
    return [variant(offset.left, shown), ...(flip ? [mirrored] : [])];
  });
}

/** The same picture, told as if nothing had been cut from it: as diffusers' XL script did in 2023. */
export const asWhole = ({ picture, mask }: PhotoVariant): PhotoVariant => ({
  ...classVariant(picture),
  mask,
});

/** A picture of the class, uncut as it was drawn. */
export const classVariant = (picture: RgbImage): PhotoVariant => ({
  picture,
  sizes: [picture.height, picture.width, 0, 0, picture.height, picture.width],
});

/** Latents of pictures, one size of them after the other, since each has an encoder of its own. */
export async function encodePictures(
  pictures: readonly (readonly PhotoVariant[])[],
  base: BaseModel,
  settings: Pick<TrainingSettings, 'masks' | 'unmaskedWeight'>,
  context: WorkContext,
): Promise<TrainingPicture[][]> {
  const { onProgress, signal } = context;
  const { factor } = base.vae.config;
  const steps = pictures.reduce((sum, variants) => sum + variants.length, 0);
  let step = 0;
  onProgress({ phase: 'encode', step, steps });
  const encoded: TrainingPicture[][] = pictures.map(() => []);
  const keyOf = ({ picture }: PhotoVariant) => `${picture.width}×${picture.height}`;
  for (const key of new Set(pictures.map(([first]) => keyOf(first!)))) {
    const { width, height } = pictures.find(([first]) => keyOf(first!) === key)![0]!.picture;
    const encoder = await createEncoder(base, height, width, sessionsOf(context));
    try {
      for (const [i, variants] of pictures.entries()) {
        if (keyOf(variants[0]!) !== key) continue;
        for (const { picture, sizes, mask } of variants) {
          signal.throwIfAborted();
          encoded[i]!.push({
            ...(await encoder.encode(toPlanes(picture))),
            size: [height / factor, width / factor],
            sizes,
            ...(mask ? { lossMask: latentMask(mask, factor, settings.unmaskedWeight) } : {}),
          });
          step += 1;
          onProgress({ phase: 'encode', step, steps, imagesPerStep: 1 });
        }
      }
    } finally {
      await encoder.release();
    }
  }
  return encoded;
}
