/** Learning and drawing with nothing faked, on a tiny checkpoint of random weights: every kind, stop, crash, resume. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EngineCrashedError, StoppedError, WrongBaseError } from '../../sdk/errors';
import { writePng } from '../../sdk/images/png';
import { crop } from '../../sdk/images/rgb-image';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import { type GenerateRequest, prepareGeneration } from '../../sdk/jobs/generation';
import { listJobs, readJob } from '../../sdk/jobs/jobs';
import type { Home } from '../../sdk/subjects/home';
import type { Subject } from '../../sdk/subjects/subjects';
import { toyPhotos } from '../../sdk/toybox/toy-subject';
import type { PersonalizationSettings } from '../../sdk/work/personalization-settings';
import type { ProgressEvent } from '../../sdk/work/progress';
import { runGeneration } from '../../sdk/work/run-generation';
import { createLoadedModels, type WorkContext } from '../../sdk/work/work-context';

const base = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
let folder: string;
let photos: string;
const engines: Engine[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-real-'));
  photos = join(folder, 'photos');
  mkdirSync(photos);
  for (const [i, data] of toyPhotos({ class: 'dog', seed: 3 }).slice(0, 3).entries()) {
    const whole = { width: 64, height: 64, data };
    const wide = crop(whole, 64, 32, { left: 0, top: 16 });
    await writePng(join(photos, `${i}.png`), i === 0 ? wide : whole);
  }
  writeFileSync(join(photos, '0.txt'), '{subject} on a road\n');
  const half = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i % 192 < 96 ? 255 : 0));
  await writePng(join(photos, '1-masklabel.png'), { width: 64, height: 64, data: half });
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function engineIn(home: string, mode: 'process' | 'in-process' = 'in-process'): Engine {
  const engine = createEngine({ home: join(folder, home), base, mode });
  engines.push(engine);
  return engine;
}

const quick: PersonalizationSettings = { steps: 12, classImages: 2, checkpointEvery: 2, learningRate: 1e-3 };

const kinds: readonly (readonly [string, PersonalizationSettings])[] = [
  ['a LoRA with class images', { rank: 2 }],
  [
    'a LoRA of both networks, the base in place of class images, min-SNR',
    { trainTextEncoder: true, prior: 'adapter-off', snrGamma: 5, textEncoderLearningRate: 5e-4 },
  ],
  [
    'all weights of the UNet, no prior, gradients of two batches gathered, a cosine',
    {
      kind: 'full',
      prior: 'none',
      gradientAccumulationSteps: 2,
      learningRateSchedule: 'cosine',
      warmupSteps: 1,
    },
  ],
  [
    'all weights of both networks, batches of two, mirrored photos, and their average',
    { kind: 'full', trainTextEncoder: true, batchSize: 2, flip: true, emaDecay: 0.9 },
  ],
  [
    'a LoRA on captions, masks and photos of several shapes, with offset noise and dropped prompts',
    { masks: 'file', aspectBuckets: true, noiseOffset: 0.1, captionDropout: 0.3, batchSize: 2 },
  ],
  [
    'an embedding of two vectors, in several sentences',
    {
      kind: 'embedding',
      vectors: 2,
      prior: 'none',
      promptTemplates: ['a {subject}', 'one {subject}, alone'],
    },
  ],
];

/** Every weight file of a subject as one line. */
function weightsOf(subject: Subject): string {
  return readdirSync(subject.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.name.endsWith('.safetensors'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => readFileSync(file).toString('base64'))
    .join();
}

const learn = (engine: Engine, name: string, settings: PersonalizationSettings, seed = 1) =>
  engine.personalize({ images: [photos], className: 'dog', name, seed, settings: { ...quick, ...settings } });

async function draw(engine: Engine, prompt: string, request: Partial<GenerateRequest> = {}): Promise<Buffer> {
  const [image] = await engine.generate({ prompt, seed: 5, steps: 2, ...request });
  return Buffer.from(image!.png);
}

/** No subject, no file under a name for the time of its writing, no lock that somebody would wait for. */
function nothingHalfWritten(home: Home): void {
  const files = readdirSync(home.folder, { recursive: true, encoding: 'utf8' });
  expect(files.filter((file) => /\.part$|lock$|subjects.[^.]|reserved./.test(file))).toEqual([]);
}

/** Where a run is stopped, one after another: within each phase, before the first update, and between updates. */
const stops = [
  ['class-images', 0],
  ['encode', 1],
  ['train', 0],
  ['train', 3],
] as const;

describe.each(kinds)('%s', (title, settings) => {
  test('is learned, changes what is drawn, and ends in the same bits when stopped and resumed again and again', async () => {
    const engine = engineIn(`straight ${title}`);
    const subject = await learn(engine, 'rex', settings);
    expect(subject.kind).toBe(settings.kind ?? 'lora');
    const drawn = await draw(engine, 'a photo of @rex');
    expect(drawn.equals(await draw(engine, `a photo of ${subject.identifier} dog`))).toBe(false);

    const again = engineIn(`stopped ${title}`);
    const request = {
      images: [photos],
      className: 'dog',
      name: 'rex',
      seed: 1,
      settings: { ...quick, ...settings },
    };
    let job: string | undefined;
    for (const [phase, step] of stops) {
      if (phase === 'class-images' && (settings.prior ?? 'images') !== 'images') continue;
      const stop = new AbortController();
      const onProgress = (event: ProgressEvent) => {
        if (event.kind === 'step-end' && event.phase === phase && event.step === step) stop.abort();
      };
      const run = { onProgress, signal: stop.signal };
      const working = job === undefined ? again.personalize(request, run) : again.resume(job, run);
      const stopped = await working.catch((error) => error);
      expect(stopped, `${phase} ${step}`).toBeInstanceOf(StoppedError);
      expect(listJobs(again.home)).toMatchObject([{ state: 'stopped' }]);
      nothingHalfWritten(again.home);
      job = stopped.job as string;
    }
    // And killed by the system in the middle of it all: what was checkpointed stays.
    const doomed = engineIn(`stopped ${title}`, 'process');
    const kill = (event: ProgressEvent) => {
      if (event.kind === 'step-end' && event.phase === 'train' && event.step === 7) doomed.kill();
    };
    const crash = await doomed.resume(job!, { onProgress: kill }).catch((error) => error);
    expect(crash).toBeInstanceOf(EngineCrashedError);
    expect(readJob(again.home, job!).state).toBe('failed');
    nothingHalfWritten(again.home);
    const steps: number[] = [];
    const resumed = await again.resume(job!, {
      onProgress(event) {
        if (event.kind === 'step-end' && event.phase === 'train') steps.push(event.step);
      },
    });
    expect(steps[0]).toBeGreaterThanOrEqual(4);
    expect(weightsOf(subject).length).toBeGreaterThan(400);
    expect(weightsOf(resumed) === weightsOf(subject)).toBe(true);
  });
});

test('a base that changed while a job was stopped is told, not trained on', async () => {
  const copy = join(folder, 'base');
  cpSync(base, copy, { recursive: true });
  const engine = engineIn('changed');
  const stop = new AbortController();
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === 'step-end' && event.phase === 'train' && event.step === 1) stop.abort();
  };
  const request = {
    images: [photos],
    className: 'dog',
    base: copy,
    settings: { ...quick, prior: 'none' },
  } as const;
  const stopped = await engine
    .personalize(request, { onProgress, signal: stop.signal })
    .catch((error) => error);
  const config = join(copy, 'scheduler/scheduler_config.json');
  writeFileSync(config, readFileSync(config, 'utf8').replace('0.012', '0.013'));
  const refused = await engine.resume(stopped.job).catch((error) => error);
  expect(refused).toBeInstanceOf(WrongBaseError);
  expect(refused.message).toMatch(/base model has changed/);
});

describe('subjects in prompts', () => {
  test('several in one picture, each with its weight, switched on a base that stays loaded', async () => {
    const engine = engineIn('several');
    await learn(engine, 'rex', {});
    await learn(engine, 'mia', { rank: 3 }, 2);
    const [one, other, both, weak, none] = [
      await draw(engine, '@rex on a road'),
      await draw(engine, '@mia on a road'),
      await draw(engine, '@rex and @mia on a road'),
      await draw(engine, '@rex:0.1 and @mia on a road'),
      await draw(engine, 'a dog on a road'),
    ];
    const pictures = [one, other, both, weak, none].map((png) => png.toString('base64'));
    expect(new Set(pictures).size).toBe(5);
    // The LoRA of another subject, mentioned or not, leaves no trace.
    expect((await draw(engine, '@rex on a road')).equals(one)).toBe(true);
    expect((await draw(engine, '@rex:0 on a road')).equals(one)).toBe(false);
    const [first, second] = await engine.generate({ prompt: '@rex', count: 2, seed: 8, steps: 2 });
    const [alone] = await engine.generate({ prompt: '@rex', seed: 9, steps: 2 });
    expect(Buffer.from(second!.png).equals(Buffer.from(alone!.png))).toBe(true);
    expect(Buffer.from(first!.png).equals(Buffer.from(alone!.png))).toBe(false);
  });

  test('one after another and together, of different ranks, load the base once', async () => {
    const { home } = engineIn('several');
    const models = createLoadedModels(2);
    let loads = 0;
    const context: WorkContext = {
      home,
      folder: home.cache,
      device: 'cpu',
      threads: null,
      onProgress() {},
      onPicture() {},
      onRecipe() {},
      onSample() {},
      onEstimate() {},
      onTimed() {},
      memoryCheck: true,
      onWarning() {},
      signal: new AbortController().signal,
      loadedModels: {
        ...models,
        get: (key, load) =>
          models.get(key, () => {
            loads += 1;
            return load();
          }),
      },
    };
    for (const prompt of ['@rex on a road', '@mia by a lake', '@rex and @mia:0.5', '@rex']) {
      await runGeneration(prepareGeneration(home, { prompt, steps: 1 }, base), context);
    }
    await models.releaseAll();
    expect(loads).toBe(1);
  });

  test('what an embedding cannot be learned with is refused', async () => {
    const engine = engineIn('wrong embedding');
    const wrong = (settings: PersonalizationSettings, identifier?: string) =>
      engine.personalize({
        ...{ images: [photos], className: 'dog', name: 'rex' },
        ...(identifier === undefined ? {} : { identifier }),
        settings: { ...quick, kind: 'embedding', ...settings },
      });
    await expect(wrong({ prior: 'images' })).rejects.toThrow(/prior is images.*Set prior to none/);
    await expect(wrong({ trainTextEncoder: true })).rejects.toThrow('trainTextEncoder is true');
    await expect(wrong({ instancePrompt: 'a dog' })).rejects.toThrow(/"a dog" does not speak of the subject/);
    await expect(wrong({}, 'sks')).rejects.toThrow(/a word of its own, <rex>/);
    nothingHalfWritten(engine.home);
  });

  test('no word of a long prompt is lost, and a long one leaves no trace in the next', async () => {
    const engine = engineIn('long');
    const long = `a photo of ${'a very '.repeat(60)}long`;
    const short = await draw(engine, 'a photo');
    const [tail, otherTail] = [await draw(engine, `${long} tail`), await draw(engine, `${long} road`)];
    expect(tail.equals(otherTail)).toBe(false);
    const pushed = await draw(engine, 'a photo', { negativePrompt: `${long} tail` });
    expect(pushed.equals(await draw(engine, 'a photo', { negativePrompt: `${long} road` }))).toBe(false);
    expect((await draw(engine, 'a photo')).equals(short)).toBe(true);
  });

  test('skipped layers of the text encoder are those the subject was learned with, unless said otherwise', async () => {
    const engine = engineIn('skipped');
    const subject = await learn(engine, 'rex', { prior: 'none', steps: 2, clipSkip: 1 });
    expect(subject.settings['clipSkip']).toBe(1);
    const [usual] = await engine.generate({ prompt: '@rex', seed: 5, steps: 2 });
    expect(usual!.settings['clipSkip']).toBe(1);
    expect((await draw(engine, '@rex', { clipSkip: 1 })).equals(Buffer.from(usual!.png))).toBe(true);
    expect((await draw(engine, '@rex', { clipSkip: 0 })).equals(Buffer.from(usual!.png))).toBe(false);
    const tooMany = draw(engine, '@rex', { clipSkip: 4 });
    await expect(tooMany).rejects.toThrow(
      'clipSkip is 4: the text encoder of this Stable Diffusion 1 and 2 can skip 0 to 3 layers',
    );
    await expect(learn(engine, 'max', { clipSkip: 9 })).rejects.toThrow('clipSkip is 9');
  });

  test.each([
    [{ width: 60 }, 'width is 60; this base makes multiples of 8 pixels: 64 is the nearest'],
    [{ height: 100 }, 'height is 100'],
    [{ count: 0 }, 'count is 0'],
    [{ steps: 2000 }, 'steps is 2000'],
    [{ scheduler: 'nope' }, 'There is no scheduler "nope"'],
  ])('%j is refused', async (request, message) => {
    await expect(draw(engineIn('sizes'), 'a dog', request)).rejects.toThrow(message);
  });

  test('sizes that halving does not divide are drawn', async () => {
    const [image] = await engineIn('sizes').generate({ prompt: 'a dog', width: 72, height: 40, steps: 1 });
    expect(image).toMatchObject({ width: 72, height: 40 });
  });
});

test('work in its process leaves the event loop free, and a stop is heeded within a step', async () => {
  const engine = engineIn('responsive', 'process');
  const stop = new AbortController();
  let last = performance.now();
  let longest = 0;
  let training = false;
  const timer = setInterval(() => {
    const now = performance.now();
    if (training) longest = Math.max(longest, now - last);
    last = now;
  }, 5);
  const onProgress = (event: ProgressEvent) => {
    if (event.kind !== 'step-end' || event.phase !== 'train') return;
    training = true;
    if (event.step === 20) stop.abort();
  };
  const request = { images: [photos], className: 'dog', settings: { ...quick, steps: 1000 } };
  const stopped = await engine
    .personalize(request, { onProgress, signal: stop.signal })
    .catch((error) => error);
  clearInterval(timer);
  expect(stopped).toBeInstanceOf(StoppedError);
  expect(longest).toBeLessThan(500);
});

test('two processes that learn under one name: one does, the other is told', async () => {
  const home = join(folder, 'raced');
  const code = `
    import { createEngine } from ${JSON.stringify(join(import.meta.dirname, '../../sdk/jobs/engine.ts'))};
    const engine = createEngine({ home: ${JSON.stringify(home)}, base: ${JSON.stringify(base)}, mode: 'in-process' });
    await engine.personalize({ images: [${JSON.stringify(photos)}], className: 'dog', name: 'rex',
      settings: ${JSON.stringify(quick)} }).then(() => console.log('learned'), (error) => console.log(error.code));
  `;
  const run = () =>
    new Promise<string>((resolve) => {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code]);
      let out = '';
      child.stdout.on('data', (data) => {
        out += data;
      });
      child.on('close', () => resolve(out.trim()));
    });
  expect((await Promise.all([run(), run()])).sort()).toEqual(['learned', 'name-taken']);
});
