import { execFile, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  EngineCrashedError,
  InvalidOptionError,
  JobStateError,
  MissingFileError,
  NameTakenError,
  StoppedError,
  TrainingDivergedError,
  UnknownJobError,
  type UnknownSubjectError,
  UnreadableImageError,
  WrongBaseError,
} from '../../sdk/errors';
import { createEngine, type Engine, type EngineOptions } from '../../sdk/jobs/engine';
import { cancelJob, listJobs, readJob } from '../../sdk/jobs/jobs';
import type { PersonalizationRequest } from '../../sdk/jobs/personalization';
import { generate, personalize } from '../../sdk/jobs/top-level';
import { listSubjects, subjectNames } from '../../sdk/subjects/subjects';
import type { ProgressEvent } from '../../sdk/work/progress';

const workerModule = join(import.meta.dirname, 'fake-work.mjs');
const engineSource = join(import.meta.dirname, '../../sdk/jobs/engine.ts');

let folder: string;
let photos: string;
let base: string;
const engines: Engine[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  photos = join(folder, 'photos');
  base = join(folder, 'base');
  mkdirSync(photos);
  mkdirSync(base);
  for (const name of ['1.png', '2.png', '3.png']) writeFileSync(join(photos, name), name);
});
afterEach(async () => {
  for (const engine of engines.splice(0)) {
    engine.kill();
    await engine.close();
  }
  rmSync(folder, { recursive: true });
});

function engineWith(options: EngineOptions = {}): Engine {
  const engine = createEngine({ home: join(folder, 'home'), base, workerModule, ...options });
  engines.push(engine);
  return engine;
}
const dog = (request: Partial<PersonalizationRequest> = {}): PersonalizationRequest => ({
  images: [photos],
  className: 'dog',
  ...request,
});
const slow = (name: string) => dog({ name, className: 'slow', settings: { steps: 1000 } });
/** Resolves with the job's id when `step` steps of the training are done. */
function whenAt(step: number) {
  let job = '';
  let reached: (job: string) => void = () => {};
  const at = new Promise<string>((resolve) => {
    reached = resolve;
  });
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === 'job-start') job = event.job;
    if (event.kind === 'step-end' && event.step >= step) reached(job);
  };
  return { at, onProgress };
}
const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('it did not reject'),
    (error: unknown) => error,
  );

describe.each(['in-process', 'process'] as const)('an engine, %s', (mode) => {
  test('learns a subject, then draws it', async () => {
    const engine = engineWith({ mode });
    const events: ProgressEvent[] = [];
    const subject = await engine.personalize(dog({ name: 'rex', seed: 7, settings: { steps: 5 } }), {
      onProgress: (event) => events.push(event),
    });
    expect(subject).toMatchObject({
      name: 'rex',
      className: 'dog',
      identifier: 'olis',
      seed: 7,
      steps: 5,
      base: { path: base },
      kind: 'lora',
    });
    expect(subject.photos.map(({ name }) => name)).toEqual(['1.png', '2.png', '3.png']);
    expect(readdirSync(subject.folder).sort()).toEqual(['lora.safetensors', 'photos', 'subject.json']);
    for (const { name, file } of subject.photos)
      expect(readFileSync(join(subject.folder, file!), 'utf8')).toBe(name);

    expect(events[0]).toMatchObject({ kind: 'job-start', name: 'rex' });
    const steps = events.filter((event) => event.kind === 'step-end');
    expect(steps.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(steps[0]).toEqual({ kind: 'step-end', phase: 'train', step: 0, steps: 5, secondsLeft: null });
    expect(steps[4]).toMatchObject({
      loss: 1 / 4,
      secondsLeft: expect.any(Number),
      imagesPerSecond: expect.any(Number),
    });
    expect(steps[5]).toMatchObject({ secondsLeft: 0 });

    const [job] = listJobs(engine.home);
    expect(job).toMatchObject({ state: 'done', name: 'rex', progress: { step: 5, steps: 5 } });
    // The subject has the photos now.
    expect(readdirSync(join(engine.home.jobs, job!.id))).toEqual(['job.json']);

    const images = await engine.generate({ prompt: 'a photo of @rex in the snow', count: 2, seed: 40 });
    expect(images.map(({ png }) => Buffer.from(png).toString())).toEqual([
      'a photo of olis dog in the snow 40',
      'a photo of olis dog in the snow 41',
    ]);
    expect(images[0]).toMatchObject({ seed: 40, prompt: 'a photo of @rex in the snow', width: 64 });
    await images[1]!.save(join(folder, 'out/new/b.png'));
    expect(readFileSync(join(folder, 'out/new/b.png'), 'utf8')).toContain('snow 41');
    // The base stays loaded from one call to the next.
    const [again] = await engine.generate({ prompt: '@rex' });
    expect(again!.settings['loads']).toBe(images[0]!.settings['loads']);
  });

  test('stops at the next step and goes on from there', async () => {
    const engine = engineWith({ mode });
    const controller = new AbortController();
    const { at, onProgress } = whenAt(2);
    const run = engine.personalize(dog({ className: 'slow', name: 'rex', settings: { steps: 9 } }), {
      onProgress,
      signal: controller.signal,
    });
    const caught = errorOf(run);
    const id = await at;
    expect(readJob(engine.home, id).state).toBe('running');
    controller.abort();
    const error = (await caught) as StoppedError;
    expect(error).toBeInstanceOf(StoppedError);
    expect(error.job).toBe(id);
    expect(error.message).toContain(`dreambooth resume ${id}`);
    expect(readJob(engine.home, id)).toMatchObject({ state: 'stopped' });
    expect(subjectNames(engine.home)).toEqual([]);

    const events: ProgressEvent[] = [];
    const subject = await engine.resume(id, { onProgress: (event) => events.push(event) });
    expect(events[0]).toEqual({ kind: 'job-start', job: id, name: 'rex' });
    expect(events[1]).toMatchObject({ step: 2 });
    expect(readFileSync(join(subject.folder, 'lora.safetensors'), 'utf8')).toBe('resumed from 2');
    await expect(engine.resume(id)).rejects.toThrow(`The job ${id} is done`);
  });

  test('errors of the work keep class, code and fields; the job says why', async () => {
    const engine = engineWith({ mode });
    const error = (await errorOf(engine.personalize(dog({ className: 'diverge' })))) as TrainingDivergedError;
    expect(error).toMatchObject({ name: 'TrainingDivergedError', code: 'training-diverged', step: 1 });
    if (mode === 'process') expect(error).toBeInstanceOf(TrainingDivergedError);
    const [job] = listJobs(engine.home);
    expect(job).toMatchObject({ state: 'failed', error: { message: 'the loss is NaN' } });
  });

  test('a stopped generation rejects, and the next one works', async () => {
    const engine = engineWith({ mode });
    const controller = new AbortController();
    const run = engine.generate(
      { prompt: 'slow', steps: 1000 },
      { signal: controller.signal, onProgress: () => controller.abort() },
    );
    expect(await errorOf(run)).toMatchObject({ code: 'stopped', job: null });
    expect(await engine.generate({ prompt: 'x' })).toHaveLength(1);
    await expect(engine.generate({ prompt: 'x' }, { signal: AbortSignal.abort() })).rejects.toThrow(
      StoppedError,
    );
  });
});

describe('the process of an engine', () => {
  test('leaves the event loop free while it blocks its own', async () => {
    const engine = engineWith();
    await engine.generate({ prompt: 'start the process' });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const begun = Date.now();
    await engine.generate({ prompt: 'block', steps: 1 });
    clearInterval(timer);
    expect(Date.now() - begun).toBeGreaterThan(250);
    expect(ticks).toBeGreaterThan(15);
  });

  test('a native crash becomes a typed error, the job can be resumed, and the engine works on', async () => {
    const engine = engineWith();
    const error = (await errorOf(
      engine.personalize(dog({ className: 'crash', name: 'rex' })),
    )) as EngineCrashedError;
    expect(error).toBeInstanceOf(EngineCrashedError);
    expect(error).toMatchObject({ code: 'engine-crashed', exitSignal: 'SIGABRT' });
    expect(error.message).toContain('std::bad_alloc');
    expect(error.message).toContain(`dreambooth resume ${error.job}`);
    expect(readJob(engine.home, error.job!)).toMatchObject({
      state: 'failed',
      error: { code: 'engine-crashed' },
    });
    expect(subjectNames(engine.home)).toEqual([]);
    const subject = await engine.resume(error.job!);
    expect(readFileSync(join(subject.folder, 'lora.safetensors'), 'utf8')).toBe('resumed from 2');

    const lost = (await errorOf(engine.generate({ prompt: 'crash' }))) as EngineCrashedError;
    expect(lost).toMatchObject({ code: 'engine-crashed', exitSignal: 'SIGKILL', job: null });
    expect(await engine.generate({ prompt: '@rex' })).toHaveLength(1);
  });

  test('work that does not heed a stop is ended, and the job can be resumed', async () => {
    const engine = engineWith({ stopPatience: 100 });
    const controller = new AbortController();
    const { at, onProgress } = whenAt(0);
    const caught = errorOf(
      engine.personalize(dog({ className: 'stuck' }), { onProgress, signal: controller.signal }),
    );
    const id = await at;
    controller.abort();
    expect(await caught).toMatchObject({ code: 'stopped', job: id });
    expect(readJob(engine.home, id).state).toBe('stopped');
  });

  test('calls wait for one another, and one that waits can be given up', async () => {
    const engine = engineWith();
    const controller = new AbortController();
    const long = engine.generate({ prompt: 'slow', steps: 10 });
    const given = errorOf(engine.generate({ prompt: 'second' }, { signal: controller.signal }));
    const third = engine.generate({ prompt: 'third' });
    controller.abort();
    expect(await given).toMatchObject({ code: 'stopped' });
    const pids = [...(await long), ...(await third)].map(({ settings }) => settings['process']);
    expect(new Set(pids).size).toBe(1);
    expect(pids[0]).not.toBe(process.pid);
  });

  test('a program that used one ends by itself, and takes it along', async () => {
    const program = `
      import { createEngine } from ${JSON.stringify(engineSource)};
      const engine = createEngine(${JSON.stringify({ home: join(folder, 'home'), base, workerModule })});
      const subject = await engine.personalize({ images: [${JSON.stringify(photos)}], className: 'dog' });
      const [image] = await engine.generate({ prompt: '@' + subject.name });
      console.log(image.settings.process);`;
    const file = join(folder, 'program.mts');
    writeFileSync(file, program);
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', file], {
      timeout: 20_000,
    });
    await expect.poll(() => isAlive(Number(stdout)), { timeout: 5_000 }).toBe(false);
  });

  test('when its parent is killed it ends, the job is seen as stopped, and its name and lock are free', async () => {
    const home = join(folder, 'home');
    const program = `
      import { createEngine } from ${JSON.stringify(engineSource)};
      const engine = createEngine(${JSON.stringify({ home, base, workerModule })});
      await engine.personalize(${JSON.stringify(slow('rex'))}, {
        onProgress: (event) => console.log(JSON.stringify(event)),
      });`;
    const file = join(folder, 'program.mts');
    writeFileSync(file, program);
    const parent = spawn(process.execPath, ['--import', 'tsx', file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const id = await new Promise<string>((resolve) => {
      let text = '';
      parent.stdout.on('data', (chunk) => {
        text += chunk;
        if (text.includes('"step":2')) resolve(JSON.parse(text.split('\n')[0]!).job);
      });
    });
    const engine = engineWith();
    expect(readJob(engine.home, id).state).toBe('running');
    // Meanwhile nobody else may touch the job or the name.
    await expect(engine.resume(id)).rejects.toThrow(JobStateError);
    await expect(engine.personalize(slow('rex'))).rejects.toThrow('is being learned right now');
    parent.kill('SIGKILL');
    await expect.poll(() => readJob(engine.home, id).state, { timeout: 5_000 }).toBe('stopped');
    const { at, onProgress } = whenAt(1);
    const controller = new AbortController();
    const caught = errorOf(engine.resume(id, { onProgress, signal: controller.signal }));
    await at;
    controller.abort();
    expect(await caught).toMatchObject({ code: 'stopped' });
  });
});

describe('jobs', () => {
  test('a running one is cancelled through its record, and nothing of it stays', async () => {
    const engine = engineWith();
    const { at, onProgress } = whenAt(1);
    const caught = errorOf(engine.personalize(slow('rex'), { onProgress }));
    const id = await at;
    expect(await cancelJob(engine.home, id)).toMatchObject({ state: 'cancelled' });
    expect(await caught).toMatchObject({ code: 'stopped', job: null });
    expect(readdirSync(join(engine.home.jobs, id))).toEqual(['job.json']);
    await expect(engine.resume(id)).rejects.toThrow('its checkpoint is gone');
    expect((await cancelJob(engine.home, id)).state).toBe('cancelled');
  });

  test('a stopped or failed one can be cancelled, a done one cannot', async () => {
    const engine = engineWith({ mode: 'in-process' });
    await errorOf(engine.personalize(dog({ className: 'diverge' })));
    await engine.personalize(dog({ name: 'rex' }));
    const [failed, done] = listJobs(engine.home);
    expect(await cancelJob(engine.home, failed!.id)).toMatchObject({ state: 'cancelled' });
    await expect(cancelJob(engine.home, done!.id)).rejects.toThrow('subjects delete rex');
    await expect(cancelJob(engine.home, 'nope')).rejects.toThrow(UnknownJobError);
    await expect(engine.resume('../nope')).rejects.toThrow(UnknownJobError);
  });

  test('one whose name was taken meanwhile resumes under another', async () => {
    const engine = engineWith({ mode: 'in-process' });
    const controller = new AbortController();
    await errorOf(
      engine.personalize(slow('rex'), {
        signal: controller.signal,
        onProgress: (event) => event.kind === 'step-end' && controller.abort(),
      }),
    );
    const [job] = listJobs(engine.home);
    await engine.personalize(dog({ name: 'rex' }));
    await expect(engine.resume(job!.id)).rejects.toThrow(NameTakenError);
    await expect(engine.resume(job!.id)).rejects.toThrow(`dreambooth resume ${job!.id} --name rex-2`);
    expect(readJob(engine.home, job!.id).state).toBe('stopped');
    const { at, onProgress } = whenAt(5);
    const stop = new AbortController();
    const caught = errorOf(engine.resume(job!.id, { name: 'max', onProgress, signal: stop.signal }));
    await at;
    stop.abort();
    await caught;
    expect(readJob(engine.home, job!.id)).toMatchObject({ name: 'max', state: 'stopped' });
  });
});

describe('what a caller can get wrong', () => {
  const engine = () => engineWith({ mode: 'in-process' });

  test.each<[string, Partial<PersonalizationRequest>, new (...args: never[]) => Error, string]>([
    ['no photos', { images: [] }, InvalidOptionError, 'There are no photos'],
    ['a photo that is not there', { images: ['nowhere.jpg'] }, MissingFileError, 'nowhere.jpg'],
    ['photos that are none', { images: [3] as never }, InvalidOptionError, 'no list of files'],
    ['a class with a placeholder', { className: 'dog{subject}' }, InvalidOptionError, 'a plain noun'],
    ['a class that is no text', { className: 3 as never }, InvalidOptionError, 'a plain noun'],
    [
      'a file that is no photo',
      { images: [engineSource] },
      UnreadableImageError,
      `${engineSource} cannot be read as a photo`,
    ],
    ['an empty class', { className: '  ' }, InvalidOptionError, 'give the noun'],
    ['a class without letters', { className: '!?' }, InvalidOptionError, 'give the noun'],
    ['no base', { base: '/nowhere' }, MissingFileError, 'diffusers layout'],
    ['a name outside the folder', { name: '../x' }, Error, 'cannot be a subject'],
    ['an empty name', { name: '' }, Error, 'cannot be a subject'],
    ['an unknown setting', { settings: { ranck: 4 } as object }, InvalidOptionError, 'Did you mean "rank"?'],
    ['a setting of the wrong type', { settings: { steps: 0 } }, InvalidOptionError, 'steps is 0'],
    ['a seed below 0', { seed: -1 }, InvalidOptionError, 'seed is -1'],
  ])('%s', async (_, request, kind, message) => {
    const error = await errorOf(engine().personalize(dog(request)));
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message).toContain(message);
    expect((error as { code: string }).code).toEqual(expect.any(String));
    // Nothing was made, and the name is free.
    expect(listJobs(engine().home)).toEqual([]);
  });

  test('too many photos as bytes; one photo only warns', async () => {
    const bytes = new Uint8Array([1]);
    const error = await errorOf(engine().personalize(dog({ images: Array(21).fill(bytes) })));
    expect((error as Error).message).toContain('21 photos are too many');
    const warnings: string[] = [];
    const onProgress = (event: ProgressEvent) =>
      event.kind === 'warning-found' && warnings.push(event.message);
    await engine().personalize(dog({ images: [bytes] }), { onProgress });
    expect(warnings).toEqual([expect.stringContaining('There is one photo')]);
  });

  test('an engine that cannot be, or go on with nothing', async () => {
    const make = (options: object) => () => createEngine(options);
    expect(make({ bse: 'x' })).toThrow('There is no option "bse" of createEngine. Did you mean "base"?');
    expect(make({ device: 'gpu' })).toThrow('device is "gpu": choose one of cpu, cuda, webgpu.');
    expect(make({ threads: -4 })).toThrow('threads is -4: give a whole number from 1 on.');
    expect(make({ threads: 0 })).toThrow(InvalidOptionError);
    expect(await errorOf(engine().resume(undefined as never))).toMatchObject({ code: 'invalid-option' });
  });

  test('one photo needs no list; settings and options of the short form are told apart', async () => {
    const one = engine();
    const photo = join(photos, '1.png');
    expect(await personalize(photo as never, 'dog', { engine: one })).toMatchObject({
      photos: [{ name: '1.png' }],
    });
    const told = (options: object) => errorOf(personalize([photo], 'dog', { engine: one, ...options }));
    expect(await told({ settings: { steps: 3 } })).toMatchObject({
      message: expect.stringMatching(/directly here/),
    });
    expect(await told({ nmae: 'rex' })).toMatchObject({
      message: 'There is no option or training setting "nmae". Did you mean "name"?',
    });
    const { message } = (await told({ wibblywobbly: 1 })) as Error;
    expect(message).toMatch(/The nearest are \w+, \w+, \w+; README lists all/);
    expect(await errorOf(generate(undefined as never, { engine: one }))).toMatchObject({
      code: 'invalid-option',
    });
  });

  test('an empty photo is named', async () => {
    writeFileSync(join(photos, '2.png'), '');
    const error = await errorOf(engineWith().personalize(dog()));
    expect(error).toBeInstanceOf(UnreadableImageError);
    expect((error as UnreadableImageError).image).toBe('2.png');
  });

  test('a taken name, and default names that count on', async () => {
    const one = engine();
    expect((await one.personalize(dog({ name: 'rex' }))).name).toBe('rex');
    await expect(one.personalize(dog({ name: 'rex' }))).rejects.toThrow(NameTakenError);
    expect((await one.personalize(dog())).name).toBe('dog-1');
    expect((await one.personalize(dog())).name).toBe('dog-2');
    expect(listSubjects(one.home)).toHaveLength(3);
  });

  test('another class does not take the place of what is gone on with, but may have a name of its own', async () => {
    const one = engine();
    await one.personalize(dog({ name: 'rex' }));
    const on = (request: object) => one.personalize({ images: [], continueFrom: 'rex', ...request });
    expect(await errorOf(on({ className: 'cat' }))).toMatchObject({
      code: 'invalid-option',
      message: expect.stringMatching(/class is "cat", and @rex was learned as "dog": leave the class out/),
    });
    expect(listSubjects(one.home)).toMatchObject([{ className: 'dog', steps: 10 }]);
    expect(listJobs(one.home)).toHaveLength(1);
    expect(await on({ className: 'cat', name: 'mia' })).toMatchObject({ name: 'mia', className: 'cat' });
    expect(await on({ className: 'Dog' })).toMatchObject({ name: 'rex', className: 'Dog' });
  });

  test('two at once under one name: one learns, the other is told', async () => {
    const one = engineWith();
    const results = await Promise.allSettled([1, 2].map(() => one.personalize(dog({ name: 'rex' }))));
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(results.find((result) => result.status === 'rejected')!.reason).toBeInstanceOf(NameTakenError);
  });

  test.each<[string, object, string]>([
    ['an unknown subject', { prompt: '@rax' }, 'There is no subject @rax. There is @rex.'],
    ['a misspelt option', { prompt: 'x', sede: 3 }, 'no option "sede" of generate. Did you mean "seed"?'],
    ['an empty prompt', { prompt: ' ' }, 'The prompt is " ": say what to draw'],
    ['no prompt', { prompt: undefined }, 'The prompt is undefined: say what to draw'],
    [
      'strength of 5',
      { prompt: 'x', image: 'x.png', strength: 5 },
      'strength is 5: give a number above 0 to 1',
    ],
    ['a count of 0', { prompt: 'x', count: 0 }, 'count is 0'],
    ['half a step', { prompt: 'x', steps: 1.5 }, 'steps is 1.5'],
    ['a seed below 0', { prompt: 'x', seed: -1 }, 'seed is -1'],
    ['guidance that is no number', { prompt: 'x', guidanceScale: Number.NaN }, 'guidance is NaN'],
    ['an unknown scheduler', { prompt: 'x', scheduler: 'foo' }, 'dpmpp-2m-karras'],
    ['a base that is not there', { prompt: 'x', base: '/nowhere' }, '/nowhere'],
  ])('generate: %s', async (_, request, message) => {
    const one = engine();
    await one.personalize(dog({ name: 'rex' }));
    const error = (await errorOf(one.generate({ prompt: '', ...request }))) as Error;
    expect(error.message).toContain(message);
    expect((error as UnknownSubjectError).code).toEqual(expect.any(String));
  });

  test('subjects of two bases do not share a picture', async () => {
    const one = engine();
    const other = join(folder, 'other');
    mkdirSync(other);
    await one.personalize(dog({ name: 'rex' }));
    await one.personalize(dog({ name: 'mia', base: other }));
    await expect(one.generate({ prompt: '@rex and @mia' })).rejects.toThrow(WrongBaseError);
    expect(existsSync(join(one.home.subjects, '.reserved', 'rex'))).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('an engine that was closed begins again with the next call', async () => {
  const engine = engineWith();
  await engine.generate({ prompt: 'a dog', seed: 1 });
  await engine.close();
  const [image] = await engine.generate({ prompt: 'a dog', seed: 2 });
  expect(image!.seed).toBe(2);
});
