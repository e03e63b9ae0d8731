import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BrokenFileError, InvalidNameError, NameTakenError, UnknownSubjectError } from '../../sdk/errors';
import { defaultHomeFolder, type Home, openHome } from '../../sdk/subjects/home';
import { checkSubjectName, likelyMeant, nameStem } from '../../sdk/subjects/subject-name';
import {
  createSubject,
  deleteSubject,
  listSubjects,
  type NewSubject,
  readSubject,
  renameSubject,
  subjectNames,
} from '../../sdk/subjects/subjects';

let home: Home;
beforeEach(() => {
  home = openHome(mkdtempSync(join(tmpdir(), 'dreambooth-')));
});
afterEach(() => rmSync(home.folder, { recursive: true }));

const record: NewSubject = {
  id: 's-1',
  className: 'dog',
  identifier: 'olis',
  instancePrompt: 'a photo of olis dog',
  kind: 'lora',
  base: { path: 'toybox', fingerprint: 'f' },
  settings: { rank: 4 },
  seed: 0,
  steps: 12,
  createdAt: '2026-01-01T00:00:00.000Z',
  photos: [{ name: '1.png', sha256: '0'.repeat(64) }],
  versions: {},
};
const unsaid = { job: null, owner: 'local', scope: null, consent: null, files: expect.any(Array) };
function weights(): string {
  const folder = mkdtempSync(join(home.folder, 'draft-'));
  writeFileSync(join(folder, 'lora.safetensors'), 'weights');
  return folder;
}
const create = (name: string, createdAt = record.createdAt) =>
  createSubject(home, name, { ...record, createdAt }, weights());

describe('the subject store', () => {
  test('a subject moves in whole, and is read back', () => {
    const draft = weights();
    const subject = createSubject(home, 'rex', record, draft);
    expect(subject).toEqual({ ...record, ...unsaid, name: 'rex', folder: join(home.subjects, 'rex') });
    expect(readSubject(home, 'rex')).toEqual(subject);
    expect(readdirSync(subject.folder).sort()).toEqual(['lora.safetensors', 'subject.json']);
    expect(existsSync(draft)).toBe(false);
  });

  test('a taken name is refused and the weights stay where they were', () => {
    create('rex');
    const draft = weights();
    expect(() => createSubject(home, 'rex', record, draft)).toThrow(NameTakenError);
    expect(existsSync(join(draft, 'lora.safetensors'))).toBe(true);
  });

  test.each(['', '../x', 'a/b', 'Rex', '.rex', '-rex', 'a b', 'ü', 'x'.repeat(41), 'con', 'rex\n'])(
    'the name %j is refused',
    (name) => {
      expect(() => checkSubjectName(name)).toThrow(InvalidNameError);
      expect(() => create(name)).toThrow(InvalidNameError);
      expect(() => readSubject(home, name)).toThrow(UnknownSubjectError);
      expect(() => deleteSubject(home, name)).toThrow(UnknownSubjectError);
    },
  );

  test('an unknown name lists those that exist, the nearest first', () => {
    for (const name of ['anna', 'rex', 'zed']) create(name);
    expect(() => readSubject(home, 'rax')).toThrow('There is no subject @rax. There are @rex, @zed, @anna.');
    rmSync(home.subjects, { recursive: true });
    expect(() => readSubject(home, 'rax')).toThrow('There are none yet');
  });

  test('lists oldest first, without what is no subject', () => {
    create('b', '2026-01-03T00:00:00.000Z');
    create('c', '2026-01-02T00:00:00.000Z');
    mkdirSync(join(home.subjects, 'half'));
    mkdirSync(join(home.subjects, '.deleted-x'));
    expect(listSubjects(home).map(({ name }) => name)).toEqual(['c', 'b']);
    expect(subjectNames(home)).toEqual(['b', 'c']);
  });

  test('a damaged record is named, and does not hide the others', () => {
    create('a');
    create('b');
    writeFileSync(join(home.subjects, 'a', 'subject.json'), '{"id":1}');
    expect(() => readSubject(home, 'a')).toThrow(BrokenFileError);
    expect(() => readSubject(home, 'a')).toThrow('delete the subject @a');
    const broken: string[] = [];
    expect(listSubjects(home, (error) => broken.push(error.path)).map(({ name }) => name)).toEqual(['b']);
    expect(broken).toEqual([join(home.subjects, 'a', 'subject.json')]);
    deleteSubject(home, 'a');
    expect(subjectNames(home)).toEqual(['b']);
  });

  test('renames, unless the new name is taken or none', () => {
    create('a');
    create('b');
    expect(renameSubject(home, 'a', 'c').name).toBe('c');
    expect(subjectNames(home)).toEqual(['b', 'c']);
    expect(() => renameSubject(home, 'c', 'b')).toThrow(NameTakenError);
    expect(() => renameSubject(home, 'c', '../b')).toThrow(InvalidNameError);
    expect(() => renameSubject(home, 'a', 'd')).toThrow(UnknownSubjectError);
  });

  test('deletes without leaving anything', () => {
    create('a');
    deleteSubject(home, 'a');
    expect(readdirSync(home.subjects)).toEqual([]);
  });
});

test('names from classes, and for slips of the finger', () => {
  expect(nameStem('Toy Car')).toBe('toy-car');
  expect(nameStem('犬')).toBe('subject');
  expect(likelyMeant('ranck', ['rank', 'alpha'])).toBe('rank');
  expect(likelyMeant('foo', ['rank', 'alpha'])).toBeUndefined();
});

test.each([
  [{ DREAMBOOTH_HOME: '/d' }, 'linux', '/d'],
  [{ HOME: '/h' }, 'linux', '/h/.local/share/dreambooth'],
  [{ HOME: '/h', XDG_DATA_HOME: '/x' }, 'linux', '/x/dreambooth'],
  [{ HOME: '/h' }, 'darwin', '/h/Library/Application Support/dreambooth'],
  [{ HOME: '/h', LOCALAPPDATA: '/l' }, 'win32', '/l/dreambooth'],
] as const)('home folder of %j on %s', (environment, platform, expected) =>
  expect(defaultHomeFolder(environment, platform)).toBe(expected),
);
