import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { contactSheet } from '../../sdk/images/contact-sheet';
import { encodePng, readPngText, writePng } from '../../sdk/images/png';
import { readImage } from '../../sdk/images/read-image';
import type { RgbImage } from '../../sdk/images/rgb-image';

const image: RgbImage = { width: 5, height: 3, data: Uint8Array.from({ length: 45 }, (_, i) => i * 5) };

test('a written picture is read back, with its texts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'png-'));
  const path = join(folder, 'rex.png');
  const text = { parameters: 'a photo of rex\nSteps: 20, Seed: 42', Title: 'Größe', comment: '犬 🐶' };
  await writePng(path, image, text);
  expect(await readImage(path)).toEqual(image);
  expect(readPngText(readFileSync(path))).toEqual(text);
  rmSync(folder, { recursive: true });
});

test('equal pictures give equal bytes, which another reader takes without complaint', async () => {
  const bytes = await encodePng(image, { parameters: 'x' });
  expect(await encodePng(image, { parameters: 'x' })).toEqual(bytes);
  const { comments } = await sharp(bytes, { failOn: 'warning' }).metadata();
  expect(comments).toEqual([{ keyword: 'parameters', text: 'x' }]);
});

test('compressed texts of other writers are read', async () => {
  const bytes = Buffer.from(await encodePng(image));
  const chunk = (type: string, data: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    return Buffer.concat([length, Buffer.from(type), data, Buffer.alloc(4)]);
  };
  const ztxt = chunk('zTXt', Buffer.concat([Buffer.from('one\0\0', 'latin1'), deflateSync('first')]));
  const itxt = chunk(
    'iTXt',
    Buffer.concat([Buffer.from('two\0\x01\0de\0zwei\0', 'latin1'), deflateSync('zweites ✓')]),
  );
  const patched = Buffer.concat([bytes.subarray(0, 33), ztxt, itxt, bytes.subarray(33)]);
  expect(readPngText(patched)).toEqual({ one: 'first', two: 'zweites ✓' });
});

test('what is no PNG has no texts; a keyword that PNG forbids is refused', async () => {
  expect(readPngText(Buffer.from('GIF89a'))).toEqual({});
  expect(readPngText(new Uint8Array(100))).toEqual({});
  await expect(encodePng(image, { '': 'x' })).rejects.toThrow(/1 to 79/);
});

const plain = (width: number, height: number, value: number): RgbImage => ({
  width,
  height,
  data: new Uint8Array(width * height * 3).fill(value),
});

test('a contact sheet: cells with gaps, pictures fitted and centred', async () => {
  const sheet = await contactSheet(
    [{ images: [plain(8, 8, 0), plain(16, 8, 100)] }, { images: [plain(32, 32, 50)] }],
    {
      cell: 16,
      gap: 4,
      scaling: 'nearest',
    },
  );
  expect([sheet.width, sheet.height]).toEqual([4 + 2 * 20, 4 + 2 * 20]);
  const at = (x: number, y: number) => sheet.data[(y * sheet.width + x) * 3];
  expect([at(4, 4), at(19, 19)]).toEqual([0, 0]);
  expect([at(3, 4), at(20, 4), at(2, 2)]).toEqual([0xfa, 0xfa, 0xfa]);
  expect([at(24, 7), at(24, 8), at(24, 15), at(24, 16)]).toEqual([0xfa, 100, 100, 0xfa]);
  expect(at(10, 30)).toBe(50);
});

test('labels and a title get room of their own', async () => {
  const rows = [{ label: 'a <base> & model', images: [plain(8, 8, 0)] }, { images: [plain(8, 8, 0)] }];
  const bare = await contactSheet(
    rows.map(({ images }) => ({ images })),
    { cell: 64 },
  );
  const labelled = await contactSheet(rows, { cell: 64, title: 'rex' });
  expect(labelled.width).toBeGreaterThan(bare.width + 50);
  expect(labelled.height).toBeGreaterThan(bare.height + 10);
  expect(labelled.data).toHaveLength(labelled.width * labelled.height * 3);
});
