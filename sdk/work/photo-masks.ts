/** Which parts of a photo count: a grey picture of its size, white what counts, made into weights for its latents. */
import { InvalidOptionError } from '../errors';
import { readAlpha, readImage } from '../images/read-image';
import { resize } from '../images/resize';
import type { RgbImage } from '../images/rgb-image';
import type { TrainingSettings } from '../training/presets';

/** Where a photo and the mask beside it, if any, lie. */
export interface MaskablePhoto {
  readonly file: string;
  readonly name: string;
  readonly mask?: string | undefined;
}

/** How far the shapes of photo and mask may differ, as a share: a pixel of rounding in a small copy. */
const shapeTolerance = 0.02;

/**
 * The masks of decoded photos, of the same sizes; undefined where a photo has none and counts as a whole. Throws
 * InvalidOptionError when masks are asked for and no photo has one, or one has another shape than its photo.
 */
export async function readMasks(
  photos: readonly { readonly photo: MaskablePhoto; readonly picture: RgbImage }[],
  kind: TrainingSettings['masks'],
  onWarning: (message: string) => void,
): Promise<(RgbImage | undefined)[]> {
  const beside = photos.some(({ photo }) => photo.mask !== undefined);
  if (kind === 'none') {
    if (beside) onWarning('Masks lie beside the photos and are not used: --set masks=file does that.');
    return photos.map(() => undefined);
  }
  const masks: (RgbImage | undefined)[] = [];
  for (const { photo, picture } of photos) {
    const mask = kind === 'file' ? await maskFile(photo) : await readAlpha(photo.file, { name: photo.name });
    masks.push(mask && fitted(mask, picture, photo.name));
  }
  const without = photos.flatMap(({ photo }, i) => (masks[i] ? [] : [photo.name]));
  if (without.length === photos.length) {
    throw new InvalidOptionError(
      'masks',
      kind === 'file'
        ? `masks is file, but no photo has a mask: ${maskName(photos[0]!.photo.name)} beside the photo, white what counts, is one. Or choose alpha, or none.`
        : 'masks is alpha, but no photo has transparent parts: give PNG or WebP files cut out from their background, or choose file, or none.',
    );
  }
  if (without.length > 0) onWarning(`Without a mask, so that all of it counts: ${without.join(', ')}.`);
  return masks;
}

const maskName = (photo: string) => `${photo.replace(/\.\w+$/, '')}-masklabel.png`;

const maskFile = async ({ mask, name }: MaskablePhoto): Promise<RgbImage | undefined> =>
  mask === undefined ? undefined : readImage(mask, { name: maskName(name) });

function fitted(mask: RgbImage, { width, height }: RgbImage, name: string): RgbImage {
  const stretch = (mask.width * height) / (mask.height * width);
  if (Math.abs(stretch - 1) > shapeTolerance) {
    throw new InvalidOptionError(
      'masks',
      `The mask of ${name} is ${mask.width}×${mask.height} pixels, the photo ${width}×${height}: draw it on a copy of the photo, so that it has its shape.`,
    );
  }
  return resize(mask, width, height);
}

/**
 * Weights [h, w] of a picture's latents: the mean brightness of each place's `factor` × `factor` pixels, from 0 for black
 * to 1 for white, and at least `unmaskedWeight` (OneTrainer's clamp).
 */
export function latentMask(
  { width, height, data }: RgbImage,
  factor: number,
  unmaskedWeight: number,
): Float32Array {
  const [columns, rows] = [width / factor, height / factor];
  const sums = new Float64Array(columns * rows);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [red, green, blue] = data.subarray((y * width + x) * 3);
      sums[Math.floor(y / factor) * columns + Math.floor(x / factor)]! +=
        0.299 * red! + 0.587 * green! + 0.114 * blue!;
    }
  }
  const white = 255 * factor ** 2;
  return Float32Array.from(sums, (sum) => Math.min(1, Math.max(unmaskedWeight, sum / white)));
}
