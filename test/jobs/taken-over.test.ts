/** A holder that slept until another process took its job, as a laptop that was closed: what the other wrote stays. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { takeLock } from '../../sdk/checkpoint/file-lock';
import { JobStateError } from '../../sdk/errors';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import { createDrawing, holdJob, readJob } from '../../sdk/jobs/jobs';
import { openHome } from '../../sdk/subjects/home';
import { subjectNames } from '../../sdk/subjects/subjects';
import type { ProgressEvent } from '../../sdk/work/progress';

let folder: string;
let engine: Engine;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  mkdirSync(join(folder, 'base'));
  writeFileSync(join(folder, '1.png'), 'a photo');
  engine = createEngine({
    home: join(folder, 'home'),
    base: join(folder, 'base'),
    workerModule: join(import.meta.dirname, 'fake-work.mjs'),
    mode: 'in-process',
  });
});
afterEach(async () => {
  await engine.close();
  rmSync(folder, { recursive: true });
});

/** What another machine does that finds a silent lock, as far as the record goes; `ends`: it is through with the job. */
function takeOver(jobs: string, id: string, ends: boolean): void {
  const at = (name: string) => join(jobs, id, name);
  writeFileSync(at('lock'), JSON.stringify({ pid: 1, host: 'elsewhere', started: null }));
  const record = JSON.parse(readFileSync(at('job.json'), 'utf8'));
  writeFileSync(at('job.json'), JSON.stringify({ ...record, state: ends ? 'done' : 'running' }));
  if (ends) rmSync(at('lock'));
}

test.each([
  ['fails when it wakes', 'diverge', true, 'done'],
  ['works on when it wakes', 'slow', true, 'done'],
  ['is through with it when it wakes', 'dog', false, 'running'],
])('one that %s changes nothing of it', async (_, className, ends, state) => {
  let job = '';
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === 'job-start') job = event.job;
    if (event.kind === 'step-end' && event.step === 0) takeOver(engine.home.jobs, job, ends);
  };
  const request = { images: [join(folder, '1.png')], className, name: 'rex', settings: { steps: 60 } };
  const error = await engine.personalize(request, { onProgress }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(JobStateError);
  expect((error as Error).message).toMatch(/was taken over by another process .* `jobs show rex-/);
  expect(readJob(engine.home, job)).toMatchObject({ state, error: null });
  expect(subjectNames(engine.home)).toEqual([]);
  expect(existsSync(join(engine.home.jobs, job, 'photos'))).toBe(true);
});

test('a job is not written by who lost it, nor its lock kept alive or removed', () => {
  const home = openHome(join(folder, 'home'));
  const place = { owner: 'ann', scope: null, host: 'mcp', attended: false, turn: 0, replyTo: null };
  const { id } = createDrawing(home, { prompt: 'a dog', seed: 1, count: 1, request: {} }, {}, place);
  const held = holdJob(home, id);
  takeOver(home.jobs, id, false);
  expect(held.isHeld()).toBe(false);
  expect(() => held.update({ state: 'failed' })).toThrow(/and is running there/);
  const lock = join(home.jobs, id, 'lock');
  utimesSync(lock, new Date(0), new Date(0));
  held.beat();
  held.release();
  // Silent since 1970, and still there.
  expect(readJob(home, id).state).toBe('queued');
  expect(existsSync(lock)).toBe(true);
});

test('a lock that this process lost and has again is held once', () => {
  const path = join(folder, 'lock');
  const take = () => {
    const lock = takeLock(path);
    if ('heldBy' in lock) throw new Error('held');
    return lock;
  };
  const first = take();
  rmSync(path);
  const second = take();
  first.release();
  expect([first.isHeld(), second.isHeld()]).toEqual([false, true]);
  second.release();
  expect(existsSync(path)).toBe(false);
});
