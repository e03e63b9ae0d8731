/** A disk that fills up while a subject is learned: told as such, and all that was there before stays. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openSafetensors } from '../../sdk/checkpoint/safetensors';
import { DiskFullError, UnwritablePathError } from '../../sdk/errors';
import { writePng } from '../../sdk/images/png';
import { createEngine, type EngineOptions } from '../../sdk/jobs/engine';
import { listJobs } from '../../sdk/jobs/jobs';
import type { PersonalizationSettings } from '../../sdk/work/personalization-settings';
import type { ProgressEvent } from '../../sdk/work/progress';

const disk = vi.hoisted(() => ({ full: false }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const writeSync = (...call: unknown[]) => {
    if (disk.full) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    return (real.writeSync as (...call: unknown[]) => number)(...call);
  };
  return { ...real, writeSync };
});

const base = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
const workerModule = join(import.meta.dirname, 'fake-work.mjs');
let folder: string;
let photo: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-full-'));
  photo = join(folder, 'photo.png');
  await writePng(photo, { width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(90) });
});
afterEach(() => {
  disk.full = false;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const engineIn = (home: string, options: EngineOptions = {}) =>
  createEngine({ home: join(folder, home), base, mode: 'in-process', ...options });
const dog = { className: 'dog', name: 'rex' };
const atStep = (wanted: number, act: () => void) => (event: ProgressEvent) => {
  if (event.kind === 'step-end' && event.phase === 'train' && event.step === wanted) act();
};
const fill = () => {
  disk.full = true;
};

test('the checkpoint from before is whole, and the job goes on from it to the same bits', async () => {
  const settings: PersonalizationSettings = {
    steps: 6,
    checkpointEvery: 2,
    prior: 'none',
    rank: 1,
    targetModules: ['to_v'],
  };
  const request = { ...dog, images: [photo], settings };
  const engine = engineIn('filled');
  const failure = await engine.personalize(request, { onProgress: atStep(4, fill) }).catch((error) => error);
  expect(failure).toBeInstanceOf(DiskFullError);
  expect(failure.message).toMatch(/No room on the disk to write .*checkpoint\.safetensors/);
  disk.full = false;
  const [job] = listJobs(engine.home);
  expect(job).toMatchObject({ state: 'stopped' });
  const files = readdirSync(join(engine.home.jobs, job!.id)).sort();
  expect(files).toEqual(['checkpoint.safetensors', 'job.json', 'log.jsonl', 'photos']);
  const { metadata } = openSafetensors(join(engine.home.jobs, job!.id, 'checkpoint.safetensors'));
  expect(JSON.parse(metadata['progress']!).step).toBe(2);

  const steps: number[] = [];
  const onProgress = (event: ProgressEvent) =>
    event.kind === 'step-end' && event.phase === 'train' && steps.push(event.step);
  const resumed = await engine.resume(job!.id, { onProgress });
  expect(steps).toEqual([2, 3, 4, 5, 6]);
  const straight = await engineIn('roomy').personalize(request);
  const lora = (subject: { folder: string }) => readFileSync(join(subject.folder, 'lora.safetensors'));
  expect(lora(resumed).equals(lora(straight))).toBe(true);
});

test('notes of progress that find no room stop nothing', async () => {
  const engine = engineIn('notes', { workerModule });
  // Longer than the second between two notes.
  const request = { ...dog, className: 'slow', images: [photo], settings: { steps: 60 } };
  let [full, empty] = [0, 0];
  const subject = await engine.personalize(request, {
    onProgress(event) {
      atStep(1, () => {
        full = Date.now();
        disk.full = true;
      })(event);
      atStep(55, () => {
        empty = Date.now();
        disk.full = false;
      })(event);
    },
  });
  expect(empty - full).toBeGreaterThan(1_100);
  expect(subject.name).toBe('rex');
});

test('a job that finds no room to begin leaves nothing, and its name is free', async () => {
  const engine = engineIn('begun', { workerModule });
  fill();
  const failure = await engine.personalize({ ...dog, images: [photo] }).catch((error) => error);
  expect(failure).toBeInstanceOf(DiskFullError);
  disk.full = false;
  expect(listJobs(engine.home)).toEqual([]);
  expect((await engine.personalize({ ...dog, images: [photo] })).name).toBe('rex');
});

test('a picture that finds no room, or no folder, leaves what was there', async () => {
  const [picture] = await engineIn('pictures', { workerModule }).generate({ prompt: 'a dog' });
  const file = join(folder, 'picture.png');
  writeFileSync(file, 'an older one');
  fill();
  await expect(picture!.save(file)).rejects.toThrow(DiskFullError);
  disk.full = false;
  expect(readFileSync(file, 'utf8')).toBe('an older one');
  await expect(picture!.save(join(file, 'within.png'))).rejects.toThrow(UnwritablePathError);
  await expect(picture!.save(folder)).rejects.toThrow(UnwritablePathError);
  expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
});
