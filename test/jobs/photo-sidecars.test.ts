import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BrokenFileError } from '../../sdk/errors';
import { sidecarsOf } from '../../sdk/jobs/photo-sidecars';

let folder: string;
let photo: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidecars-'));
  photo = join(folder, 'rex.1.jpg');
});
afterEach(() => rmSync(folder, { recursive: true }));
const put = (end: string, bytes: string | Uint8Array) => writeFileSync(join(folder, `rex.1${end}`), bytes);

test('a text is the caption, .txt before .caption; a picture the mask', () => {
  expect(sidecarsOf(photo, true)).toEqual({});
  put('.caption', 'another');
  expect(sidecarsOf(photo, true)).toEqual({ caption: 'another' });
  put('.txt', '\ufeff  {subject} on a road,\r\n asleep\n');
  put('-masklabel.png', Uint8Array.of(1, 2));
  expect(sidecarsOf(photo, true)).toMatchObject({
    caption: '{subject} on a road, asleep',
    mask: { length: 2 },
  });
  expect(sidecarsOf(photo, false)).not.toHaveProperty('caption');
});

test('an empty text is no caption', () => {
  put('.txt', ' \n');
  expect(sidecarsOf(photo, true)).toEqual({});
});

test.each([
  ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x61, 0), /not UTF-8 text/],
  ['binary', Uint8Array.of(0x61, 0, 0x62), /not UTF-8 text/],
  ['a book', 'a'.repeat(20_000), /it has 20000 bytes/],
])('%s is refused with the mend', (_, bytes, message) => {
  put('.txt', bytes);
  expect(() => sidecarsOf(photo, true)).toThrow(BrokenFileError);
  expect(() => sidecarsOf(photo, true)).toThrow(message);
  expect(() => sidecarsOf(photo, true)).toThrow('--set captions=false');
  expect(sidecarsOf(photo, false)).toEqual({});
});
