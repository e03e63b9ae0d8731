/** Pictures during a training and its log, on real work: the training never notices them, and a stop leaves no trace. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { InvalidOptionError, StoppedError } from '../../sdk/errors';
import { readPngText, writePng } from '../../sdk/images/png';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import type { Subject } from '../../sdk/subjects/subjects';
import { toyPhotos } from '../../sdk/toybox/toy-subject';
import type { PersonalizationSettings } from '../../sdk/work/personalization-settings';
import type { ProgressEvent, SampleMade } from '../../sdk/work/progress';

const base = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
let folder: string;
let photos: string;
const engines: Engine[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-samples-'));
  photos = join(folder, 'photos');
  mkdirSync(photos);
  for (const [i, data] of toyPhotos({ class: 'dog', seed: 3 }).slice(0, 2).entries()) {
    await writePng(join(photos, `${i}.png`), { width: 64, height: 64, data });
  }
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function engineIn(home: string): Engine {
  const engine = createEngine({ home: join(folder, home), base, mode: 'in-process' });
  engines.push(engine);
  return engine;
}

const drawing = { drawScheduler: 'ddim', drawGuidanceScale: 3, sampleSteps: 2 } as const;
const quick: PersonalizationSettings = {
  ...drawing,
  steps: 4,
  prior: 'none',
  learningRateSchedule: 'linear',
  rank: 2,
  learningRate: 1e-2,
  checkpointEvery: 2,
};
const sampled: PersonalizationSettings = {
  sampleEvery: 3,
  samplePrompts: ['a photo of @rex', 'a {subject}, by the sea'],
};

const request = (settings: PersonalizationSettings) => ({
  images: [photos],
  className: 'very small brown dog',
  name: 'rex',
  seed: 4,
  settings: { ...quick, ...settings },
});

const filesOf = (subject: Subject, ending: string) =>
  readdirSync(subject.folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .sort();
const read = (subject: Subject, ending: string) =>
  filesOf(subject, ending).map((file) => readFileSync(join(subject.folder, file)).toString('base64'));
const logOf = (subject: Subject) =>
  readFileSync(join(subject.folder, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const pixels = (png: Uint8Array) => sharp(png).raw().toBuffer();

/** Says what the run was, each step, and what came of it. */
function checkLog(subject: Subject): void {
  const [started, warning, ...rest] = logOf(subject);
  expect(started).toMatchObject({
    event: 'started',
    subject: 'rex',
    className: 'very small brown dog',
    identifier: subject.identifier,
    seed: 4,
    base: subject.base.fingerprint,
    photos: ['0.png', '1.png'],
    settings: subject.settings,
  });
  expect(Date.parse(started.time)).toBeGreaterThan(0);
  expect(warning).toEqual({ event: 'warning', message: expect.stringContaining('has 4 words') });
  const steps = rest.filter(({ event }) => event === 'step');
  expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  expect(steps.map(({ learningRates }) => learningRates.unet)).toEqual(
    [4, 3, 2, 1].map((left) => expect.closeTo((1e-2 * left) / 4, 10)),
  );
  for (const { loss, gradientNorm, seconds } of steps) {
    for (const figure of [loss, gradientNorm, seconds]) expect(figure).toBeGreaterThan(0);
  }
  expect(rest.filter(({ event }) => event === 'checkpoint').map(({ step }) => step)).toEqual([2, 4]);
  expect(rest.slice(-2)).toMatchObject([
    { event: 'sample', step: 4, files: ['samples/4-1.png', 'samples/4-2.png'] },
    { event: 'done', step: 4 },
  ]);
}

describe('a training', () => {
  test('is the same with samples, and stopped within one; they show what was learned', async () => {
    const straight = await engineIn('straight').personalize(request({}));
    expect(filesOf(straight, 'samples')).toEqual([]);

    const engine = engineIn('sampled');
    const made: SampleMade[] = [];
    const onProgress = (event: ProgressEvent) => {
      if (event.kind !== 'sample-made') return;
      made.push(event);
      for (const file of event.files) expect(readFileSync(file).length).toBeGreaterThan(100);
    };
    const subject = await engine.personalize(request(sampled), { onProgress });
    expect(read(subject, '.safetensors').join() === read(straight, '.safetensors').join()).toBe(true);
    expect(made.map(({ step, files }) => [step, files.length])).toEqual([
      [3, 2],
      [4, 2],
    ]);
    const names = ['3-1', '3-2', '4-1', '4-2'].map((name) => join('samples', `${name}.png`));
    expect(filesOf(subject, '.png')).toEqual([...names, 'thumbnail.png']);
    const pictures = names.map((name) => readFileSync(join(subject.folder, name)));
    expect(JSON.parse(readPngText(pictures[3]!)['dreambooth']!)).toMatchObject({
      prompt: `a ${subject.identifier} very small brown dog, by the sea`,
      seed: 5,
      settings: { trainingStep: 4, scheduler: 'ddim' },
    });
    expect(new Set(await Promise.all(pictures.map(async (png) => (await pixels(png)).join()))).size).toBe(4);
    // The last one is what the subject is drawn as ever after.
    const [drawn] = await engine.generate({ prompt: 'a photo of @rex', seed: 4, steps: 2 });
    expect((await pixels(drawn!.png)).equals(await pixels(pictures[2]!))).toBe(true);

    const again = engineIn('stopped');
    const stop = new AbortController();
    const within = (event: ProgressEvent) => {
      if (event.kind === 'step-end' && event.phase === 'sample' && event.step === 1) stop.abort();
    };
    const stopped = await again
      .personalize(request(sampled), { onProgress: within, signal: stop.signal })
      .catch((error) => error);
    expect(stopped).toBeInstanceOf(StoppedError);
    const resumed = await again.resume(stopped.job);
    for (const ending of ['.safetensors', '.png'])
      expect(read(resumed, ending).join() === read(subject, ending).join()).toBe(true);
    const told = (one: Subject) =>
      logOf(one)
        .filter(({ event }) => event === 'step' || event === 'sample')
        .map(({ seconds: _, ...line }) => line);
    expect(told(resumed)).toEqual(told(subject));
    expect(logOf(resumed).filter(({ event }) => event === 'resumed')).toMatchObject([{ step: 3 }]);
    checkLog(subject);
  });

  test('of every weight is the same with samples, and they are of all of them', async () => {
    const few = { kind: 'full', steps: 2 } as const;
    const straight = await engineIn('full straight').personalize(request(few));
    const engine = engineIn('full sampled');
    const subject = await engine.personalize(
      request({ ...few, sampleEvery: 2, samplePrompts: ['a {subject}'] }),
    );
    expect(read(subject, '.safetensors').join() === read(straight, '.safetensors').join()).toBe(true);
    const [drawn] = await engine.generate({ prompt: 'a @rex', seed: 4, steps: 2 });
    const sample = readFileSync(join(subject.folder, 'samples/2-1.png'));
    expect((await pixels(drawn!.png)).equals(await pixels(sample))).toBe(true);
  });
});

test('samples show the subject that is being learned and no other', async () => {
  const refused = await engineIn('other')
    .personalize(request({ sampleEvery: 1, samplePrompts: ['@rex with @mia'] }))
    .catch((error) => error);
  expect(refused).toBeInstanceOf(InvalidOptionError);
  expect(refused.message).toMatch(/samplePrompts mentions @mia.*@rex or \{subject\}/);
});
