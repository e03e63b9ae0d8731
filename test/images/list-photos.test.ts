import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InvalidOptionError, MissingFileError } from '../../sdk/errors';
import { listPhotos } from '../../sdk/images/list-photos';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'album-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const put = (...names: string[]) => {
  for (const name of names) writeFileSync(join(folder, name), '');
};
const inFolder = (...names: string[]) => names.map((name) => join(folder, name));

test('a folder’s photos in order, other files passed over and listed', () => {
  put('10.jpg', '2.JPG', 'a.png', 'b.webp', 'phone.heic', 'notes.txt', '.DS_Store', '.hidden.jpg');
  mkdirSync(join(folder, 'more.jpg'));
  const { photos, warnings } = listPhotos([folder]);
  expect(photos).toEqual(inFolder('2.JPG', '10.jpg', 'a.png', 'b.webp', 'phone.heic'));
  expect(warnings).toEqual([`Passed over in ${folder}, not being photos: more.jpg, notes.txt.`]);
});

test('captions and masks beside photos are theirs, in folders and among files', () => {
  put('a.jpg', 'a.txt', 'a.caption', 'a-masklabel.png', 'b.png', 'c-masklabel.png', 'c.txt');
  const { photos, warnings } = listPhotos([folder]);
  expect(photos).toEqual(inFolder('a.jpg', 'b.png', 'c-masklabel.png'));
  expect(warnings).toEqual([`Passed over in ${folder}, not being photos: c.txt.`]);
  expect(listPhotos(inFolder('a-masklabel.png', 'a.jpg', 'a.txt', 'b.png')).photos).toEqual(
    inFolder('a.jpg', 'b.png'),
  );
});

test('files as they are, whatever their name', () => {
  put('photo', 'b.jpg', 'a.jpg');
  expect(listPhotos(inFolder('photo', 'b.jpg', 'a.jpg'))).toEqual({
    photos: inFolder('photo', 'b.jpg', 'a.jpg'),
    warnings: [],
  });
});

test('a photo named twice is used once', () => {
  put('a.jpg', 'b.jpg');
  symlinkSync('a.jpg', join(folder, 'c.jpg'));
  const { photos, warnings } = listPhotos([folder, ...inFolder('b.jpg')]);
  expect(photos).toEqual(inFolder('a.jpg', 'b.jpg'));
  expect(warnings).toHaveLength(2);
});

test('one photo works, with a warning', () => {
  put('only.jpg');
  expect(listPhotos(inFolder('only.jpg')).warnings).toEqual([
    expect.stringMatching(/one photo, .*only\.jpg; 3 to 5/),
  ]);
});

test('no photos', () => {
  expect(() => listPhotos([])).toThrow(InvalidOptionError);
  expect(() => listPhotos([])).toThrow(/no photos: give 3 to 6/);
  put('notes.txt');
  expect(() => listPhotos([folder])).toThrow(/no photos in .*Passed over .*notes\.txt/);
});

test('too many', () => {
  put(...Array.from({ length: 21 }, (_, i) => `${i}.jpg`));
  expect(() => listPhotos([folder])).toThrow(/21 photos are too many.*at most 20/);
  rmSync(join(folder, '20.jpg'));
  expect(listPhotos([folder]).photos).toHaveLength(20);
});

test('a path that is not there', () => {
  expect(() => listPhotos(inFolder('gone.jpg'))).toThrow(MissingFileError);
});
