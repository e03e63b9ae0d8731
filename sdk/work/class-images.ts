/** Pictures of the class by the frozen base, for the prior; kept in the cache by all that makes them. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromPlanes } from '../images/pixel-planes';
import { writePng } from '../images/png';
import { readImage } from '../images/read-image';
import type { RgbImage } from '../images/rgb-image';
import { tokenizePrompt } from '../models/text-condition';
import type { Pipeline } from '../sampling/pipeline';
import { type Home, makeFolder } from '../subjects/home';
import type { PictureSize } from '../training/aspect-buckets';
import type { TrainingSettings } from '../training/presets';
import { latentSize, loadPipeline, type OpenedBase } from './loaded-base';
import type { WorkContext } from './work-context';

/** What class images are drawn with, whatever draws other pictures. */
export const classImageScheduler = 'dpmpp_2m_karras';

/** What the prior wants: pictures in the sizes of the photos, of each size its photos' share, of each prompt as many. */
function wantedImages(
  opened: OpenedBase,
  settings: TrainingSettings,
  prompts: readonly string[],
  photoSizes: readonly PictureSize[],
): (ClassImages & { readonly batch: number })[] {
  const shares = new Map<string, { size: PictureSize; photos: number }>();
  for (const size of photoSizes) {
    const key = `${size.width}×${size.height}`;
    shares.set(key, { size, photos: (shares.get(key)?.photos ?? 0) + 1 });
  }
  // A prompt that is given more than once has so many shares.
  const weights = new Map<string, number>();
  for (const prompt of prompts) weights.set(prompt, (weights.get(prompt) ?? 0) + 1);
  return [...shares.values()].flatMap(({ size, photos }) =>
    [...weights].map(([prompt, weight]) => ({
      prompt,
      batch: atATime(opened, size),
      count: Math.ceil((settings.classImages * photos * weight) / (photoSizes.length * prompts.length)),
      size,
      steps: opened.defaults.steps,
      guidanceScale: settings.classGuidanceScale,
      clipSkip: settings.clipSkip,
    })),
  );
}

/** As many as keep the processor busy where latents are small, one where they are large. */
function atATime({ base }: OpenedBase, pictureSize: PictureSize): number {
  const size = latentSize(base, pictureSize);
  return Math.min(10, Math.max(1, Math.floor(1024 / (size[0] * size[1]))));
}

/** How many of the pictures that the prior wants are not in the cache. */
export function missingClassImages(
  opened: OpenedBase,
  settings: TrainingSettings,
  prompts: readonly string[],
  photoSizes: readonly PictureSize[],
  home: Home,
): number {
  const missing = wantedImages(opened, settings, prompts, photoSizes).map((images) => {
    const folder = cacheFolder(home, images, opened, images.batch);
    return Array.from({ length: images.count }, (_, i) => existsSync(join(folder, `${i}.png`))).filter(
      (there) => !there,
    ).length;
  });
  return missing.reduce((sum, count) => sum + count, 0);
}

/** A picture of the class, and what it was asked for by. */
export interface ClassImage {
  readonly picture: RgbImage;
  readonly prompt: string;
}

/** Pictures of the class in the sizes of the photos, of each size its photos' share, of each prompt as many. */
export async function priorPictures(
  opened: OpenedBase,
  settings: TrainingSettings,
  prompts: readonly string[],
  photoSizes: readonly PictureSize[],
  context: WorkContext,
): Promise<ClassImage[]> {
  const wanted = wantedImages(opened, settings, prompts, photoSizes);
  const steps = wanted.reduce((sum, { count }) => sum + count, 0);
  const { clipSkip } = settings;
  const all: ClassImage[] = [];
  for (const images of wanted) {
    const before = all.length;
    const size = latentSize(opened.base, images.size);
    const pictures = images.batch;
    const shape = { pictures, size, guided: settings.classGuidanceScale > 1, loraPaths: [], clipSkip };
    const load = () => loadPipeline(context, opened, '', shape);
    const onProgress: WorkContext['onProgress'] = (progress) =>
      context.onProgress({ ...progress, step: before + progress.step, steps });
    const drawn = await classImages(images, opened, pictures, load, { ...context, onProgress });
    all.push(...drawn.map((picture) => ({ picture, prompt: images.prompt })));
  }
  return all;
}

export interface ClassImages {
  readonly prompt: string;
  readonly count: number;
  readonly size: PictureSize;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly clipSkip: number;
}

/**
 * Pictures of the class by the frozen base, several at a time; kept in the cache by all that makes them. Progress is told
 * where one is drawn.
 */
export async function classImages(
  images: ClassImages,
  opened: OpenedBase,
  batch: number,
  load: () => Promise<Pipeline>,
  { home, onProgress, signal }: WorkContext,
): Promise<RgbImage[]> {
  const { prompt, count, size, steps, guidanceScale } = images;
  const { base } = opened;
  const folder = makeFolder(cacheFolder(home, images, opened, batch));

  const fileOf = (index: number) => join(folder, `${index}.png`);
  const { tokens } = tokenizePrompt(base, prompt);
  const groups = Array.from({ length: Math.ceil(count / batch) }, (_, group) =>
    Array.from({ length: batch }, (_, i) => group * batch + i),
  );
  const isWhole = (group: readonly number[]) => group.every((index) => existsSync(fileOf(index)));
  const areThere = groups.every(isWhole);
  if (!areThere) onProgress({ phase: 'class-images', step: 0, steps: count });
  for (const indices of groups) {
    signal.throwIfAborted();
    if (!isWhole(indices)) {
      const pipeline = await load();
      const pictures = await pipeline.draw({
        prompts: indices.map(() => [tokens]),
        negativePrompt: null,
        seeds: indices,
        scheduler: classImageScheduler,
        steps,
        guidanceScale,
        loras: [],
        signal,
      });
      for (const [i, planes] of pictures.entries()) {
        await writePng(fileOf(indices[i]!), fromPlanes(planes, size));
      }
    }
    const step = Math.min(count, indices.at(-1)! + 1);
    if (!areThere) onProgress({ phase: 'class-images', step, steps: count, imagesPerStep: 1 });
  }
  return Promise.all(Array.from({ length: count }, (_, index) => readImage(fileOf(index))));
}

/** By all that makes them. */
function cacheFolder(
  home: Home,
  { prompt, size: { width, height }, steps, guidanceScale, clipSkip }: ClassImages,
  { contents }: OpenedBase,
  batch: number,
): string {
  const shape = width === height ? { side: width } : { width, height };
  const made = {
    ...{
      fingerprint: contents,
      prompt,
      ...shape,
      steps,
      guidanceScale,
      scheduler: classImageScheduler,
      batch,
    },
    ...(clipSkip === 0 ? {} : { clipSkip }),
  };
  const key = createHash('sha256').update(JSON.stringify(made)).digest('hex').slice(0, 24);
  return join(home.cache, 'class-images', key);
}
