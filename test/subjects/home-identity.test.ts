import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openHome } from '../../sdk/subjects/home';
import { homeIdentity } from '../../sdk/subjects/home-identity';

const racing = vi.hoisted(() => ({ before: null as (() => void) | null }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const renameSync = (from: string, to: string) => {
    if (to.endsWith('identity')) {
      const first = racing.before;
      racing.before = null;
      first?.();
    }
    return real.renameSync(from, to);
  };
  return { ...real, renameSync };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a home keeps its identity, and another has another', () => {
  const home = openHome(join(folder, 'one'));
  const identity = homeIdentity(home);
  expect(identity).toMatch(/^[0-9a-f]{16}$/);
  expect(homeIdentity(home)).toBe(identity);
  expect(homeIdentity(openHome(join(folder, 'another')))).not.toBe(identity);
});

test('of two that make it at the same moment both have the same, and nothing is left over', () => {
  const home = openHome(folder);
  let first = '';
  racing.before = () => {
    first = homeIdentity(home);
  };
  expect(homeIdentity(home)).toBe(first);
  expect(readdirSync(folder)).toEqual(['identity']);
});
