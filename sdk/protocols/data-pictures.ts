/** Pictures in the folders of the protocols' data. */
import { MissingFileError, UnreadableImageError } from '../errors';
import { readImage } from '../images/read-image';

export const isPicture = (name: string): boolean =>
  !name.startsWith('.') && /\.(jpe?g|png|webp)$/i.test(name);

/** What is wrong with a picture. Rejects with what has nothing to do with the picture. */
export async function unreadable(path: string): Promise<string | undefined> {
  try {
    await readImage(path);
  } catch (error) {
    if (error instanceof UnreadableImageError || error instanceof MissingFileError) return error.message;
    throw error;
  }
  return undefined;
}
