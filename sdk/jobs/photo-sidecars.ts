/** What may lie beside a photo, by the names that kohya's scripts and OneTrainer use. */
import { existsSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { BrokenFileError } from '../errors';

export interface PhotoSidecars {
  /** `1.txt`, else `1.caption`, beside `1.jpg`: what the photo shows, on one line. */
  readonly caption?: string;
  /** The bytes of `1-masklabel.png`: which parts count, white on black. */
  readonly mask?: Uint8Array;
}

/** A caption is a sentence or a list of words; more is another file that has the photo's name. */
const longestCaption = 16 * 1024;

/** Without `captions` texts are left unread. Throws BrokenFileError for a caption that is no text. */
export function sidecarsOf(photo: string, captions: boolean): PhotoSidecars {
  const stem = photo.slice(0, photo.length - extname(photo).length);
  const texts = [`${stem}.txt`, `${stem}.caption`].filter((file) => captions && existsSync(file));
  const caption = texts[0] === undefined ? '' : readCaption(texts[0]);
  const mask = `${stem}-masklabel.png`;
  return {
    ...(caption === '' ? {} : { caption }),
    ...(existsSync(mask) ? { mask: readFileSync(mask) } : {}),
  };
}

function readCaption(file: string): string {
  const bytes = readFileSync(file);
  const wrong = (what: string) =>
    new BrokenFileError(
      file,
      `${file} is no caption: ${what}. Write one line of UTF-8 text on what the photo shows, or leave captions out with --set captions=false.`,
    );
  if (bytes.length > longestCaption) throw wrong(`it has ${bytes.length} bytes`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw wrong('it is not UTF-8 text');
  }
  if (text.includes('\0')) throw wrong('it is not UTF-8 text');
  return text.replace(/\s+/g, ' ').trim();
}
