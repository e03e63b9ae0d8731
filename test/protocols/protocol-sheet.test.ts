import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readImage } from '../../sdk/images/read-image';
import { protocolSheet } from '../../sdk/protocols/protocol-sheet';
import { paint } from './protocol-engine';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'protocol-sheet-'));
  mkdirSync(join(folder, 'pictures'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const row = (n: number) => ({
  label: `dog${n}`,
  pictures: [0, 1].map((k) => ({ file: `pictures/${n}-${k}.png`, text: `a dog ${k}` })),
});

test('is a row a subject, of what can be read', async () => {
  const rows = [row(0), row(1), row(2)];
  await paint(join(folder, 'pictures/0-0.png'), [255, 0, 0]);
  await paint(join(folder, 'pictures/0-1.png'), [0, 0, 255]);
  await paint(join(folder, 'pictures/1-1.png'), [0, 255, 0]);
  writeFileSync(join(folder, 'pictures/1-0.png'), 'no picture');
  const blocks = await protocolSheet(folder, 'sheet.png', rows, 'The first two.');
  expect(blocks).toMatchObject([
    { kind: 'picture', file: 'sheet.png', caption: 'The first two. None is picked.' },
  ]);
  const sheet = await readImage(join(folder, 'sheet.png'));
  expect(readFileSync(join(folder, 'sheet.png')).equals((blocks[0] as { png: Uint8Array }).png)).toBe(true);
  const has = ([r, g, b]: readonly number[]) =>
    sheet.data.some((_, i) => i % 3 === 0 && [r, g, b].every((value, c) => sheet.data[i + c] === value));
  expect(
    [
      [255, 0, 0],
      [0, 0, 255],
      [0, 255, 0],
      [255, 255, 0],
    ].map(has),
  ).toEqual([true, true, true, false]);
  // Of the third, whose pictures are all gone, there is no row.
  expect(sheet.height).toBeLessThan(2 * 200);
});

test('of many rows thirty are shown, first to last', async () => {
  const rows = Array.from({ length: 150 }, (_, n) => ({ ...row(n), pictures: row(n).pictures.slice(0, 1) }));
  await Promise.all(rows.map(({ pictures }) => paint(join(folder, pictures[0]!.file), [9, 9, 9])));
  const [block] = await protocolSheet(folder, 'sheet.png', rows, 'The first.');
  expect(block).toMatchObject({ caption: 'The first. 30 of 150, spread evenly. None is picked.' });
});

test('of nothing there is none', async () => {
  expect(await protocolSheet(folder, 'sheet.png', [row(0)], '')).toEqual([]);
  expect(existsSync(join(folder, 'sheet.png'))).toBe(false);
});
