import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MissingFileError, UnreadableImageError } from '../../sdk/errors';
import { readImage } from '../../sdk/images/read-image';
import type { RgbImage } from '../../sdk/images/rgb-image';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'photos-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Red, green over blue, white: every turn of it looks different. */
const four = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255);
const quarters = (size = 32) =>
  sharp(four, { raw: { width: 2, height: 2, channels: 3 } }).resize(size, size, { kernel: 'nearest' });

/** The colours at the middles of the four quarters, each channel to 0 or 1. */
const corners = ({ width, height, data }: RgbImage) =>
  [
    [1, 1],
    [3, 1],
    [1, 3],
    [3, 3],
  ].map(([x, y]) => {
    const at = (Math.floor((y! * height) / 4) * width + Math.floor((x! * width) / 4)) * 3;
    return [...data.subarray(at, at + 3)].map((value) => Math.round(value / 255)).join('');
  });
const upright = ['100', '010', '001', '111'];

describe('a picture of any kind becomes 8-bit sRGB', () => {
  test('PNG, from a file, every byte', async () => {
    const path = join(folder, 'four.png');
    writeFileSync(
      path,
      await sharp(four, { raw: { width: 2, height: 2, channels: 3 } })
        .png()
        .toBuffer(),
    );
    expect(await readImage(path)).toEqual({ width: 2, height: 2, data: four });
  });

  test.each(['jpeg', 'webp', 'tiff', 'gif', 'avif'] as const)('%s', async (format) => {
    const image = await readImage(await quarters().toFormat(format).toBuffer());
    expect([image.width, image.height]).toEqual([32, 32]);
    expect(corners(image)).toEqual(upright);
  });

  test.each([
    [1, upright],
    [2, ['010', '100', '111', '001']],
    [3, ['111', '001', '010', '100']],
    [6, ['001', '100', '111', '010']],
    [8, ['010', '111', '100', '001']],
  ])('EXIF orientation %i is applied', async (orientation, wanted) => {
    const bytes = await quarters().jpeg().withMetadata({ orientation }).toBuffer();
    expect(corners(await readImage(bytes))).toEqual(wanted);
  });

  test('EXIF turns width and height too', async () => {
    const bytes = await quarters()
      .resize(40, 20, { fit: 'fill' })
      .jpeg()
      .withMetadata({ orientation: 6 })
      .toBuffer();
    expect(await readImage(bytes)).toMatchObject({ width: 20, height: 40 });
  });

  test('transparent parts lie on white', async () => {
    const rgba = Uint8Array.of(255, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 255);
    const bytes = await sharp(rgba, { raw: { width: 2, height: 2, channels: 4 } })
      .png()
      .toBuffer();
    expect([...(await readImage(bytes)).data]).toEqual([255, 0, 0, 255, 255, 255, 127, 127, 127, 0, 0, 0]);
  });

  test('grey, and grey with transparency, get three channels', async () => {
    const grey = await sharp(Uint8Array.of(0, 100, 200, 255), { raw: { width: 4, height: 1, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    expect((await sharp(grey).metadata()).channels).toBe(1);
    expect([...(await readImage(grey)).data]).toEqual([0, 0, 0, 100, 100, 100, 200, 200, 200, 255, 255, 255]);

    const greyAlpha = await sharp(Uint8Array.of(90, 255, 0, 0), { raw: { width: 2, height: 1, channels: 2 } })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    expect((await sharp(greyAlpha).metadata()).channels).toBe(2);
    expect([...(await readImage(greyAlpha)).data]).toEqual([90, 90, 90, 255, 255, 255]);
  });

  test('16 bits a channel become 8', async () => {
    const deep = Uint16Array.of(0, 0x8080, 0xffff, 0x4040, 0x1010, 0xc0c0);
    const bytes = await sharp(deep, { raw: { width: 2, height: 1, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe('ushort');
    expect([...(await readImage(bytes)).data]).toEqual([0, 0x80, 0xff, 0x40, 0x10, 0xc0]);
  });

  test('16 bits with transparency', async () => {
    const deep = Uint16Array.of(0x8080, 0, 0, 0xffff, 0, 0, 0, 0);
    const bytes = await sharp(deep, { raw: { width: 2, height: 1, channels: 4 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    expect([...(await readImage(bytes)).data]).toEqual([0x80, 0, 0, 255, 255, 255]);
  });

  test('CMYK', async () => {
    const bytes = await quarters().toColourspace('cmyk').jpeg().toBuffer();
    expect((await sharp(bytes).metadata()).space).toBe('cmyk');
    const image = await readImage(bytes);
    expect(image.data).toHaveLength(32 * 32 * 3);
    expect(corners(image)[0]).toBe('100');
    expect(corners(image)[3]).toBe('111');
  });

  test('of an animation the first frame, with a warning', async () => {
    const frames = await Promise.all(
      [four, new Uint8Array(12).fill(9)].map((data) =>
        sharp(data, { raw: { width: 2, height: 2, channels: 3 } })
          .png()
          .toBuffer(),
      ),
    );
    const bytes = await sharp(frames, { join: { animated: true } })
      .webp({ lossless: true })
      .toBuffer();
    const warnings: string[] = [];
    const image = await readImage(bytes, { onWarning: (warning) => warnings.push(warning) });
    expect(image).toEqual({ width: 2, height: 2, data: four });
    expect(warnings).toEqual([expect.stringMatching(/has 2 frames; the first is used/)]);
  });
});

describe('what cannot be read is refused by name', () => {
  const refused = async (
    source: string | Uint8Array,
    message: RegExp,
    type = UnreadableImageError as new (
      ...a: never[]
    ) => Error,
  ) => {
    const reading = readImage(source);
    await expect(reading).rejects.toThrow(type);
    await expect(reading).rejects.toThrow(message);
  };
  const file = (name: string, bytes: string | Uint8Array) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };

  test('a file that is not there', () =>
    refused(join(folder, 'no.jpg'), /no photo .*no\.jpg/, MissingFileError));
  test('a folder', () => {
    mkdirSync(join(folder, 'album'));
    return refused(join(folder, 'album'), /album is a folder/);
  });
  test('0 bytes', () => refused(file('empty.jpg', ''), /empty\.jpg is empty \(0 bytes\)/));
  test('text', () =>
    refused(file('text.jpg', 'not a picture at all'), /text\.jpg cannot be read as a photo/));
  test('an SVG', () =>
    refused(
      file('drawing.png', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      /is SVG, not a photo/,
    ));

  test.each(['jpeg', 'png', 'webp'] as const)('a %s cut short', async (format) => {
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 251);
    const whole = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .toFormat(format)
      .toBuffer();
    const path = file(`short.${format}`, whole.subarray(0, whole.length >> 1));
    await refused(path, new RegExp(`short\\.${format} cannot be read as a photo .*cut short`));
  });

  test('a header that claims 100,000 × 100,000 pixels, before anything is decoded', async () => {
    const png = await sharp(four, { raw: { width: 2, height: 2, channels: 3 } })
      .png()
      .toBuffer();
    png.writeUInt32BE(100_000, 16);
    png.writeUInt32BE(100_000, 20);
    png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
    const before = process.memoryUsage().rss;
    await refused(file('huge.png', png), /huge\.png claims 100000×100000 pixels/);
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28);
  });

  test.each(['heic', 'heix', 'mif1'])('HEIC (%s), with the mend', (brand) =>
    refused(
      file(
        'phone.heic',
        Buffer.concat([
          Buffer.from([0, 0, 0, 24]),
          Buffer.from(`ftyp${brand}\0\0\0\0mif1heic`),
          Buffer.alloc(64),
        ]),
      ),
      /phone\.heic is a HEIC photo.*Convert it to JPEG or PNG/,
    ),
  );
});
