import { crc32, inflateSync } from 'node:zlib';
import sharp from 'sharp';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import type { RgbImage } from './rgb-image';

/** Keyword → text, as PNG stores them beside the picture; what made a picture is under `parameters`. */
export type PngText = Readonly<Record<string, string>>;

const signatureLength = 8;
/** Length, type, 13 bytes, checksum: the header chunk is always first and always this long. */
const headerEnd = signatureLength + 25;

/** The picture as a PNG file's bytes, with `text` in it. The same bytes for the same picture and text. */
export async function encodePng(image: RgbImage, text: PngText = {}): Promise<Uint8Array> {
  const { width, height, data } = image;
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 6 })
    .toBuffer();
  const chunks = Object.entries(text).map(([keyword, value]) => textChunk(keyword, value));
  return Buffer.concat([png.subarray(0, headerEnd), ...chunks, png.subarray(headerEnd)]);
}

/** Writes a PNG file atomically; see `encodePng`. Throws DiskFullError. */
export async function writePng(path: string, image: RgbImage, text: PngText = {}): Promise<void> {
  writeFileAtomically(path, [await encodePng(image, text)]);
}

/** The texts in a PNG file's bytes, of all three kinds of chunk (tEXt, zTXt, iTXt). Empty for anything not PNG. */
export function readPngText(png: Uint8Array): Record<string, string> {
  const bytes = Buffer.from(png.buffer, png.byteOffset, png.length);
  const texts: Record<string, string> = {};
  if (bytes.length < headerEnd || bytes.readBigUInt64BE() !== 0x89504e470d0a1a0an) return texts;
  for (let at = signatureLength; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const entry = readTextChunk(type, bytes.subarray(at + 8, at + 8 + length));
    if (entry !== undefined) texts[entry[0]] = entry[1];
    at += 12 + length;
  }
  return texts;
}

/** tEXt for Latin-1, which every reader knows; iTXt (UTF-8) for the rest. */
function textChunk(keyword: string, text: string): Buffer {
  if (!/^[\x20-\x7e]{1,79}$/.test(keyword)) {
    throw new RangeError(`A PNG keyword has 1 to 79 plain letters, not ${JSON.stringify(keyword)}.`);
  }
  const isLatin1 = /^[\n\x20-\x7e\xa0-\xff]*$/.test(text);
  return isLatin1
    ? chunk('tEXt', Buffer.from(`${keyword}\0${text}`, 'latin1'))
    : chunk('iTXt', Buffer.from(`${keyword}\0\0\0\0\0${text}`, 'utf8'));
}

function chunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(typed));
  return Buffer.concat([length, typed, checksum]);
}

/** Empty for what is damaged or a bomb: a text is no reason to refuse a picture. */
function inflate(data: Buffer): Buffer {
  try {
    return inflateSync(data, { maxOutputLength: 2 ** 24 });
  } catch {
    return Buffer.alloc(0);
  }
}

function readTextChunk(type: string, data: Buffer): [keyword: string, text: string] | undefined {
  if (type !== 'tEXt' && type !== 'zTXt' && type !== 'iTXt') return undefined;
  const end = data.indexOf(0);
  const keyword = data.toString('latin1', 0, end);
  const rest = data.subarray(end + 1);
  if (type === 'tEXt') return [keyword, rest.toString('latin1')];
  if (type === 'zTXt') return [keyword, inflate(rest.subarray(1)).toString('latin1')];
  // A flag and a method for compression, then language and translated keyword, each ended by a 0.
  const translated = rest.indexOf(0, 2) + 1;
  const text = rest.subarray(rest.indexOf(0, translated) + 1);
  return [keyword, (rest[0] === 1 ? inflate(text) : text).toString('utf8')];
}
