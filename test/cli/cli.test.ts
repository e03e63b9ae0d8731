import { createHash } from 'node:crypto';
/** The command line as people and programs meet it. What computes runs the built program on a tiny checkpoint. */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createProgram } from '../../adapters/cli/program';
import type { Session } from '../../adapters/cli/session';
import { readPngText, writePng } from '../../sdk/images/png';
import { operations } from '../../sdk/operations/index';
import { defineOperation } from '../../sdk/operations/operation';
import { toyArmNames } from '../../sdk/protocols/toybox/toybox-arms';
import { toyPhotos } from '../../sdk/toybox/toy-subject';
import { presetNames } from '../../sdk/training/presets';
import { call, callIn, events, type OnLine, program, startIn } from './command-line';

const root = join(import.meta.dirname, '../..');
const base = join(root, 'fixtures/golden/sd15-tiny');
let folder: string;
let photos: string;
let home: string;
const start = (parameters: readonly string[], onLine?: OnLine) => startIn(folder, parameters, onLine);

beforeAll(async () => {
  if (!existsSync(program)) throw new Error('The program is not built: npm run build');
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-cli-'));
  photos = join(folder, 'photos');
  home = join(folder, 'home');
  mkdirSync(photos);
  for (const [i, data] of toyPhotos({ class: 'dog', seed: 3 }).slice(0, 3).entries()) {
    await writePng(join(photos, `${i}.png`), { width: 64, height: 64, data });
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const quick = ['--base', base, '--steps', '3', '--set', 'classImages=2', '--set', 'checkpointEvery=1'];

describe('operations', () => {
  test('a new one in the table is a command, with no further line', async () => {
    const echo = defineOperation({
      name: 'echoLoudly',
      title: 'Echo',
      words: 'Says it again.',
      effect: 'reads',
      hosts: { cli: 'echo loudly' },
      input: z.object({
        word: z.string().describe('What to say'),
        times: z.int().min(1).max(9).optional().describe('How often'),
        fast: z.boolean().optional().describe('Whether at once'),
      }),
      result: z.object({ said: z.string() }),
      example: { word: 'hello', times: 2 },
      say: ({ said }) => said,
      run: async (_, { word, times = 1, fast }) => ({ said: `${word}${fast ? '!' : ' '}`.repeat(times) }),
    });
    const surroundings = { operations: { ...operations, echo } };
    const home = ['--home', join(folder, 'home-of-operations')];
    const say = (...words: string[]) => callIn(surroundings, 'echo', ...words, ...home);
    expect(await say('loudly', 'hi', '--times', '3', '--fast')).toMatchObject({
      code: 0,
      out: 'hi!hi!hi!\n',
    });
    expect((await say('loudly', 'hi', '--json')).out).toBe('{"said":"hi "}\n');
    expect(await say('loudly', 'hi', '--times', '99')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/times is 99: give a whole number from 1 to 9/),
    });
    expect((await say('loudly', '--help')).out).toMatch(
      /Says it again\.[\s\S]*\$ dreambooth echo loudly hello --times 2/,
    );
    expect((await say()).out).toContain('loudly');
  });
});

describe('help', () => {
  test('a bare call shows it, with an example, and is not wrong', async () => {
    const { code, out } = await call();
    expect(code).toBe(0);
    expect(out).toMatch(/Commands:[\s\S]*Example:\n {2}\$ dreambooth personalize/);
  });

  test('a group of the table says what its commands do', async () => {
    expect((await call('--help')).out).toMatch(/^ {2}pictures\b.* get a picture/m);
  });

  test('of the evaluation names every arm', async () => {
    const { out } = await call('evaluate', 'toybox', '--help');
    expect(out.replaceAll(/\s+/g, ' ')).toContain(`${toyArmNames.join(', ')} (default: all)`);
  });

  test('every command has an example that it understands itself', () => {
    const commands = createProgram(
      { stdout: process.stdout } as unknown as Session,
      operations,
      () => {},
    ).commands.flatMap((command) => [command, ...command.commands]);
    expect(commands.length).toBeGreaterThan(12);
    for (const command of commands) {
      let help = '';
      command.configureOutput({
        writeOut(text) {
          help += text;
        },
      });
      command.outputHelp();
      expect(help, command.name()).toMatch(/Example:\n {2}\$ dreambooth /);
    }
  });
});

describe('wrong use: exit code 2, one sentence, where to look', () => {
  test.each([
    [['personalise', 'x'], /Unknown command 'personalise'.*Did you mean personalize/is],
    [['personalize'], /Missing required argument 'photos'/],
    [['personalize', 'x.png'], /--class is missing: say what the subject is, as --class dog/],
    [['personalize', 'x.png', '--clas', 'dog'], /Unknown option '--clas'.*--class/is],
    [['generate', 'x', '--steps', 'many'], /Give a whole number/],
    [['generate', 'x', '--steps', '-1'], /Give a whole number from 1 on/],
    [['generate', 'x', '--threads', '0'], /Give a whole number from 1 on/],
    [['generate', ''], /The prompt is "": say what to draw/],
    [['generate', 'x', '--out', 'picture.jpg'], /written as PNG/],
    [['personalize', 'x.png', '--class', 'dog', '--set', 'rank'], /--set rank is no key=value/],
    [
      ['personalize', 'x.png', '--class', 'dog', '--set', 'rnak=8'],
      /no training setting "rnak".*Did you mean "rank"/s,
    ],
    [['personalize', 'x.png', '--class', 'dog', '--set', 'rank=0'], /rank is 0/],
    [['personalize', 'x.png', '--class', 'dog', '--prior', 'nothing'], /prior.*images.*adapter-off.*none/s],
    [
      ['personalize', 'x.png', '--class', 'dog', '--preset', 'dreambench-plus-sd1'],
      /did you mean "dreambench-plus-sd15"\?/,
    ],
    [['personalize', 'x.png', '--class', 'dog', '--set', 'preset=papr'], /did you mean "paper"\?/],
    [['presets', 'show', 'sdxllora'], /did you mean "sdxl-lora"\?/],
    [['evaluate', 'toybox', '--judge', 'http://localhost'], /Unknown option '--judge'/],
    [['evaluate', 'toybox', '--base', 'sd15'], /Unknown option '--base'/],
    [['evaluate', 'paper', '--max-cost', '3'], /Unknown option '--max-cost'/],
    [['evaluate', 'dreambench-plus', '--encoder', 'dino=x'], /Unknown option '--encoder'/],
    [['evaluate', '--subject', 'rex', '--seeds', '2'], /Unknown option '--seeds'/],
    [['evaluate', 'paper', '--subject', 'rex'], /Unknown option '--subject'/],
    [['evaluate'], /--subject is missing: say whose card, .* or which other way: dreambooth evaluate --help/],
    [['evaluate', 'paper', '--data', 'x', '--base', 'x', '--encoder', 'dino'], /write dino=PATH, clip=PATH/],
    [
      ['evaluate', '--subject', 'rex', '--encoder', 'clip=x', '--encoder', 'clip=y'],
      /--encoder clip is given twice/,
    ],
    [['evaluate', '--subject', 'rex', '--encoder', 'dino=/nowhere'], /dino=\S*nowhere: nothing is there/],
    [['evaluate', 'moon'], /no way "moon" to evaluate; there are card, .*: evaluate --subject moon/],
    [['subjects', 'shwo'], /unknown command 'shwo'; did you mean show/i],
  ])('%j', async (parameters, message) => {
    const { code, out, err } = await call(...parameters, '--home', home);
    expect(code).toBe(2);
    expect(err).toMatch(message);
    expect(out).toBe('');
    const asJson = await call(...parameters, '--home', home, '--json');
    expect(asJson.code).toBe(2);
    expect(asJson.err).toBe('');
    expect(events(asJson.out).at(-1)).toMatchObject({
      event: 'error',
      message: expect.stringMatching(message),
    });
  });
});

describe('failures: exit code 1, what was found and what to do', () => {
  test('photos that are none, an unknown subject, a missing base', async () => {
    writeFileSync(join(folder, 'text.png'), 'no picture');
    const learn = (...rest: string[]) =>
      start(['personalize', ...rest, '--class', 'dog', '--home', home, ...quick]);
    const text = await learn('text.png');
    expect(text.code).toBe(1);
    expect(text.err).toMatch(/Error \(unreadable-image\): text\.png cannot be read as a photo/);
    expect((await learn(join(folder, 'nowhere.png'))).err).toMatch(/missing-file.*nowhere\.png/);
    expect((await call('generate', 'a @rax', '--home', home)).err).toMatch(/no subject @rax/);
    const noBase = await call('generate', 'a dog', '--base', join(folder, 'no-base'), '--home', home);
    expect(noBase).toMatchObject({ code: 1, err: expect.stringMatching(/no base model at .*no-base/) });
    expect(await call('resume', 'nojob', '--home', home)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no job/),
    });
  });

  test('a base with a NaN among its weights', async () => {
    const damaged = join(folder, 'damaged');
    cpSync(base, damaged, { recursive: true });
    const file = join(damaged, 'unet/diffusion_pytorch_model.safetensors');
    const bytes = readFileSync(file);
    bytes.writeUInt32LE(0x7fc00000, bytes.length - 4);
    writeFileSync(file, bytes);
    const { code, err } = await start([
      'generate',
      'a dog',
      '--base',
      damaged,
      '--home',
      home,
      '--steps',
      '1',
    ]);
    expect(code).toBe(1);
    expect(err).toMatch(/non-finite-weight.*unet\..*NaN/);
  });
});

describe('learning and drawing', () => {
  test('the whole way, as JSON and in words', async () => {
    const learned = await start([
      'personalize',
      photos,
      '--class',
      'dog',
      '--name',
      'rex',
      '--json',
      '--home',
      home,
      ...quick,
      ...['--set', 'sampleEvery=3', '--set', 'sampleSteps=1', '--set', 'samplePrompts=a {subject}, asleep'],
    ]);
    expect(learned.code).toBe(0);
    const told = events(learned.out);
    expect(told.filter(({ event }) => event === 'settings')).toEqual([
      {
        event: 'settings',
        preset: 'sd15-lora',
        settings: expect.objectContaining({ steps: 3, rank: 4 }),
        changed: expect.arrayContaining(['steps', 'classImages', 'checkpointEvery']),
        bytes: expect.any(Number),
      },
    ]);
    const written = statSync(join(home, 'subjects/rex/lora.safetensors')).size;
    const [{ bytes }] = told.filter(({ event }) => event === 'settings');
    expect(written).toBeGreaterThan(bytes);
    expect(written).toBeLessThan(1.5 * bytes);
    const [sample, ...others] = told.filter(({ event }) => event === 'sample');
    expect(sample).toMatchObject({ step: 3, files: [expect.stringMatching(/3-1\.png$/)] });
    expect(others).toEqual([]);
    expect(told[0]).toMatchObject({ event: 'started', job: expect.stringMatching(/^rex-/) });
    const training = told.filter(({ event, phase }) => event === 'progress' && phase === 'train');
    expect(training.map(({ step, steps }) => [step, steps])).toEqual([
      [0, 3],
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
    expect(training.at(-1).loss).toBeGreaterThan(0);
    expect(told.at(-1)).toMatchObject({ event: 'done', subject: 'rex', files: expect.any(Array) });
    for (const file of told.at(-1).files) expect(existsSync(file)).toBe(true);

    const drawn = await start([
      'generate',
      'a @rex',
      '-n',
      '2',
      '--seed',
      '7',
      '--steps',
      '2',
      '--out',
      'pictures/',
      '--home',
      home,
    ]);
    expect(drawn.code).toBe(0);
    expect(readdirSync(join(folder, 'pictures')).sort()).toEqual(['a-rex-7.png', 'a-rex-8.png']);
    expect(drawn.out.trim().split('\n')).toHaveLength(2);
    expect(drawn.err).toMatch(
      /Next, four more: dreambooth generate --like \/\S+a-rex-8\.png -n 4 --seed 9 --home /,
    );
    const alone = [
      'generate',
      'a @rex',
      '--seed',
      '8',
      '--steps',
      '2',
      '--scheduler',
      'DPMPP-2m-karras',
      '--out',
      'one.png',
    ];
    expect((await start([...alone, '--home', home])).code).toBe(0);
    const one = readFileSync(join(folder, 'one.png'));
    expect(one.equals(readFileSync(join(folder, 'pictures/a-rex-8.png')))).toBe(true);
    const { parameters } = readPngText(one);
    expect(parameters).toMatch(/^a \w+ dog <lora:rex:1>\nSteps: 2, Sampler: DPM\+\+ 2M Karras, CFG scale: /);

    // The same picture to the bit, and another with what is said over it.
    const like = (...more: string[]) => start(['generate', '--like', 'one.png', ...more, '--home', home]);
    expect((await like('--out', 'again.png')).code).toBe(0);
    expect(readFileSync(join(folder, 'again.png')).equals(one)).toBe(true);
    expect((await like('--seed', '9', '--out', 'other.png')).code).toBe(0);
    const other = readPngText(readFileSync(join(folder, 'other.png')));
    expect(JSON.parse(other['dreambooth']!)).toMatchObject({ prompt: 'a @rex', seed: 9 });
    expect(await call('generate', '--home', home)).toMatchObject({ code: 2 });
    writeFileSync(join(folder, 'silent.png'), '');
    const silent = await start(['generate', '--like', 'silent.png', '--home', home]);
    expect(silent).toMatchObject({ code: 2, err: expect.stringContaining('does not say how it was made') });

    const job = (await call('jobs', 'list', '--json', '--home', home)).out;
    expect(events(job).find(({ id }) => id === told[0].job)).toMatchObject({ state: 'done' });
    expect(events((await call('subjects', '--json', '--home', home)).out)[0]).toMatchObject({
      name: 'rex',
      id: expect.any(String),
    });
    const shown = (await call('subjects', 'show', '@rex', '--home', home)).out;
    expect(shown).toContain('learned with "a ');
    const left = join(home, 'subjects/rex');
    expect(shown).toContain(`log of the training: ${join(left, 'log.jsonl')}\n`);
    expect((await call('jobs', 'show', told[0].job, '--home', home)).out).toContain(join(left, 'samples'));
  });

  test('Ctrl-C stops at the next step and says how to go on, to the same bits; a done job is not resumed', async () => {
    const learn = (name: string) => [
      'personalize',
      photos,
      '--class',
      'dog',
      '--name',
      name,
      '--seed',
      '4',
      '--json',
    ];
    const more = (where: string) => ['--home', join(folder, where), ...quick, '--steps', '6'];
    const stopped = await start([...learn('max'), ...more('stopped')], (line, child) => {
      const { phase, step } = JSON.parse(line);
      if (phase === 'train' && step === 2) child.kill('SIGINT');
    });
    expect(stopped.code).toBe(130);
    const { code, job, message } = events(stopped.out).at(-1);
    expect(code).toBe('stopped');
    expect(message).toContain(`dreambooth resume ${job}`);
    const resumed = await start(['resume', job, '--home', join(folder, 'stopped')]);
    expect(resumed.code).toBe(0);
    expect(resumed.err).toMatch(
      /Preset sd15-lora, but steps=6, classImages=2, checkpointEvery=1 .*\nTrains a LoRA of rank 4, 6 steps at 0\.0001, on "a photo of \w+ dog"; \d+ kB in the end/,
    );
    expect(resumed.out).toMatch(
      /Learned @max.*\nNext: dreambooth generate "a photo of @max in the snow" --home/,
    );
    expect((await start([...learn('max'), ...more('straight')])).code).toBe(0);
    const lora = (where: string) => readFileSync(join(folder, where, 'subjects/max/lora.safetensors'));
    expect(lora('stopped').equals(lora('straight'))).toBe(true);
    expect(await call('resume', job, '--home', join(folder, 'stopped'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/job-state/),
    });
  });

  test('subjects leave and come back as files, and are renamed and deleted', async () => {
    const own = join(folder, 'files');
    const lora = join(root, 'fixtures/golden/sd15-tiny/golden/lora.kohya.safetensors');
    copyFileSync(lora, join(folder, 'given.safetensors'));
    const told = ['--class', 'dog', '--identifier', 'sks', '--base', base, '--home', own];
    const add = (file: string, name: string) =>
      call('subjects', 'import', join(folder, file), '--name', name, ...told);
    expect((await add('given.safetensors', 'rex')).code).toBe(0);
    const out = (format: string, path: string, ...more: string[]) =>
      call(
        ...['subjects', 'export', 'rex', '--format', format, '--out', join(folder, path)],
        ...['--dtype', 'float32', '--home', own, ...more],
      );
    expect((await out('diffusers', 'folder')).code).toBe(0);
    expect((await out('kohya', 'again.safetensors')).code).toBe(0);
    expect(await out('kohya', 'again.safetensors')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/again\.safetensors is there already/),
    });
    expect((await out('kohya', 'again.safetensors', '--overwrite')).code).toBe(0);
    expect((await add('folder', 'mia')).code).toBe(0);
    expect((await add('again.safetensors', 'max')).code).toBe(0);
    const stored = (name: string) => readFileSync(join(own, 'subjects', name, 'lora.safetensors'));
    expect(stored('max').equals(stored('rex'))).toBe(true);
    expect(stored('mia').equals(stored('rex'))).toBe(true);
    expect((await call('subjects', 'rename', 'max', 'mia', '--home', own)).err).toMatch(/name-taken/);
    expect((await call('subjects', 'rename', 'max', 'tom', '--home', own)).out).toMatch(
      /@max is @tom now\.\nNext: dreambooth generate "a photo of @tom/,
    );
    expect((await call('subjects', 'rename', 'tom', 'max', '--home', own)).code).toBe(0);
    expect(await call('subjects', 'rename', 'max', '../x', '--home', own)).toMatchObject({ code: 2 });
    expect((await out('kohya', 'max.ckpt')).err).toMatch(
      /max\.ckpt would be of a format that is not written/,
    );
    // Whole, into another home, by its own name; twice is once; damaged it is refused.
    expect((await out('subject', 'whole.safetensors')).out).toMatch(/whole\.safetensors/);
    const other = join(folder, 'other-home');
    const take = (file: string, ...more: string[]) =>
      call('subjects', 'import', join(folder, file), '--home', other, ...more);
    expect((await take('whole.safetensors')).out).toMatch(/@rex now/);
    expect((await take('whole.safetensors')).code).toBe(0);
    expect((await call('subjects', '--home', other)).out.trim().split('\n')).toHaveLength(1);
    const record = (home: string) =>
      JSON.parse(readFileSync(join(home, 'subjects/rex/subject.json'), 'utf8'));
    expect(record(other)).toEqual(record(own));
    expect((await take('whole.safetensors', '--name', 'max')).code).toBe(0);
    expect(record(own).files[0].sha256).toBe(createHash('sha256').update(stored('rex')).digest('hex'));
    const bytes = readFileSync(join(folder, 'whole.safetensors'));
    bytes[bytes.length - 3]! ^= 1;
    writeFileSync(join(folder, 'damaged.safetensors'), bytes);
    expect((await take('damaged.safetensors', '--name', 'tim')).err).toMatch(
      /damaged.*not those that were exported/,
    );
    expect((await take('given.safetensors')).err).toMatch(/The name is missing.*--name rex/);
    // Into a folder, as any path without .safetensors; what is said next is a path that is there.
    const into = join(folder, 'max.subject');
    const exported = await call(
      'subjects',
      'export',
      'max',
      '--format',
      'subject',
      '--out',
      into,
      '--home',
      own,
    );
    expect(exported.err).toContain(`subjects import ${exported.out.trim()}`);
    expect(existsSync(exported.out.trim())).toBe(true);
    const third = join(folder, 'third');
    expect(await call('subjects', 'import', into, '--home', third)).toMatchObject({ code: 0, err: '' });
    expect((await call('subjects', 'delete', 'max', '--home', own)).code).toBe(0);
    expect((await call('subjects', 'show', 'max', '--home', own)).err).toMatch(
      /There are @rex, @mia|There are @mia, @rex/,
    );
  });
});

test('presets are listed with their sources, and one with all its settings', async () => {
  const { code, out } = await call('presets');
  expect(code).toBe(0);
  expect(out).toMatch(
    /^sd15-lora\n {2}LoRA of rank 4[\s\S]*^dreambench-plus-sd15\n[\s\S]*Source: DreamBench\+\+/m,
  );
  const rows = events((await call('presets', 'list', '--json')).out);
  expect(rows.map(({ id }) => id)).toEqual(presetNames);
  expect(rows[2]).toMatchObject({ name: 'paper', source: expect.any(String), settings: { steps: 1000 } });
  const shown = (await call('presets', 'show', 'dreambench-plus-sdxl-lora')).out;
  expect(shown).toMatch(/learningRate +0\.00005$/m);
  expect(shown).toMatch(/drawScheduler +euler$/m);
  expect(shown).toMatch(/seed +42$/m);
});

test('doctor looks at the machine and says what to do', async () => {
  const { out } = await call('doctor', '--base', base, '--home', home);
  expect(out).toMatch(/Node +\d+\.\d+/);
  expect(out).toMatch(/cpu +usable/);
  expect(out).toMatch(
    /SD 1, folder in the diffusers layout, predicts epsilon\n {2}unet +[\d,]+ parameters in 684 tensors, float32/,
  );
  expect(out).toMatch(/not read: 1 key \(text_model\.embeddings\.position_ids\)/);
  expect(out).toMatch(/cuda +(usable|not usable: .*(ONNXRUNTIME_NODE_INSTALL|NVIDIA))/);
});
