import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeFolderOf, makeFolders } from '../../sdk/checkpoint/write-failure';
import { UnwritablePathError } from '../../sdk/errors';

const folder = mkdtempSync(join(tmpdir(), 'write-failure-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('folders are made one in another, and one that is there is left', () => {
  makeFolders(join(folder, 'a/b/c'));
  makeFolders(join(folder, 'a/b/c'));
  expect(existsSync(join(folder, 'a/b/c'))).toBe(true);
});

test('where none can be made is told, and does not hang', () => {
  writeFileSync(join(folder, 'file'), '');
  expect(() => makeFolderOf(join(folder, 'file/x/y.png'))).toThrow(UnwritablePathError);
  expect(() => makeFolders(join(folder, 'file'))).toThrow(UnwritablePathError);
  // Linux has a folder that takes none; elsewhere there is no /proc, and who runs tests may not make one.
  expect(() => makeFolderOf('/proc/x/y.png')).toThrow(UnwritablePathError);
});
