import { expect, test } from 'vitest';
import { contactSheet } from '../../sdk/images/contact-sheet';
import type { RgbImage } from '../../sdk/images/rgb-image';

const plain = (side: number, value: number): RgbImage => ({
  width: side,
  height: side,
  data: new Uint8Array(side * side * 3).fill(value),
});
const at = ({ width, data }: RgbImage, x: number, y: number) => data[(y * width + x) * 3];
/** How many pixels of a rectangle are darker than the ground. */
const ink = (sheet: RgbImage, left: number, top: number, width: number, height: number) => {
  let count = 0;
  for (let y = top; y < top + height; y++) {
    for (let x = left; x < left + width; x++) if (at(sheet, x, y)! < 0x90) count += 1;
  }
  return count;
};

test('pictures lie in rows, enlarged by whole factors, apart by the gap', async () => {
  const rows = [{ images: [plain(2, 10), plain(4, 20)] }, { images: [plain(3, 30)] }];
  const sheet = await contactSheet(rows, { cell: 8, gap: 2, scaling: 'nearest' });
  expect([sheet.width, sheet.height]).toEqual([22, 22]);
  expect([at(sheet, 0, 0), at(sheet, 2, 2), at(sheet, 9, 9), at(sheet, 10, 9)]).toEqual([0xfa, 10, 10, 0xfa]);
  expect(at(sheet, 12, 2)).toBe(20);
  // Three pixels fill six of the eight: centred.
  expect([at(sheet, 2, 12), at(sheet, 3, 13), at(sheet, 8, 18), at(sheet, 9, 19)]).toEqual([
    0xfa, 30, 30, 0xfa,
  ]);
});

test('no pictures make an empty sheet', async () => {
  expect((await contactSheet([])).data.every((value) => value === 0xfa)).toBe(true);
});

test('labels, captions and a title have room of their own, and letters in it', async (context) => {
  const images = [plain(64, 200), plain(64, 200)];
  const bare = await contactSheet([{ images }], { cell: 64 });
  const rows = [{ label: 'photos', images, captions: ['in the snow', 'wearing a very long red hat'] }];
  const sheet = await contactSheet(rows, { cell: 64, title: 'A dog' });
  const left = sheet.width - bare.width;
  expect(left).toBeGreaterThan(20);
  // Two lines of caption under the second picture.
  expect(sheet.height).toBeGreaterThan(bare.height + 30);
  const label = ink(sheet, 0, sheet.height - 64 - 40, left, 60);
  if (label === 0 && !process.env['DREAMBOOTH_REQUIRE_ALL_TESTS']) {
    console.warn('contact-sheet: this machine has no fonts, so that letters are not tested here.');
    context.skip('no fonts on this machine');
  }
  expect(label).toBeGreaterThan(20);
  expect(ink(sheet, 0, 0, sheet.width, 20)).toBeGreaterThan(20);
  expect(ink(sheet, left + 8, sheet.height - 30, 140, 28)).toBeGreaterThan(40);
});
