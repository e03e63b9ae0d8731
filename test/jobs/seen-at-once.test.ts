/** A job is seen by other hosts from the moment in which its record is there, and some of them look for work. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NameTakenError } from '../../sdk/errors';
import { holdJob, readJob } from '../../sdk/jobs/jobs';
import { reserveName } from '../../sdk/jobs/name-reservation';
import { queuePersonalization } from '../../sdk/jobs/personalization';
import { waitingLine } from '../../sdk/jobs/turns';
import { type Home, openHome } from '../../sdk/subjects/home';

const others = vi.hoisted(() => ({ look: (_job: string) => {} }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const renameSync = (from: string, to: string) => {
    real.renameSync(from, to);
    if (basename(to) === 'job.json') others.look(basename(dirname(to)));
  };
  return { ...real, renameSync };
});

let folder: string;
let home: Home;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  mkdirSync(join(folder, 'base'));
  writeFileSync(join(folder, '1.png'), 'a photo');
  home = openHome(join(folder, 'home'));
});
afterEach(() => {
  others.look = () => {};
  rmSync(folder, { recursive: true });
});

test('a queued personalisation is taken by nobody until its name is kept for it', async () => {
  const seen: string[] = [];
  others.look = (job) => {
    seen.push(job);
    expect(() => holdJob(home, job)).toThrow(/is running already/);
    expect(() => reserveName(home, 'rex')).toThrow(NameTakenError);
  };
  const place = { owner: 'ann', scope: null, host: 'mcp', attended: false, turn: 0, replyTo: null };
  const request = { images: [join(folder, '1.png')], className: 'dog', name: 'rex' };
  const defaults = { base: join(folder, 'base'), vae: undefined };
  const { id } = await queuePersonalization(home, request, defaults, () => place);
  expect(seen).toContain(id);
  others.look = () => {};
  expect(waitingLine([readJob(home, id)])).toHaveLength(1);
  expect(() => reserveName(home, 'rex')).toThrow(/about to be learned/);
  reserveName(home, 'rex', undefined, id).release();
});
