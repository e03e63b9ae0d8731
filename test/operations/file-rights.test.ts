import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MissingFileError } from '../../sdk/errors';
import { createFileRights, type FileRights } from '../../sdk/operations/file-rights';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'dreambooth-rights-')));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (...names: string[]) => join(folder, ...names);
let rights: FileRights;
beforeAll(async () => {
  for (const name of ['inbox', 'photos', 'photos/rex', 'photos/empty', 'photos/led', 'elsewhere'])
    mkdirSync(at(name));
  await sharp({ create: { width: 8, height: 8, channels: 3, background: '#f00' } }).toFile(
    at('photos/1.png'),
  );
  const places = [
    'photos/rex/1.png',
    'photos/rex/2.png',
    'photos/led/1.png',
    'inbox/1',
    'elsewhere/secret.png',
  ];
  for (const place of places) copyFileSync(at('photos/1.png'), at(place));
  writeFileSync(at('photos/rex/notes.md'), 'no picture');
  writeFileSync(at('photos/text.png'), 'this is a text, and no picture at all');
  writeFileSync(at('photos/large.png'), new Uint8Array(31e6));
  symlinkSync(at('elsewhere/secret.png'), at('photos/link.png'));
  symlinkSync(at('elsewhere/secret.png'), at('photos/led/2.png'));
  symlinkSync('/dev/zero', at('photos/zero.png'));
  rights = createFileRights([at('inbox'), at('photos')]);
});

test('a picture, and a folder of them with other files beside, may be read', () => {
  expect(rights.pictures('photos', at('photos/1.png'))).toBe(at('photos/1.png'));
  expect(rights.pictures('photos', at('photos/rex'))).toBe(at('photos/rex'));
  expect(rights.pictures('photos', at('inbox/1'))).toBe(at('inbox/1'));
  const everywhere = createFileRights(null);
  expect(everywhere.pictures('photos', at('elsewhere'))).toBe(at('elsewhere'));
});

describe('what may not be read is named by where it lies, with what to give:', () => {
  const outside = 'outside the folders that this server may use';
  test.each<[string, string, string]>([
    ['a path elsewhere', '/etc/passwd', 'start the server with --allow-dir /etc.'],
    ['what is not there, as what is', '/etc/none/at/all', `/etc/none/at/all lies ${outside}`],
    [
      'a way out',
      `${at('photos')}/../elsewhere/secret.png`,
      `start the server with --allow-dir ${at('elsewhere')}.`,
    ],
    ['a folder elsewhere', at('elsewhere'), outside],
    [
      'a link out',
      at('photos/link.png'),
      `link.png leads to ${at('elsewhere/secret.png')}, which lies ${outside}`,
    ],
    ['what to allow for a link', at('photos/link.png'), `--allow-dir ${at('elsewhere')}.`],
    ['a link out of a folder of photos', at('photos/led'), `2.png leads to ${at('elsewhere/secret.png')}`],
    ['a device behind a link', at('photos/zero.png'), outside],
    ['what others sent', at('inbox'), 'name files one by one'],
    ['a folder without pictures', at('photos/empty'), `There are no photos in ${at('photos/empty')}`],
    ['a text', at('photos/text.png'), 'is no picture'],
    ['31 MB', at('photos/large.png'), 'has 31 MB, at most 30'],
    ['a relative path, of what is there', 'photos/rex', `is no absolute path: write ${at('photos/rex')}.`],
    ['one from the folder itself', 'rex', `is no absolute path: write ${at('photos/rex')}.`],
    [
      'one that leads out',
      '../elsewhere',
      `write it out from /, in a folder that this server may use (${at('photos')})`,
    ],
    ['one of what is not there', 'none', `this server may use (${at('photos')}), as ${at('photos/none')}.`],
  ])('%s', (_, path, message) => {
    expect(() => rights.pictures('photos', path)).toThrow(message);
  });

  test('a folder where one picture is asked for, and a relative path to write to', () => {
    expect(() => rights.picture('image', at('photos/rex'))).toThrow('is a folder: name one picture in it');
    expect(() => rights.target('path', 'rex.safetensors')).toThrow('is no absolute path');
  });

  test('without folders to name', () => {
    expect(() => createFileRights([at('inbox')]).picture('image', '/etc/passwd')).toThrow('none was allowed');
  });

  test('a folder to allow that is not there', () => {
    expect(() => createFileRights([at('inbox'), at('none')])).toThrow(MissingFileError);
  });
});
