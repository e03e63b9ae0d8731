/** A home that may be read and not written to, as on a disk that is mounted so. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { UnwritablePathError } from '../../sdk/errors';
import { makeFolder, openHome } from '../../sdk/subjects/home';
import { createSubject, deleteSubject, renameSubject, subjectNames } from '../../sdk/subjects/subjects';

const disk = vi.hoisted(() => ({ readOnly: false }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const renameSync: typeof real.renameSync = (from, to) => {
    if (disk.readOnly)
      throw Object.assign(new Error('EROFS: read-only file system, rename'), { code: 'EROFS' });
    real.renameSync(from, to);
  };
  return { ...real, default: { ...real, renameSync }, renameSync };
});

const folder = mkdtempSync(join(tmpdir(), 'dreambooth-read-only-'));
afterEach(() => {
  disk.readOnly = false;
  rmSync(folder, { recursive: true, force: true });
});

test('a subject is neither renamed nor removed, and is there as before', () => {
  const home = openHome(join(folder, 'home'));
  const draft = join(makeFolder(home.cache), 'draft');
  mkdirSync(draft);
  writeFileSync(join(draft, 'lora.safetensors'), 'weights');
  createSubject(
    home,
    'rex',
    {
      id: '1',
      className: 'dog',
      identifier: 'olis',
      instancePrompt: 'a photo of olis dog',
      kind: 'lora',
      base: { path: '/base', fingerprint: '' },
      settings: {},
      seed: 0,
      steps: 1,
      createdAt: new Date(0).toISOString(),
      photos: [],
      versions: {},
    },
    draft,
  );
  disk.readOnly = true;
  expect(() => deleteSubject(home, 'rex')).toThrow(UnwritablePathError);
  expect(() => renameSubject(home, 'rex', 'max')).toThrow(/subjects\/max cannot be written \(EROFS/);
  expect(subjectNames(home)).toEqual(['rex']);
});

test('a home that takes no folder is no wrong option but a place that cannot be written to', () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'file'), '');
  const home = openHome(join(folder, 'file'));
  expect(() => makeFolder(home.jobs)).toThrow(UnwritablePathError);
  expect(() => makeFolder(home.jobs)).toThrow(/--home or DREAMBOOTH_HOME/);
});
