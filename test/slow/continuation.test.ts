/** Going on with a finished subject, on real work: from its weights, with its photos; nothing is lost until it is done. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openSafetensors, readFloat32 } from '../../sdk/checkpoint/safetensors';
import { InvalidOptionError, NameTakenError, StoppedError, WrongBaseError } from '../../sdk/errors';
import { writePng } from '../../sdk/images/png';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import type { PersonalizationRequest } from '../../sdk/jobs/personalization';
import {
  deleteSubject,
  readSubject,
  renameSubject,
  type Subject,
  subjectNames,
} from '../../sdk/subjects/subjects';
import { toyPhotos } from '../../sdk/toybox/toy-subject';
import type { PersonalizationSettings } from '../../sdk/work/personalization-settings';
import type { ProgressEvent } from '../../sdk/work/progress';

const fixtures = join(import.meta.dirname, '../../fixtures/golden');
let folder: string;
let photos: string[];
const engines: Engine[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-continuation-'));
  mkdirSync(join(folder, 'photos'));
  photos = [];
  for (const [i, data] of toyPhotos({ class: 'dog', seed: 3 }).slice(0, 3).entries()) {
    photos.push(join(folder, 'photos', `${i}.png`));
    await writePng(photos.at(-1)!, { width: 64, height: 64, data });
  }
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function engineIn(home: string): Engine {
  const base = join(fixtures, 'sd15-tiny');
  const engine = createEngine({ home: join(folder, home), base, mode: 'in-process' });
  engines.push(engine);
  return engine;
}

/** A rate that AdamW turns into steps of that very size, so that what was learned can be told from its start. */
const settings: PersonalizationSettings = {
  preset: 'sd15-lora',
  steps: 2,
  prior: 'none',
  rank: 2,
  alpha: 1,
  targetModules: ['to_v', 'to_out.0'],
  learningRate: 1e-2,
  weightDecay: 0,
};

const learn = (engine: Engine, more: PersonalizationSettings = {}) =>
  engine.personalize({
    images: photos.slice(0, 2),
    className: 'dog',
    name: 'rex',
    seed: 4,
    settings: { ...settings, ...more },
  });
const goOn = (engine: Engine, request: Partial<PersonalizationRequest> = {}, run = {}) =>
  engine.personalize({ images: [], continueFrom: 'rex', ...request }, run);

/** Every trained value. */
function valuesOf(subject: Subject): Float32Array {
  const files = readdirSync(subject.folder, { recursive: true, encoding: 'utf8' });
  const all = files
    .filter((file) => file.endsWith('.safetensors'))
    .sort()
    .flatMap((file) => [...openSafetensors(join(subject.folder, file)).tensors])
    .map(([, stored]) => readFloat32(stored));
  return Float32Array.from(all.flatMap((values) => [...values]));
}
const farthest = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);

describe('a finished subject', () => {
  test('is gone on with from its weights, by its settings, to the same bits when stopped; then it takes its own place', async () => {
    const engine = engineIn('lora');
    const first = await learn(engine);
    const before = valuesOf(first);
    const stop = new AbortController();
    const within = (event: ProgressEvent) => {
      if (event.kind === 'step-end' && event.phase === 'train' && event.step === 1) stop.abort();
    };
    const stopped = await goOn(engine, {}, { onProgress: within, signal: stop.signal }).catch(
      (error) => error,
    );
    expect(stopped).toBeInstanceOf(StoppedError);
    // What there was is still there, and draws.
    expect(readSubject(engine.home, 'rex').id).toBe(first.id);
    expect(valuesOf(readSubject(engine.home, 'rex'))).toEqual(before);
    const longer = await goOn(engine, { name: 'longer' });
    expect(longer).toMatchObject({
      className: 'dog',
      identifier: first.identifier,
      instancePrompt: first.instancePrompt,
      kind: 'lora',
      base: first.base,
      seed: 5,
      steps: 4,
      photos: first.photos,
      continuedFrom: { name: 'rex', id: first.id },
      settings: first.settings,
    });
    const after = valuesOf(longer);
    expect(farthest(after, before)).toBeGreaterThan(1e-3);
    // Learned on at almost no rate it is what it was; the file has alpha / rank in it, the training beside it.
    const still = await goOn(engine, { name: 'still', settings: { steps: 1, learningRate: 1e-9 } });
    expect(farthest(valuesOf(still), before)).toBeLessThan(1e-8);

    const resumed = await engine.resume(stopped.job);
    expect(resumed).toMatchObject({ name: 'rex', steps: 4, continuedFrom: { id: first.id } });
    expect(resumed.id).not.toBe(first.id);
    expect(valuesOf(resumed)).toEqual(after);
    expect(subjectNames(engine.home)).toEqual(['longer', 'rex', 'still']);
    expect(readdirSync(engine.home.subjects).filter((name) => /^\.(replaced|deleted)/.test(name))).toEqual(
      [],
    );
  });

  test('whose every weight was trained is gone on with likewise', async () => {
    const engine = engineIn('full');
    const first = await learn(engine, { kind: 'full' });
    const before = valuesOf(first);
    const still = await goOn(engine, { settings: { steps: 1, learningRate: 1e-9 } });
    expect(still).toMatchObject({ name: 'rex', kind: 'full', steps: 3, continuedFrom: { id: first.id } });
    expect(farthest(valuesOf(still), before)).toBeLessThan(1e-7);
  });
});

describe('going on', () => {
  test('takes more photos, other settings and another class; the ones it has it keeps', async () => {
    const engine = engineIn('more');
    const first = await learn(engine);
    const more = await goOn(engine, {
      images: photos.slice(1),
      name: 'max',
      className: 'puppy',
      settings: { steps: 1, learningRate: 1e-3 },
    });
    expect(more).toMatchObject({ name: 'max', className: 'puppy', steps: 3, identifier: first.identifier });
    expect(more.photos.map(({ name }) => name)).toEqual(['0.png', '1.png', '2.png']);
    for (const [i, { file }] of more.photos.entries())
      expect(readFileSync(join(more.folder, file!)).equals(readFileSync(photos[i]!))).toBe(true);
    expect(more.settings).toMatchObject({ ...settings, steps: 1, learningRate: 1e-3 });
    const other = await goOn(engine, {
      name: 'other',
      settings: { preset: 'sd15-lora', steps: 1, prior: 'none' },
    });
    expect(other.settings).toMatchObject({
      learningRate: 1e-4,
      rank: 2,
      alpha: 1,
      targetModules: ['to_v', 'to_out.0'],
    });
  });

  test('a subject that is deleted or renamed meanwhile is no matter; a name that another took is', async () => {
    const engine = engineIn('meanwhile');
    await learn(engine);
    const stopAt = async () => {
      const stop = new AbortController();
      const onProgress = () => stop.abort();
      const run = { signal: stop.signal, onProgress };
      return (await goOn(engine, { settings: { steps: 1 } }, run).catch((error) => error)).job as string;
    };
    const job = await stopAt();
    renameSubject(engine.home, 'rex', 'old');
    await engine.personalize({
      images: [photos[0]!],
      className: 'dog',
      name: 'rex',
      settings: { ...settings, steps: 1 },
    });
    await expect(engine.resume(job)).rejects.toThrow(NameTakenError);
    deleteSubject(engine.home, 'old');
    expect((await engine.resume(job, { name: 'new' })).steps).toBe(3);
    expect(subjectNames(engine.home)).toEqual(['new', 'rex']);
  });

  test.each<[string, Partial<PersonalizationRequest>, RegExp]>([
    ['another rank', { settings: { rank: 8 } }, /rank is 8: @rex was learned with 2/],
    [
      'other layers',
      { settings: { targetModules: ['*'] } },
      /targetModules is \*: @rex was learned with to_v/,
    ],
    ['all weights', { settings: { kind: 'full' } }, /kind is full: @rex was learned with lora/],
    ['an unknown subject', { continueFrom: 'rax' }, /no subject @rax. There .*@rex/],
  ])('%s is refused', async (_, request, message) => {
    const engine = engineIn('refused');
    if (subjectNames(engine.home).length === 0) await learn(engine, { steps: 1 });
    await expect(goOn(engine, request)).rejects.toThrow(message);
    expect(subjectNames(engine.home)).toEqual(['rex']);
  });

  test('another base, and photos that are gone, are told', async () => {
    const engine = engineIn('gone');
    const subject = await learn(engine, { steps: 1 });
    await expect(goOn(engine, { base: join(fixtures, 'sd21-tiny') })).rejects.toThrow(WrongBaseError);
    rmSync(join(subject.folder, 'photos/01'));
    await expect(goOn(engine)).rejects.toThrow(
      /photos.01, a photo that the subject was learned from, cannot be read/,
    );
    const record = JSON.parse(readFileSync(join(subject.folder, 'subject.json'), 'utf8'));
    record.photos = record.photos.map(({ file: _, ...photo }: { file: string }) => photo);
    writeFileSync(join(subject.folder, 'subject.json'), JSON.stringify(record));
    await expect(goOn(engine)).rejects.toThrow(InvalidOptionError);
    expect((await goOn(engine, { images: [photos[0]!] })).photos.map(({ name }) => name)).toEqual(['0.png']);
  });
});

test('a subject whose replacement was broken off between two renames is its old self', async () => {
  const engine = engineIn('healed');
  const subject = await learn(engine, { steps: 1 });
  renameSync(subject.folder, join(engine.home.subjects, '.replaced-rex'));
  expect(subjectNames(engine.home)).toEqual(['rex']);
  renameSync(subject.folder, join(engine.home.subjects, '.replaced-rex'));
  expect(readSubject(engine.home, 'rex').id).toBe(subject.id);
  await expect(learn(engine)).rejects.toThrow(NameTakenError);
});

test('under another noun it is learned and drawn with that one', async () => {
  const engine = engineIn('cat');
  const { identifier } = await learn(engine, { steps: 1 });
  const cat = await goOn(engine, { name: 'tom', className: 'cat', settings: { steps: 1 } });
  expect(cat).toMatchObject({ identifier, instancePrompt: `a photo of ${identifier} cat` });
  expect(cat.settings).toMatchObject({ instancePrompt: `a photo of ${identifier} cat`, rank: 2 });
});

test('what a replacement left behind does not come back when the subject goes', async () => {
  const engine = engineIn('left');
  const { folder } = await learn(engine, { steps: 1 });
  const left = join(engine.home.subjects, '.replaced-rex');
  cpSync(folder, left, { recursive: true });
  renameSubject(engine.home, 'rex', 'max');
  expect(subjectNames(engine.home)).toEqual(['max']);
  cpSync(folder.replace(/rex$/, 'max'), left.replace(/rex$/, 'max'), { recursive: true });
  deleteSubject(engine.home, 'max');
  expect(subjectNames(engine.home)).toEqual([]);
});
