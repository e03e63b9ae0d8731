/** Pictures of a published protocol as they came: what its figures are of, for people to look at. */
import { join } from 'node:path';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { contactSheet } from '../images/contact-sheet';
import { encodePng } from '../images/png';
import { readImage } from '../images/read-image';
import type { RgbImage } from '../images/rgb-image';
import type { Block } from '../reports/report';

export interface SheetRow {
  readonly label: string;
  /** Files from the protocol's folder, and what was asked for. */
  readonly pictures: readonly { readonly file: string; readonly text: string }[];
}

/** Nobody looks through more; those that are shown are spread over all. */
const mostRows = 30;

/** Kept as `name` in `folder`. What cannot be read any more is left out; of nothing there is no sheet. Throws DiskFullError. */
export async function protocolSheet(
  folder: string,
  name: string,
  rows: readonly SheetRow[],
  words: string,
): Promise<Block[]> {
  const every = Math.max(1, rows.length / mostRows);
  const shown = rows.filter((_, i) => i === 0 || Math.floor(i / every) > Math.floor((i - 1) / every));
  const drawn = [];
  for (const { label, pictures } of shown) {
    const read = await Promise.all(
      pictures.map(async ({ file, text }) => ({ text, image: await readable(join(folder, file)) })),
    );
    const sound = read.flatMap(({ text, image }) => (image === undefined ? [] : [{ text, image }]));
    if (sound.length === 0) continue;
    drawn.push({
      // Names of folders are one word, which would not break into lines.
      label: label.replaceAll('_', ' '),
      images: sound.map(({ image }) => image),
      captions: sound.map(({ text }) => text),
    });
  }
  if (drawn.length === 0) return [];
  const png = await encodePng(await contactSheet(drawn));
  writeFileAtomically(join(folder, name), [png]);
  const part = shown.length < rows.length ? `${shown.length} of ${rows.length}, spread evenly. ` : '';
  return [{ kind: 'picture', png, file: name, caption: `${words} ${part}None is picked.` }];
}

const readable = (file: string): Promise<RgbImage | undefined> => readImage(file).catch(() => undefined);
