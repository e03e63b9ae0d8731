/** Photos of somebody of the embedded world whom it has never met, as files that are learned from like anyone's. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../checkpoint/write-failure';
import { writePng } from '../images/png';
import { PICTURE_SIZE } from '../toybox/renderer';
import { photoCaption, type ToySubject, toyPhotos } from '../toybox/toy-subject';

/**
 * Writes `1.png` and so on, each with a sentence beside it, as `1.txt`, that says where `mention` is in it. Returns the
 * pictures' paths. `count` is 4 if not given.
 */
export async function writeToyPhotos(
  folder: string,
  toy: ToySubject,
  { count, mention = '{subject}' }: { readonly count?: number; readonly mention?: string } = {},
): Promise<string[]> {
  makeFolders(folder);
  const photos: string[] = [];
  for (const [i, data] of toyPhotos(toy, count).entries()) {
    const file = join(folder, `${i + 1}.png`);
    await writePng(file, { width: PICTURE_SIZE, height: PICTURE_SIZE, data });
    writeFileSync(join(folder, `${i + 1}.txt`), photoCaption(i, mention));
    photos.push(file);
  }
  return photos;
}
