import sharp from 'sharp';
import { type ResizeFilter, resize } from './resize';
import type { RgbImage } from './rgb-image';

export interface ContactSheetRow {
  /** Drawn left of the pictures. */
  readonly label?: string;
  readonly images: readonly RgbImage[];
  /** Drawn under the pictures, one each. */
  readonly captions?: readonly string[];
}

export interface ContactSheetOptions {
  /** Width and height of a cell in pixels; default 128. A picture keeps its shape within it. */
  readonly cell?: number;
  /** Pixels between cells and around all; default 8. */
  readonly gap?: number;
  /** `nearest` enlarges by whole factors only, so that drawn pixels stay squares; default `lanczos`. */
  readonly scaling?: 'nearest' | ResizeFilter;
  /** Drawn above all rows. */
  readonly title?: string;
}

const background = 0xfa;
const lettering = '#333333';

/**
 * Pictures in rows on a light ground, rows labelled at the left. Labels take the machine's sans-serif font; on a
 * machine without fonts their place stays blank.
 */
export async function contactSheet(
  rows: readonly ContactSheetRow[],
  { cell = 128, gap = 8, scaling = 'lanczos', title }: ContactSheetOptions = {},
): Promise<RgbImage> {
  const fontSize = Math.max(11, Math.round(cell / 8));
  const lines = rows.map(({ label = '' }) => wrap(label, 16));
  const longest = Math.max(0, ...lines.flat().map((line) => line.length));
  const left = longest === 0 ? gap : gap * 2 + Math.ceil(longest * fontSize * 0.62);
  const top = title === undefined ? gap : gap * 2 + Math.ceil(fontSize * 1.4);
  const columns = Math.max(1, ...rows.map(({ images }) => images.length));
  const width = left + columns * (cell + gap);
  const captionSize = Math.max(9, Math.round(cell / 12));
  // As many letters as have room under a picture.
  const letters = Math.round(cell / (captionSize * 0.6));
  const notes = rows.map(({ captions = [] }) => captions.map((text) => wrap(text, letters)));
  const tops: number[] = [];
  let height = top;
  for (const columnNotes of notes) {
    tops.push(height);
    const deepest = Math.max(0, ...columnNotes.map((words) => words.length));
    height += cell + gap + Math.ceil(deepest * captionSize * 1.3);
  }
  if (rows.length === 0) height += cell + gap;

  const data = new Uint8Array(width * height * 3).fill(background);
  for (const [row, { images }] of rows.entries()) {
    for (const [column, image] of images.entries()) {
      const fitted = fitInto(image, cell, scaling);
      const x = left + column * (cell + gap) + Math.floor((cell - fitted.width) / 2);
      const y = tops[row]! + Math.floor((cell - fitted.height) / 2);
      paste({ width, height, data }, fitted, x, y);
    }
  }
  if (longest === 0 && title === undefined && notes.flat().length === 0) return { width, height, data };

  const texts = lines.flatMap((words, row) => {
    const middle = tops[row]! + cell / 2;
    return words.map((line, i) =>
      textElement(line, gap, middle + ((i - (words.length - 1) / 2) * 1.25 + 0.35) * fontSize, fontSize),
    );
  });
  for (const [row, columnNotes] of notes.entries()) {
    for (const [column, words] of columnNotes.entries()) {
      const x = left + column * (cell + gap) + cell / 2;
      for (const [i, line] of words.entries()) {
        const y = tops[row]! + cell + (i + 1) * captionSize * 1.3;
        texts.push(textElement(line, x, y, captionSize, 'middle'));
      }
    }
  }
  if (title !== undefined) texts.push(textElement(title, gap, gap + fontSize * 1.2, fontSize * 1.15));
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${texts.join('')}</svg>`;
  const drawn = await sharp(data, { raw: { width, height, channels: 3 } })
    .composite([{ input: Buffer.from(svg) }])
    .removeAlpha()
    .raw()
    .toBuffer();
  return { width, height, data: new Uint8Array(drawn.buffer, drawn.byteOffset, drawn.length) };
}

function fitInto(image: RgbImage, cell: number, scaling: 'nearest' | ResizeFilter): RgbImage {
  const scale = cell / Math.max(image.width, image.height);
  if (scaling === 'nearest' && scale >= 1) return repeatPixels(image, Math.floor(scale));
  const side = (pixels: number) => Math.max(1, Math.round(pixels * scale));
  return resize(image, side(image.width), side(image.height), scaling === 'nearest' ? 'lanczos' : scaling);
}

/** Every pixel becomes a square of `factor` × `factor`. */
function repeatPixels(image: RgbImage, factor: number): RgbImage {
  const width = image.width * factor;
  const height = image.height * factor;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (Math.floor(y / factor) * image.width + Math.floor(x / factor)) * 3;
      data.set(image.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return { width, height, data };
}

function paste(sheet: RgbImage, image: RgbImage, x: number, y: number): void {
  for (let row = 0; row < image.height; row++) {
    const line = image.data.subarray(row * image.width * 3, (row + 1) * image.width * 3);
    sheet.data.set(line, ((y + row) * sheet.width + x) * 3);
  }
}

/** Breaks a label at blanks into lines of about `length` letters. */
function wrap(label: string, length: number): string[] {
  const lines: string[] = [];
  for (const word of label.split(' ').filter(Boolean)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < length) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function textElement(text: string, x: number, y: number, size: number, anchor = 'start'): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return `<text x="${x}" y="${y}" font-family="sans-serif" font-size="${size}" text-anchor="${anchor}" fill="${lettering}">${escaped}</text>`;
}
