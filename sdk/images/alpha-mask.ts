import { UnreadableImageError } from '../errors';
import { encodePng } from './png';
import { readAlpha } from './read-image';

/**
 * A mask as OpenAI's clients send one, transparent where to draw, as this package takes one: a PNG that is white
 * there. Throws UnreadableImageError, also for a picture that is nowhere transparent.
 */
export async function maskFromAlpha(picture: Uint8Array, name: string): Promise<Uint8Array> {
  const alpha = await readAlpha(picture, { name });
  if (alpha === undefined)
    throw new UnreadableImageError(name, `${name} is nowhere transparent: make it so where to draw anew.`);
  return encodePng({ ...alpha, data: alpha.data.map((value) => 255 - value) });
}
