import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noScoreLines } from '../../adapters/cli/evaluate-dreambench';
import {
  InvalidOptionError,
  JudgeAccessError,
  JudgeUnreachableError,
  MissingFileError,
} from '../../sdk/errors';
import * as sdk from '../../sdk/index';
import { openDreamBench, promptTypeOf } from '../../sdk/protocols/dreambench/dreambench-data';
import { type DreamBenchRequest, evaluateDreamBench } from '../../sdk/protocols/dreambench/dreambench-plus';
import {
  dreamBenchReport,
  incomparabilities,
  reportDreamBench,
} from '../../sdk/protocols/dreambench/dreambench-report';
import { openJudge } from '../../sdk/protocols/dreambench/openai-judge';
import { markdownReport } from '../../sdk/reports/markdown';
import { subjectNames } from '../../sdk/subjects/subjects';
import { presets } from '../../sdk/training/presets';
import { callIn, events } from '../cli/command-line';
import { type FakeOpenAI, startFakeOpenAI } from './fake-openai';
import { paint, placeForTests } from './protocol-engine';

const place = placeForTests();
let data: string;
let server: FakeOpenAI;

const captions = (noun: string) =>
  [noun, ...Array.from({ length: 9 }, (_, i) => `A picture of a ${noun}, number ${i}`)].join('\n');

async function reference(path: string, text: string | null): Promise<void> {
  await paint(join(data, 'data/images', `${path}.jpg`), [10, 20, 30]);
  if (text === null) return;
  const file = join(data, 'data/captions', `${path}.txt`);
  await mkdir(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

beforeEach(async () => {
  data = join(place.folder, 'dreambench_plus');
  await reference('style/00', captions('Ink Wash'));
  await reference('live_subject/animal/00', captions('red panda'));
  await reference('object/00', 'cup\nA cup');
  await reference('object/01', null);
  await reference('elsewhere/00', captions('thing'));
  await reference('live_subject/human/00', captions('man'));
  writeFileSync(join(data, 'data/images/live_subject/human/00.jpg'), 'no picture');
  server = await startFakeOpenAI();
});
afterEach(() => server.close());

const request = (more: Partial<DreamBenchRequest> = {}): DreamBenchRequest => ({
  data,
  folder: join(place.folder, 'out'),
  base: place.base,
  settings: { preset: 'dreambench-plus-sd15' },
  ...more,
});
const judge = (retries = 0) => openJudge({ endpoint: server.url, key: 'k', retries });

test('the data: ids as published, in their order, and what is left out', async () => {
  const { references, gaps } = await openDreamBench(data);
  expect(await openDreamBench(join(data, 'data'))).toEqual({ references, gaps });
  expect(references.map(({ id, category, subject }) => [id, category, subject])).toEqual([
    ['live_subject_animal_00_red_panda', 'animal', 'red panda'],
    ['style_00_ink_wash', 'style', 'Ink Wash'],
  ]);
  const text = gaps.join('\n');
  expect(text).toMatch(/object[\\/]00\.jpg is left out: .* has 1 captions after the noun, not 9/);
  expect(text).toMatch(/object[\\/]01\.jpg is left out: it has no captions/);
  expect(text).toMatch(/elsewhere[\\/]00\.jpg is left out: no folder above it/);
  expect(text).toMatch(/human[\\/]00\.jpg is left out: .* cannot be read/);
  expect(text).toMatch(/1 references of animal; 45 were published/);
  await expect(openDreamBench(place.base)).rejects.toThrow(MissingFileError);
  rmSync(join(data, 'data/captions'), { recursive: true });
  await expect(openDreamBench(data)).rejects.toThrow(InvalidOptionError);
  expect(Array.from({ length: 9 }, (_, i) => promptTypeOf(i)[0]).join('')).toBe('ppppsssii');
});

test('a link to what is not there is left out by name', async () => {
  const images = join(data, 'data/images');
  symlinkSync(join(place.folder, 'nowhere'), join(images, 'object/02.jpg'));
  symlinkSync(join(place.folder, 'nowhere'), join(images, 'more'));
  const text = (await openDreamBench(data)).gaps.join('\n');
  expect(text).toMatch(/object[\\/]02\.jpg is left out: it is a link to what is not there/);
  expect(text).toMatch(/^more is left out: it is a link/m);
});

test('learned from one picture, drawn in nine captions, judged, gone on with', {
  timeout: 60_000,
}, async () => {
  // Six answers, then the judge is down.
  server.behave = (_, n) => (n < 6 ? { say: 'Score: 4' } : 'hang-up');
  const first = evaluateDreamBench(place.engine, request({ judge: await judge(), runs: 2, concurrency: 1 }));
  await expect(first).rejects.toThrow(JudgeUnreachableError);
  const { learned, drawn } = place.calls;
  expect(
    learned.map(({ className, photos, settings }) => [className, photos.length, settings['preset']]),
  ).toEqual([
    ['red panda', 1, 'dreambench-plus-sd15'],
    ['Ink Wash', 1, 'dreambench-plus-sd15'],
  ]);
  expect(drawn).toHaveLength(18);
  expect(drawn[3]).toMatchObject({
    text: 'A picture of a red panda, number 3',
    seeds: [42],
    steps: 100,
    guidanceScale: 7.5,
  });
  expect(drawn[3]!.subjects.map(({ subject }) => subject.name)).toEqual([learned[0]!.name]);
  expect(subjectNames(place.engine.home)).toEqual([]);

  server.behave = () => ({ say: 'Score: 2' });
  const asked = server.asked.length;
  const evaluation = await evaluateDreamBench(place.engine, request({ judge: await judge(), runs: 2 }));
  expect([learned.length, drawn.length]).toEqual([2, 18]);
  // 18 pictures, two questions, two runs; six were answered.
  expect(server.asked).toHaveLength(asked + 72 - 6);
  expect(evaluation.answers).toHaveLength(72);
  const rows = readFileSync(join(place.folder, 'out/pictures.jsonl'), 'utf8').trim().split('\n');
  expect(JSON.parse(rows[0]!)).toMatchObject({
    reference: 'live_subject_animal_00_red_panda',
    prompt: 0,
    caption: 'A picture of a red panda, number 0',
    seed: 42,
  });
  // CP: of 36 three are 4, 33 are 2, all of the first run: (3·4 + 15·2)/18/4 and 1/2.
  expect(evaluation.scores.CP).toMatchObject({
    mean: Number(((42 / 18 / 4 + 0.5) / 2).toFixed(3)),
    rated: 36,
  });

  const { files } = await reportDreamBench(evaluation, join(place.folder, 'out'));
  const text = readFileSync(files[1]!, 'utf8');
  expect(text).toContain('2 of 150 references');
  expect(text).toContain("The judge's instructions are this package's own words");
  expect(text).toContain('18 pictures have both scores in every run; published: 1350');
  expect(text).toContain('(<sheet.png>)');
  expect(text).not.toMatch(/0\.494|NaN|undefined/);
});

test('what judging is certain to fail of is told before anything is learned', async () => {
  server.listing = 401;
  await expect(evaluateDreamBench(place.engine, request({ judge: await judge() }))).rejects.toThrow(
    JudgeAccessError,
  );
  server.listing = 404;
  const dear = request({ judge: await judge(), maxCost: 0.01 });
  await expect(evaluateDreamBench(place.engine, dear)).rejects.toThrow(
    /^108 calls of .* cost about \$0\.\d\d, \$0\.00 are spent, and the limit is \$0\.01/,
  );
  expect(place.calls.learned).toEqual([]);
  // What was answered costs nothing more.
  await evaluateDreamBench(place.engine, request({ judge: await judge() }));
  expect((await evaluateDreamBench(place.engine, { ...dear, maxCost: 1 })).answers).toHaveLength(108);
});

test('what is drawn and not judged is priced with what is not drawn', async () => {
  await evaluateDreamBench(place.engine, request({ subjects: 1 }));
  // $1 for both questions of a picture.
  const limits = { price: { input: 0, output: 1e6 / 210 }, runs: 1, maxCost: 12 };
  const both = evaluateDreamBench(place.engine, request({ judge: await judge(), ...limits }));
  await expect(both).rejects.toThrow(/^36 calls of .* cost about \$18\.00, \$0\.00 are spent/);
  expect(place.calls.learned).toHaveLength(1);
  // Once it is judged, for next to nothing, there is room for the other.
  const told: (number | null)[] = [];
  const onEstimate = ({ cost }: { cost: number | null }) => told.push(cost);
  const first = request({ judge: await judge(), subjects: 1, ...limits });
  await evaluateDreamBench(place.engine, first, { onEstimate });
  await evaluateDreamBench(place.engine, request({ judge: await judge(), ...limits }), { onEstimate });
  expect(told.map((cost) => cost?.toFixed(2))).toEqual(['9.00', '9.00', '9.00', '9.00']);
});

test('a run that is done is told again without its judge', async () => {
  const asked = request({ judge: await judge(), subjects: 1, runs: 1 });
  const { answers } = await evaluateDreamBench(place.engine, asked);
  expect(answers).toHaveLength(18);
  await server.close();
  expect((await evaluateDreamBench(place.engine, asked)).answers).toEqual(answers);
});

test('a caption that was corrected is drawn anew', async () => {
  await evaluateDreamBench(place.engine, request({ subjects: 1 }));
  const file = join(data, 'data/captions/live_subject/animal/00.txt');
  writeFileSync(file, readFileSync(file, 'utf8').replace('number 3', 'asleep'));
  const { pictures } = await evaluateDreamBench(place.engine, request({ subjects: 1 }));
  expect(place.calls.drawn[9 + 3]).toMatchObject({ text: 'A picture of a red panda, asleep' });
  expect(pictures[3]).toMatchObject({ caption: 'A picture of a red panda, asleep' });
  const rows = readFileSync(join(place.folder, 'out/pictures.jsonl'), 'utf8').trim().split('\n');
  expect(new Set(rows.map((row) => JSON.parse(row).file)).size).toBe(18);
});

test('what is said of questions without a score', () => {
  const lines = (noScore: object) => noScoreLines({ answers: Array(9), scores: { noScore } } as never).join();
  expect(lines({ refusal: 0, prose: 0, 'time-out': 0 })).toBe('');
  const late = lines({ refusal: 0, prose: 0, 'time-out': 2 });
  expect(late).toMatch(/^2 of 9 questions have no score.*The same command asks the 2 .*in time again\.$/);
  const prose = lines({ refusal: 1, prose: 3, 'time-out': 0 });
  expect(prose).toMatch(/4 are not asked again: .*answers\.jsonl.*--max-cost/);
  expect(prose).not.toMatch(/in time again/);
});

test('without a judge pictures are drawn and nothing is rated', async () => {
  const evaluation = await evaluateDreamBench(place.engine, request({ subjects: 1 }));
  expect(evaluation.pictures).toHaveLength(9);
  expect(evaluation.scores).toMatchObject({ CP: { mean: null }, product: null });
  const text = markdownReport(dreamBenchReport(evaluation));
  expect(text).toContain('| here | not measured | not measured | not measured |');
  expect(text).toContain('Nobody has judged.');
});

test('a drawn picture that cannot be read is a gap, and drawn anew where it was deleted', async () => {
  const { pictures } = await evaluateDreamBench(place.engine, request({ subjects: 1 }));
  const broken = join(place.folder, 'out', pictures[4]!.file);
  // Its end is that of a whole one: what was cut off is drawn again by itself.
  writeFileSync(broken, readFileSync(broken).fill(7, 0, 60));
  const evaluation = await evaluateDreamBench(
    place.engine,
    request({ subjects: 1, judge: await judge(), runs: 1, maxCalls: 16 }),
  );
  expect(evaluation.answers).toHaveLength(16);
  // Nothing was asked of it, which counts as no question.
  expect(evaluation.stopped).toBeNull();
  expect(evaluation.gaps.at(-1)).toBe(
    `${broken} cannot be read and was not judged: delete it, and the same command draws it anew`,
  );
  expect(incomparabilities(evaluation).join()).toContain('8 pictures have both scores in every run');
  rmSync(broken);
  const mended = await evaluateDreamBench(
    place.engine,
    request({ subjects: 1, judge: await judge(), runs: 1 }),
  );
  expect(mended.answers).toHaveLength(18);
  expect(mended.gaps.join()).not.toContain('cannot be read and was not judged');
});

test('with an identifier the subject is mentioned where its noun is', async () => {
  const evaluation = await evaluateDreamBench(
    place.engine,
    request({ subjects: 1, settings: { preset: 'paper' } }),
  );
  expect(place.calls.drawn[0]!.text).toBe('A picture of a olis red panda, number 0');
  expect(evaluation.about.preset).toBe('paper');
});

test('a recipe that says something else than before is another, whatever it is called', async () => {
  await evaluateDreamBench(place.engine, request({ subjects: 1 }));
  const { settings } = presets['dreambench-plus-sd15'] as { settings: { learningRate: number } };
  const { learningRate } = settings;
  try {
    settings.learningRate = learningRate / 2;
    const { about } = await evaluateDreamBench(place.engine, request({ subjects: 1 }));
    expect(about.recipe.learningRate).toBe(learningRate / 2);
    expect(place.calls.learned).toHaveLength(2);
    expect(place.calls.drawn).toHaveLength(18);
  } finally {
    settings.learningRate = learningRate;
  }
});

test('a picture that was cut off is drawn again', async () => {
  const { pictures } = await evaluateDreamBench(place.engine, request({ subjects: 1 }));
  const file = join(place.folder, 'out', pictures[2]!.file);
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length - 5));
  await evaluateDreamBench(place.engine, request({ subjects: 1 }));
  expect(readFileSync(file)).toEqual(whole);
  expect(place.calls.drawn).toHaveLength(10);
});

test('how it is drawn is not for settings to say; subjects are at most those that were published', async () => {
  const drawn = { settings: { drawSteps: 4 } };
  await expect(evaluateDreamBench(place.engine, request(drawn))).rejects.toThrow(
    /drawSteps is 4: pictures of this protocol are drawn in 100 steps at guidance 7.5/,
  );
  await expect(evaluateDreamBench(place.engine, request({ subjects: 151 }))).rejects.toThrow(/1 to 150/);
});

test('"base" is the autoencoder of the base, which nothing differs by', async () => {
  const { about } = await evaluateDreamBench(place.engine, request({ subjects: 1, vae: 'base' }));
  expect(about.vae).toBeNull();
});

test('pictures of XL are decoded by the base’s own autoencoder', async () => {
  const vae = join(place.folder, 'vae.safetensors');
  writeFileSync(vae, '');
  const preset = 'dreambench-plus-sdxl-lora';
  await evaluateDreamBench(place.engine, request({ subjects: 1, settings: { preset }, vae }));
  expect(place.calls.learned[0]).toMatchObject({ vaePath: vae });
  expect(place.calls.drawn[0]).toMatchObject({ vaePath: null });
});

test('which autoencoder was given is told by its bytes', async () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const folder = join(place.folder, 'vae');
  mkdirSync(folder);
  writeFileSync(join(folder, 'config.json'), '{}');
  writeFileSync(join(folder, 'diffusion_pytorch_model.safetensors'), 'folder');
  writeFileSync(join(place.folder, 'vae.safetensors'), 'file');
  for (const [vae, hash] of [
    [folder, sha256('folder')],
    [join(place.folder, 'vae.safetensors'), sha256('file')],
    ['base', null],
  ] as const)
    expect((await evaluateDreamBench(place.engine, request({ subjects: 1, vae }))).about.vaeHash).toBe(hash);
});

describe('at the terminal', () => {
  const key = 'sk-very-secret-0123456789';
  let keyBefore: string | undefined;
  beforeEach(() => {
    keyBefore = process.env['OPENAI_API_KEY'];
    process.env['OPENAI_API_KEY'] = key;
  });
  afterEach(() => {
    if (keyBefore === undefined) delete process.env['OPENAI_API_KEY'];
    else process.env['OPENAI_API_KEY'] = keyBefore;
  });
  /** On stand-in work. */
  const call = (...parameters: string[]) => {
    const createEngine: typeof sdk.createEngine = (options) =>
      sdk.createEngine({
        ...options,
        mode: 'in-process',
        workerModule: join(import.meta.dirname, 'protocol-work.mjs'),
      });
    const common = ['--home', join(place.folder, 'home'), '--out', join(place.folder, 'out')];
    return callIn({ loadSdk: async () => ({ ...sdk, createEngine }) as never }, ...parameters, ...common);
  };
  const run = (...more: string[]) =>
    call(
      'evaluate',
      'dreambench-plus',
      ...['--data', data, '--base', place.base, '--preset', 'dreambench-plus-sd15'],
      ...['--subjects', '1', ...more],
    );

  test('it says what judging takes, what came of it and where to look', async () => {
    const limits = ['--max-cost', '1', '--price', '10/30'];
    const { code, out, err } = await run('--judge', server.url, '--runs', '1', ...limits);
    expect(err).toMatch(/Judging takes 18 calls: 0\.0\d M tokens in and 0\.00 M out, about \$0\.[12]\d/);
    // Nothing is open afterwards that was not before.
    expect(err.match(/Judging takes/g)).toHaveLength(1);
    // Before the first is learned, together with what is not there.
    expect(err.indexOf('Judging takes')).toBeLessThan(err.indexOf('Learning @'));
    expect(err).toMatch(
      /Warning: Going on with 1 of 150 references: elsewhere.00\.jpg is left out.*; and \d+ more/,
    );
    expect(err.indexOf('Going on with')).toBeLessThan(err.indexOf('Learning @'));
    expect(out).toMatch(/CP 0\.750 {2}PF 0\.750 {2}CP·PF 0\.563\nLook at .*report\.html/);
    expect(code).toBe(0);
    const json = await run('--judge', server.url, '--runs', '1', '--json');
    expect(events(json.out).at(-1)).toMatchObject({
      event: 'done',
      stopped: null,
      scores: { product: 0.563 },
    });
    expect(`${out}${err}${json.out}`).not.toContain('secret');
  });

  test('limits of judging without a judge are refused, before anything is learned', async () => {
    for (const [option, value] of [
      ['max-cost', '1'],
      ['runs', '3'],
      ['price', '5/15'],
      ['max-calls', '5'],
      ['calls-per-minute', '5'],
    ]) {
      const { code, err } = await run(`--${option}`, value!);
      expect(code).toBe(2);
      expect(err).toMatch(new RegExp(`--${option} is of judging, and no judge is named`));
    }
    expect(place.calls.learned).toEqual([]);
  });

  test('a wrong key is one line; a price that is none, wrong use', async () => {
    server.behave = () => ({ status: 401, error: { message: `Incorrect API key: ${key}` } });
    const { code, out, err } = await run('--judge', server.url);
    expect(code).toBe(1);
    expect(err.split('\n').filter((line) => line.startsWith('Error'))).toEqual([
      expect.stringMatching(/^Error \(judge-access\): The judge at \S+ refuses the key of OPENAI_API_KEY/),
    ]);
    expect(`${out}${err}`).not.toContain('secret');
    for (const price of ['cheap', '5/', '/15', '5', '5/15/1', '5/-1']) {
      const { code: wrong, err: why } = await run('--judge', server.url, '--price', price);
      expect([wrong, why]).toEqual([2, expect.stringContaining(`--price ${price}: write USD`)]);
    }
    delete process.env['OPENAI_API_KEY'];
    const missing = await run('--judge-model', 'gpt-4o');
    expect(missing.err).toMatch(/Error \(judge-access\): .*OPENAI_API_KEY is not set/);
    expect(place.calls.drawn.length).toBeLessThan(10);
  });

  test('the paper’s protocol, and what both cannot do without', async () => {
    const folder = join(place.folder, 'dreambooth');
    await paint(join(folder, 'dataset/duck_toy/00.jpg'), [1, 2, 3]);
    const options = ['--base', place.base, '--set', 'steps=5'];
    const paper = ['evaluate', 'paper', '--data', folder, '--encoder', `dino=${place.base}`];
    const { code, out, err } = await call(...paper, ...options, '--prior', 'both');
    expect(err).toMatch(/duck_toy images {2,}DINO 0\.\d{3} .*CLIP-I – /);
    expect(err).toMatch(/Warning: vase is missing/);
    expect(out).toMatch(/400 pictures of 1 of 30 subjects, 30 gaps\.\nLook at .*report\.html/);
    expect(code).toBe(0);
    expect(place.calls.learned.map(({ settings }) => settings['prior'])).toEqual(['images', 'none']);
    expect(await call(...paper.slice(0, 4), '--encoder', 'vgg=/x', ...options)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/--encoder vgg=\/x: write dino=PATH, clip=PATH, lpips=PATH/),
    });
    for (const protocol of ['paper', 'dreambench-plus']) {
      expect((await call('evaluate', protocol, '--base', place.base)).err).toMatch(/--data is missing/);
      expect((await call('evaluate', protocol, '--data', folder)).err).toMatch(/--base is missing/);
    }
  });
});
