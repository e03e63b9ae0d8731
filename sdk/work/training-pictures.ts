/** A subject's photos and its class's pictures, as latents. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromPlanes, toPlanes } from '../images/pixel-planes';
import { writePng } from '../images/png';
import { readImage } from '../images/read-image';
import { resizeShorterSide } from '../images/resize';
import { centerOffset, crop, flipHorizontally, type RgbImage } from '../images/rgb-image';
import { type PictureSizes, tokenizePrompt } from '../models/text-condition';
import type { Random } from '../random';
import type { Encoder } from '../sampling/autoencoder';
import type { Pipeline } from '../sampling/pipeline';
import { makeFolder } from '../subjects/home';
import type { TrainingSettings } from '../training/presets';
import type { TrainingPicture } from '../training/train-dreambooth';
import type { OpenedBase } from './loaded-base';
import type { WorkContext } from './work-context';

/** How many random crops of a photo that is not square take part. */
const randomCrops = 4;

/** A picture as the model is shown it. */
export interface PhotoVariant {
  readonly picture: RgbImage;
  readonly sizes: PictureSizes;
}

/** A photo's variants at `side` × `side` pixels: the middle or some random crops, and each mirrored where `flip` is on. */
export function variantsOf(
  photo: RgbImage,
  side: number,
  { centerCrop, flip }: Pick<TrainingSettings, 'centerCrop' | 'flip'>,
  random: Random,
): PhotoVariant[] {
  const fitted = resizeShorterSide(photo, side);
  const spare = Math.max(fitted.width, fitted.height) - side;
  const offsets =
    centerCrop || spare === 0
      ? [centerOffset(fitted, side, side)]
      : Array.from({ length: randomCrops }, () => {
          const at = random.integer(spare + 1);
          return fitted.width > fitted.height ? { left: at, top: 0 } : { left: 0, top: at };
        });
  return offsets.flatMap(({ left, top }) => {
    const picture = crop(fitted, side, side, { left, top });
    const sizes = (fromLeft: number): PictureSizes => [photo.height, photo.width, top, fromLeft, side, side];
    const mirrored = { picture: flipHorizontally(picture), sizes: sizes(fitted.width - side - left) };
    return [{ picture, sizes: sizes(left) }, ...(flip ? [mirrored] : [])];
  });
}

/** The same picture, told as if nothing had been cut from it: as diffusers' XL script did in 2023. */
export const asWhole = ({ picture }: PhotoVariant): PhotoVariant => classVariant(picture);

/** A picture of the class, uncut as it was drawn. */
export const classVariant = (picture: RgbImage): PhotoVariant => ({
  picture,
  sizes: [picture.height, picture.width, 0, 0, picture.height, picture.width],
});

export async function encodePictures(
  pictures: readonly (readonly PhotoVariant[])[],
  encoder: Encoder,
  { onProgress, signal }: WorkContext,
): Promise<TrainingPicture[][]> {
  const steps = pictures.reduce((sum, variants) => sum + variants.length, 0);
  let step = 0;
  onProgress({ phase: 'encode', step, steps });
  const encoded: TrainingPicture[][] = [];
  for (const variants of pictures) {
    const latents: TrainingPicture[] = [];
    for (const { picture, sizes } of variants) {
      signal.throwIfAborted();
      latents.push({ ...(await encoder.encode(toPlanes(picture))), sizes });
      step += 1;
      onProgress({ phase: 'encode', step, steps, imagesPerStep: 1 });
    }
    encoded.push(latents);
  }
  return encoded;
}

export interface ClassImages {
  readonly prompt: string;
  readonly count: number;
  readonly side: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly clipSkip: number;
}

/** Pictures of the class by the frozen base, several at a time; kept in the cache by all that makes them. */
export async function classImages(
  { prompt, count, side, steps, guidanceScale, clipSkip }: ClassImages,
  { base, fingerprint }: OpenedBase,
  batch: number,
  load: () => Promise<Pipeline>,
  { home, onProgress, signal }: WorkContext,
): Promise<RgbImage[]> {
  const made = {
    ...{ fingerprint, prompt, side, steps, guidanceScale, scheduler, batch },
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
        await writePng(fileOf(indices[i]!), fromPlanes(planes, { width: side, height: side }));
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
