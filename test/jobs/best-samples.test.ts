/** Samples that decide: which weights are kept and when a training ends, on the embedded base and its oracle. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { InvalidOptionError, MissingFileError, StoppedError } from '../../sdk/errors';
import { writePng } from '../../sdk/images/png';
import { basePath } from '../../sdk/jobs/base-path';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import { chooseSnapshot } from '../../sdk/subjects/snapshots';
import type { Subject } from '../../sdk/subjects/subjects';
import { toyPhotos } from '../../sdk/toybox/toy-subject';
import { bestStep } from '../../sdk/training/best-step';
import type { PersonalizationSettings } from '../../sdk/work/personalization-settings';
import type { ProgressEvent, SampleMade } from '../../sdk/work/progress';
import { scoringEncoders, withEncoders } from '../../sdk/work/scoring-encoders';

const tiny = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
let folder: string;
let photos: string;
const engines: Engine[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-best-'));
  photos = join(folder, 'photos');
  mkdirSync(photos);
  for (const [i, data] of toyPhotos({ class: 'dog', seed: 3 }).slice(0, 2).entries())
    await writePng(join(photos, `${i}.png`), { width: 64, height: 64, data });
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function engineIn(home: string, base = 'toybox'): Engine {
  const engine = createEngine({ home: join(folder, home), base, mode: 'in-process' });
  engines.push(engine);
  return engine;
}

/** A rate at which a subject is learned and ruined within a few steps. */
const quick: PersonalizationSettings = {
  steps: 8,
  prior: 'none',
  batchSize: 2,
  rank: 4,
  learningRate: 6e-3,
  learningRateSchedule: 'constant',
  sampleEvery: 1,
  sampleSteps: 8,
  checkpointEvery: 2,
};
const request = (settings: PersonalizationSettings) => ({
  images: [photos],
  className: 'dog',
  name: 'rex',
  seed: 4,
  settings: { ...quick, ...settings },
});
const linesOf = (subject: Subject) =>
  readFileSync(join(subject.folder, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const samplesOf = (subject: Subject) => linesOf(subject).filter(({ event }) => event === 'sample');
const scoredOf = (subject: Subject) =>
  samplesOf(subject).map(({ step, scores }) => ({ step, score: scores.score as number }));
const weights = (...place: string[]) => readFileSync(join(...place, 'lora.safetensors')).toString('base64');

test('the best sample gives its weights, and an end that comes too late is not reached; resumed, all the same', async () => {
  const made: SampleMade[] = [];
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === 'sample-made') made.push(event);
  };
  const every = await engineIn('every').personalize(request({ keep: 'every', stopWhen: 'good' }), {
    onProgress,
  });
  const scored = scoredOf(every);
  expect(scored.length).toBeGreaterThanOrEqual(3);
  expect(scored.length).toBeLessThan(8);
  expect(every.steps).toBe(scored.length);
  expect(linesOf(every).at(-1)).toMatchObject({ event: 'done', step: every.steps });
  expect(every.settings).toMatchObject({ steps: 8, sampleEvery: 1, stopWhen: 'good' });
  const prompts = every.settings['samplePrompts'] as string[];
  expect(prompts).toHaveLength(4);
  expect(prompts[1]).toBe('a {subject} wearing a red hat on the beach');
  expect(made.map(({ scores }) => scores)).toEqual(samplesOf(every).map(({ scores }) => scores));
  for (const { identity, promptFollowing, score } of made.map(({ scores }) => scores!))
    expect(score).toBeCloseTo(Math.min(1, identity) * promptFollowing);

  const best = bestStep(scored)!;
  expect(best.score).toBeGreaterThan(0);
  expect(best.step).toBeLessThan(every.steps);
  const engine = engineIn('best');
  const stop = new AbortController();
  const within = (event: ProgressEvent) => {
    if (event.kind === 'sample-made' && event.step === best.step + 1) stop.abort();
  };
  const stopped = await engine
    .personalize(request({ keep: 'best', stopWhen: 'good' }), { onProgress: within, signal: stop.signal })
    .catch((error) => error);
  expect(stopped).toBeInstanceOf(StoppedError);
  const kept = await engine.resume(stopped.job);
  expect(scoredOf(kept)).toEqual(scored);
  expect(kept.steps).toBe(best.step);
  expect(linesOf(kept).at(-1)).toMatchObject({ event: 'done', step: every.steps, kept: best.step });
  expect(weights(kept.folder) === weights(every.folder, 'snapshots', String(best.step))).toBe(true);
  expect(weights(kept.folder) === weights(every.folder)).toBe(false);
  expect(existsSync(join(kept.folder, 'snapshots'))).toBe(false);
  expect(readdirSync(kept.folder).filter((name) => name.endsWith('.safetensors'))).toEqual([
    'lora.safetensors',
  ]);
});

test('steps of a subject that is gone on with are counted from its beginning', async () => {
  const engine = engineIn('longer');
  const few = { steps: 1, sampleSteps: 1, keep: 'every' } as const;
  await engine.personalize(request({ ...few, samplePrompts: ['a {subject}'] }));
  const longer = await engine.personalize({
    images: [],
    continueFrom: 'rex',
    settings: { steps: 2 },
  });
  expect(longer.steps).toBe(3);
  expect(readdirSync(join(longer.folder, 'snapshots')).sort()).toEqual(['2', '3']);
});

test('every sample is one in 100 steps and the end, where nothing else is said', async () => {
  const settings = { steps: 2, sampleEvery: 0, sampleSteps: 1, keep: 'every' } as const;
  const { folder: own, settings: recorded } = await engineIn('usual').personalize(request(settings));
  expect(recorded).toMatchObject({ sampleEvery: 100 });
  expect(readdirSync(join(own, 'snapshots'))).toEqual(['2']);
});

test('an engine that has drawn a whole model draws the step that is chosen meanwhile, and one that is only named', async () => {
  const engine = engineIn('whole', tiny);
  const subject = await engine.personalize(
    request({ kind: 'full', steps: 2, learningRate: 1e-2, keep: 'every', samplePrompts: ['a {subject}'] }),
  );
  const draw = async (learned?: { name: string; step: number }) => {
    const asked = { prompt: 'a @rex', seed: 4, steps: 8 };
    const [image] = await engine.generate(learned ? { ...asked, learned } : asked);
    return (await sharp(image!.png).raw().toBuffer()).toString('base64');
  };
  const sample = async (step: number) =>
    (
      await sharp(join(subject.folder, 'samples', `${step}-1.png`))
        .raw()
        .toBuffer()
    ).toString('base64');
  expect((await draw()) === (await sample(2))).toBe(true);
  expect((await draw({ name: 'rex', step: 1 })) === (await sample(1))).toBe(true);
  const first = await sample(1);
  chooseSnapshot(engine.home, 'rex', 1);
  expect((await draw()) === first).toBe(true);
  expect(first === (await sample(2))).toBe(false);
});

test('samples that ask for nothing that can be checked decide nothing', async () => {
  const refused = await engineIn('unasked')
    .personalize(request({ keep: 'best', samplePrompts: ['a {subject}'] }))
    .catch((error) => error);
  expect(refused).toBeInstanceOf(InvalidOptionError);
  expect(refused.message).toMatch(/samplePrompts ask for nothing.*in the snow/);
});

test('on another base an encoder that reads prompts is wanted, before there is a job', async () => {
  const engine = engineIn('blind', tiny);
  for (const settings of [
    { keep: 'best' },
    { stopWhen: 'good', encoders: ['dino=here'] },
  ] as PersonalizationSettings[]) {
    const refused = await engine.personalize(request(settings)).catch((error) => error);
    expect(refused).toBeInstanceOf(InvalidOptionError);
    expect(refused.message).toMatch(/clip-vit-base-patch32, as encoders=clip=PATH or in DREAMBOOTH_ENCODERS/);
  }
  expect(existsSync(join(folder, 'blind', 'jobs'))).toBe(false);
  const absent = await engine
    .personalize(request({ keep: 'best', encoders: ['clip=/nowhere'] }))
    .catch((error) => error);
  expect(absent).toBeInstanceOf(MissingFileError);
});

test('an encoder of another kind than it is said to be is found out before anything is drawn', async () => {
  const other = join(folder, 'dino-not-clip');
  mkdirSync(other, { recursive: true });
  copyFileSync(join(tiny, 'vae', 'config.json'), join(other, 'config.json'));
  copyFileSync(
    join(tiny, 'vae', 'diffusion_pytorch_model.safetensors'),
    join(other, 'diffusion_pytorch_model.safetensors'),
  );
  const phases = new Set<string>();
  const refused = await engineIn('other-kind', tiny)
    .personalize(request({ keep: 'best', prior: 'images', classImages: 1, encoders: [`clip=${other}`] }), {
      onProgress: (event) => event.kind === 'step-end' && phases.add(event.phase),
    })
    .catch((error) => error);
  expect(refused).toBeInstanceOf(InvalidOptionError);
  expect(refused.message).toMatch(/dino-not-clip.*has no "vision_config".*openai\/clip-vit-base-patch32/);
  expect(refused.message).not.toContain('\n');
  expect([...phases]).toContain('photos');
  expect([...phases]).not.toContain('class-images');
});

test('encoders are those of the settings, else of the environment, and only where something is scored', () => {
  const environment = { DREAMBOOTH_ENCODERS: 'clip=/c,dino=/d' };
  expect(withEncoders({ keep: 'best' }, tiny, environment)).toEqual({
    keep: 'best',
    encoders: ['clip=/c', 'dino=/d'],
  });
  expect(withEncoders({ keep: 'best', encoders: ['clip=/own'] }, tiny, environment).encoders).toEqual([
    'clip=/own',
  ]);
  expect(withEncoders({ keep: 'every' }, tiny, environment)).toEqual({ keep: 'every' });
  expect(() => withEncoders({ keep: 'best', encoders: ['lpips=/l'] }, tiny)).toThrow(
    /encoders has "lpips=\/l"/,
  );
  // Whoever has named none is told where it was named.
  const wrong = { DREAMBOOTH_ENCODERS: 'vgg=/v' };
  expect(() => withEncoders({ keep: 'best' }, tiny, wrong)).toThrow(/DREAMBOOTH_ENCODERS has "vgg=\/v"/);
  // An oracle reads pictures without them.
  expect(withEncoders({ keep: 'best' }, basePath('toybox'), wrong)).toEqual({ keep: 'best' });
  expect(scoringEncoders({ keep: 'last', encoders: ['clip=/c'] }, tiny)).toEqual([]);
});
