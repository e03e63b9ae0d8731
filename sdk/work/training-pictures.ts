/** A subject's photos and its class's pictures, as latents. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromPlanes, toPlanes } from '../images/pixel-planes';
import { writePng } from '../images/png';
import { readImage } from '../images/read-image';
import { resize, resizeShorterSide } from '../images/resize';
import { centerOffset, crop, flipHorizontally, type RgbImage } from '../images/rgb-image';
import type { BaseModel } from '../models/base-model';
import { type PictureSizes, tokenizePrompt } from '../models/text-condition';
import type { Random } from '../random';
import { createEncoder } from '../sampling/autoencoder';
import type { Pipeline } from '../sampling/pipeline';
import { makeFolder } from '../subjects/home';
import { aspectBuckets, coveringSize, nearestBucket, type PictureSize } from '../training/aspect-buckets';
import type { TrainingPicture } from '../training/dreambooth-batch';
import type { TrainingSettings } from '../training/presets';
import { type OpenedBase, sessionsOf } from './loaded-base';
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

export interface ClassImages {
  readonly prompt: string;
  readonly count: number;
  readonly size: PictureSize;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly clipSkip: number;
}

/** Pictures of the class by the frozen base, several at a time; kept in the cache by all that makes them. */
export async function classImages(
  { prompt, count, size, steps, guidanceScale, clipSkip }: ClassImages,
  { base, contents }: OpenedBase,
  batch: number,
  load: () => Promise<Pipeline>,
  { home, onProgress, signal }: WorkContext,
): Promise<RgbImage[]> {
  const { width, height } = size;
  const shape = width === height ? { side: width } : { width, height };
  const made = {
    ...{ fingerprint: contents, prompt, ...shape, steps, guidanceScale, scheduler, batch },
    ...(clipSkip === 0 ? {} : { clipSkip }),
  };
  const key = createHash('sha256').update(JSON.stringify(made)).digest('hex').slice(0, 24);
  const folder = makeFolder(join(home.cache, 'class-images', key));
  const fileOf = (index: number) => join(folder, `${index}.png`);
  const { tokens } = tokenizePrompt(base, prompt);
  onProgress({ phase: 'class-images', step: 0, steps: count });
  for (let first = 0; first < count; first += batch) {
    signal.throwIfAborted();
    const indices = Array.from({ length: batch }, (_, i) => first + i);
    if (!indices.every((index) => existsSync(fileOf(index)))) {
      const pipeline = await load();
      const pictures = await pipeline.draw({
        prompts: indices.map(() => [tokens]),
        negativePrompt: null,
        seeds: indices,
        scheduler,
        steps,
        guidanceScale,
        loras: [],
        signal,
      });
      for (const [i, planes] of pictures.entries()) {
        await writePng(fileOf(indices[i]!), fromPlanes(planes, size));
      }
    }
    onProgress({
      phase: 'class-images',
      step: Math.min(count, first + batch),
      steps: count,
      imagesPerStep: 1,
    });
  }
  return Promise.all(Array.from({ length: count }, (_, index) => readImage(fileOf(index))));
}

const scheduler = 'dpmpp_2m_karras';
