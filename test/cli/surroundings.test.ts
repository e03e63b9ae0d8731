/** Terminal, pipes, Ctrl-C and bad input, on work that is none: test/jobs/fake-work.mjs. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Surroundings } from '../../adapters/cli/surroundings';
import type { EngineOptions } from '../../sdk/index';
import { callIn, events, program } from './command-line';

const workerModule = join(import.meta.dirname, '../jobs/fake-work.mjs');
let folder: string;
let photos: string;
let home: string;

beforeAll(() => {
  if (!existsSync(program)) throw new Error('The program is not built: npm run build');
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-around-'));
  photos = join(folder, 'photos');
  home = join(folder, 'home');
  mkdirSync(photos);
  mkdirSync(join(folder, 'empty'));
  for (const name of ['1.png', '2.png', '3.png']) writeFileSync(join(photos, name), name);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The SDK with other work in its engines. */
const loadSdk = async () => {
  const sdk = await import('../../sdk/index');
  const createEngine = (options: EngineOptions) => sdk.createEngine({ ...options, workerModule });
  return { ...sdk, createEngine } as never;
};
const run = (around: Partial<Surroundings> & { terminal?: boolean }, ...parameters: string[]) =>
  callIn({ loadSdk, ...around }, ...parameters, '--home', home);
const learn = (name: string, className = 'dog') => [
  'personalize',
  photos,
  '--base',
  photos,
  '--class',
  className,
  '--name',
  name,
];

describe('progress', () => {
  test('is a live bar on a terminal, with loss and time left', async () => {
    const { code, err } = await run({ terminal: true }, ...learn('bar', 'slow'), '--steps', '20');
    expect(code).toBe(0);
    expect(err).toMatch(/Training [█░]+ \d+\/20 {2}loss 0\.\d{4} {2}\d+ images\/s {2}0:0\d left/);
    expect(err).toContain('20/20');
    // The cursor that the bar hid is back.
    expect(err.lastIndexOf('\u001b[?25h')).toBeGreaterThan(err.lastIndexOf('\u001b[?25l'));
  });

  test('is plain lines elsewhere, a few', async () => {
    const { code, err } = await run({}, ...learn('plain'), '--steps', '20');
    expect(code).toBe(0);
    expect(err).toMatch(/Learning @plain \(job plain-.*\nTraining 0\/20\nTraining 20\/20 {2}loss 0\.05/);
    expect(err).not.toContain('\u001b');
    expect(err.split('\n').length).toBeLessThan(8);
  });

  test('is events for programs, `started` first, and a warning in between', async () => {
    const { out, err } = await run({}, ...learn('told', 'warned'), '--steps', '3', '--json');
    expect(err).toBe('');
    const told = events(out).map(({ event }) => event);
    expect(told[0]).toBe('started');
    expect(told.at(-1)).toBe('done');
    expect(new Set(told)).toEqual(new Set(['started', 'warning', 'progress', 'done']));
    expect(events(out)[0].job).toMatch(/^told-/);
  });
});

describe('an interrupt', () => {
  const interruptedAt = (step: number, times: number) => {
    let interrupt = () => {};
    const exits: number[] = [];
    const around: Partial<Surroundings> = {
      onInterrupt(listener) {
        interrupt = listener;
        return () => {};
      },
      exit: (code) => exits.push(code),
      stdout: {
        write(text: string) {
          const told = JSON.parse(text);
          if (told.event === 'progress' && told.step === step) for (let i = 0; i < times; i++) interrupt();
          return true;
        },
      } as never,
    };
    return { around, exits };
  };

  test('stops after the step, and the job goes on from there', async () => {
    const { around } = interruptedAt(2, 1);
    expect((await run(around, ...learn('max', 'slow'), '--steps', '9', '--json')).code).toBe(130);
    const [job] = events((await run({}, 'jobs', '--json')).out).filter(({ name }) => name === 'max');
    expect(job.state).toBe('stopped');
    const shown = await run({}, 'jobs', 'show', job.id);
    expect(shown.out).toContain(`Go on with: dreambooth resume ${job.id} --home ${home}`);
    expect((await run({}, 'resume', job.id, '--set', 'rank=8')).err).toMatch(
      /rank cannot change .*To change rank, learn the subject anew\./,
    );
    expect((await run({}, 'resume', job.id, '--set', 'learningRate=1e-5')).code).toBe(0);
  });

  test('once more ends work that does not listen', async () => {
    const { around, exits } = interruptedAt(0, 2);
    expect((await run(around, ...learn('mia', 'stuck'), '--json')).code).toBe(130);
    expect(exits).toEqual([130]);
  });

  test('a cancelled job tells programs so', async () => {
    const { around } = interruptedAt(2, 1);
    await run(around, ...learn('tom', 'slow'), '--json');
    const { id } = events((await run({}, 'jobs', '--json')).out).find(({ name }) => name === 'tom');
    const told = events((await run({}, 'jobs', 'cancel', id, '--json')).out);
    expect(told).toEqual([
      { event: 'started', job: id },
      { event: 'done', files: [], job: id, subject: 'tom', state: 'cancelled' },
    ]);
  });
});

describe('bad input: exit code, code, and what to do', () => {
  test.each<[readonly string[], number, string, RegExp]>([
    [['personalize', 'EMPTY', '--class', 'dog'], 2, 'invalid-option', /no photos in .*: give 3 to 6 photos/],
    [['personalize', 'nowhere.jpg', '--class', 'dog'], 1, 'missing-file', /nowhere\.jpg/],
    [['personalize', 'PHOTOS', '--class', '  '], 2, 'invalid-option', /give the noun/],
    [['personalize', 'PHOTOS', '--class', 'dog', '--name', '../x'], 2, 'invalid-name', /"\.\.\/x" cannot be/],
    [['personalize', 'PHOTOS', '--class', 'dog', '--name', ''], 2, 'invalid-name', /"" cannot be/],
    [['personalize', 'PHOTOS', '--class', 'dog', '--name', 'rex'], 1, 'name-taken', /subjects delete rex/],
    [['personalize', 'PHOTOS', '--class', 'diverge'], 1, 'training-diverged', /the loss is NaN/],
    [
      ['personalize', 'PHOTOS', '--class', 'crash'],
      1,
      'engine-crashed',
      /dreambooth resume crash-1-.* --home /,
    ],
    [['generate', 'a @rax'], 1, 'unknown-subject', /There are .*@rex/],
    [
      ['generate', 'a dog', '--out', 'FILE/x.png'],
      2,
      'wrong-use',
      /FILE.* is a file, not a folder|cannot be written/,
    ],
    [['generate', 'a dog', '-n', '0'], 2, 'wrong-use', /Give a whole number from 1 on/],
    [['generate', 'a dog', '--scheduler', 'fast'], 2, 'invalid-option', /dpmpp-2m-karras/],
    [['resume', 'rex-0000'], 1, 'unknown-job', /no job "rex-0000"/],
    [['subjects', 'show', 'rax'], 1, 'unknown-subject', /There are .*@rex/],
    [
      ['subjects', 'import', 'nowhere.safetensors', '--name', 'x'],
      2,
      'invalid-option',
      /class is missing.*--class dog/,
    ],
  ])('%j', async (parameters, exitCode, code, message) => {
    await run({}, ...learn('rex'));
    const given = parameters.map((text) =>
      text
        .replace('PHOTOS', photos)
        .replace('EMPTY', join(folder, 'empty'))
        .replace('FILE', join(photos, '1.png')),
    );
    if (given[0] === 'personalize') given.push('--base', photos);
    const inWords = await run({}, ...given);
    expect(inWords).toMatchObject({ code: exitCode, err: expect.stringMatching(message) });
    expect(inWords.err).toContain(`Error (${code})`);
    expect(inWords.err).not.toMatch(/^ +at /m);
    const asJson = await run({}, ...given, '--json');
    expect(asJson).toMatchObject({ code: exitCode, err: '' });
    expect(events(asJson.out).at(-1)).toMatchObject({ event: 'error', code });
  });
});

test('a reader that leaves is minded, without a stack', async () => {
  const child = spawn(process.execPath, [program, '--help']);
  child.stdout.destroy();
  let err = '';
  child.stderr.on('data', (data) => {
    err += data;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect({ code, err }).toEqual({ code: 130, err: '' });
});

describe('pictures', () => {
  const draw = (out: string, surroundings: object, ...more: string[]) =>
    callIn(
      { loadSdk, ...surroundings },
      ...['generate', 'a dog, one after another', '-n', '5', '--seed', '7', '--out', join(folder, out)],
      ...['--home', home, ...more],
    );

  test('those that are finished when it is stopped are written, and the rest is drawn by what is said', async () => {
    const { code, out, err } = await draw('stopped/', {
      onInterrupt(stop: () => void) {
        const look = setInterval(() => {
          if (!existsSync(join(folder, 'stopped', 'a-dog-one-after-another-8.png'))) return;
          clearInterval(look);
          stop();
        }, 1);
        return () => clearInterval(look);
      },
    });
    expect(code).toBe(130);
    const written = readdirSync(join(folder, 'stopped')).sort();
    expect(written.slice(0, 2)).toEqual(['a-dog-one-after-another-7.png', 'a-dog-one-after-another-8.png']);
    expect(written.length).toBeLessThan(5);
    expect(out.trim().split('\n')).toEqual(written.map((name) => join(folder, 'stopped', name)));
    const done = written.length;
    expect(err).toContain(
      `${done} of 5 pictures are written. Go on with: dreambooth generate 'a dog, one after another' --seed ${7 + done} -n ${5 - done} --home ${home} --out ${join(folder, 'stopped/')}\n`,
    );
  });

  test('what is written before one cannot be is told, and none is drawn after it', async () => {
    mkdirSync(join(folder, 'full', 'some-9.png'), { recursive: true });
    const { code, out, err } = await draw('full/some.png', {}, '--json');
    expect([code, err]).toEqual([1, '']);
    const told = events(out).filter(({ event }) => event === 'picture');
    expect(told).toEqual(
      [7, 8].map((seed) => ({ event: 'picture', file: join(folder, `full/some-${seed}.png`), seed })),
    );
    expect(events(out).at(-1)).toMatchObject({ event: 'error', code: 'unwritable-path' });
    const inWords = await draw('full/some.png', {});
    expect(inWords.err).toMatch(/2 of 5 pictures are written. Go on with: .* --seed 9 -n 3 /);
  });

  test('a place that only seems to take files is refused before anything is drawn', async () => {
    if (process.platform !== 'linux') return;
    const { code, out, err } = await draw('', {}, '--out', '/proc/foo/x.png');
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/--out \/proc\/foo\/x\.png: \/proc cannot be written to/);
  });
});
