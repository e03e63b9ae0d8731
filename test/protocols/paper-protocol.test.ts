import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeEach, describe, expect, test } from 'vitest';
import { InvalidOptionError, MissingFileError, StoppedError, TrainingDivergedError } from '../../sdk/errors';
import { openPaperDataset } from '../../sdk/protocols/paper/paper-dataset';
import type { PaperMeasure } from '../../sdk/protocols/paper/paper-measures';
import { evaluatePaper, type PaperEvaluationRequest } from '../../sdk/protocols/paper/paper-protocol';
import { differences, paperReport, reportPaper } from '../../sdk/protocols/paper/paper-report';
import { markdownReport } from '../../sdk/reports/markdown';
import { subjectNames } from '../../sdk/subjects/subjects';
import { presets } from '../../sdk/training/presets';
import type { ProgressEvent } from '../../sdk/work/progress';
import { paint, placeForTests } from './protocol-engine';

const place = placeForTests();
let data: string;

/** Two subjects of thirty: a backpack's six pictures, of a dog's five one broken and one not there. */
beforeEach(async () => {
  data = join(place.folder, 'dreambooth');
  // A small one: CLIP's takes half a second to be read and drawn from.
  const tokenizer = join(import.meta.dirname, '../../fixtures/toybox/tokenizer');
  cpSync(tokenizer, join(place.base, 'tokenizer'), { recursive: true });
  for (let i = 0; i < 6; i++) await paint(join(data, 'dataset/backpack', `0${i}.jpg`), [200, 100, 0]);
  for (let i = 0; i < 3; i++) await paint(join(data, 'dataset/dog', `0${i}.jpg`), [0, 0, 255]);
  writeFileSync(join(data, 'dataset/dog/03.jpg'), 'no picture');
  writeFileSync(join(data, 'dataset/references_and_licenses.txt'), 'credits');
});

const request = (more: Partial<PaperEvaluationRequest> = {}): PaperEvaluationRequest => ({
  data,
  folder: join(place.folder, 'out'),
  base: place.base,
  settings: { steps: 10 },
  pictures: 2,
  classPictures: 3,
  drawing: { steps: 2, width: 16, height: 16 },
  encoders: { dino: '/dino', clip: '/clip', lpips: '/lpips' },
  ...more,
});
const evaluate = (more: Partial<PaperEvaluationRequest> = {}) =>
  evaluatePaper(place.engine, request(more), () => {});

test('the dataset is the repository or its folder, and says what is missing', async () => {
  const whole = await openPaperDataset(data);
  expect(await openPaperDataset(join(data, 'dataset'))).toEqual(whole);
  expect(whole.subjects.map(({ name, photos }) => [name, photos.length])).toEqual([
    ['backpack', 6],
    ['dog', 3],
  ]);
  expect(whole.gaps).toContainEqual(
    expect.stringMatching(
      /^dog\/03\.jpg is left out: .*03\.jpg cannot be read as a photo \(.+\): it is cut short/,
    ),
  );
  expect(whole.gaps).toContain('dog has 4 pictures; 5 were published');
  expect(whole.gaps.filter((gap) => gap.includes(' is missing'))).toHaveLength(28);
  await expect(openPaperDataset(join(data, 'nowhere'))).rejects.toThrow(MissingFileError);
  await expect(openPaperDataset(place.base)).rejects.toThrow(InvalidOptionError);
});

test('both arms, from folder to report', async () => {
  const told: PaperMeasure[] = [];
  const arms = ['images', 'none'] as const;
  const evaluation = await evaluatePaper(place.engine, request({ arms, pictures: 4 }), (one) =>
    told.push(one),
  );

  const { learned, drawn } = place.calls;
  const { identifiers } = evaluation.about;
  const [first, second] = [identifiers['backpack']!, identifiers['dog']!];
  expect(learned.map(({ identifier }) => identifier)).toEqual([first, first, second, second]);
  expect(
    learned.map(({ className, settings: { preset, prior, steps } }) => [className, preset, prior, steps]),
  ).toEqual([
    ['backpack', 'paper', 'images', 10],
    ['backpack', 'paper', 'none', 10],
    ['dog', 'paper', 'images', 10],
    ['dog', 'paper', 'none', 10],
  ]);
  expect(learned[2]!.photos.map(({ name }) => name)).toEqual(['00.jpg', '01.jpg', '02.jpg']);
  // Twenty-five prompts and the bare class, of each subject in each arm.
  expect(drawn).toHaveLength(4 * 26);
  expect(drawn[0]).toMatchObject({
    text: `a ${first} backpack in the jungle`,
    seeds: [0, 1, 2, 3],
    steps: 2,
  });
  expect(drawn[2 * 26 + 10]).toMatchObject({
    text: `a ${second} dog wearing a red hat`,
    seeds: [40, 41, 42, 43],
  });
  const bare = drawn[25]!;
  expect(bare).toMatchObject({ text: 'a backpack', seeds: [100, 101, 102] });
  expect(bare.subjects.map(({ subject }) => subject.name)).toEqual([learned[0]!.name]);

  expect(evaluation.pictures).toHaveLength(4 * 103);
  const rows = readFileSync(join(place.folder, 'out/pictures.jsonl'), 'utf8').trim().split('\n');
  expect(rows).toHaveLength(4 * 103);
  const row = JSON.parse(rows[5]!);
  expect(row).toMatchObject({
    subject: 'backpack',
    arm: 'images',
    prompt: 1,
    text: `a ${first} backpack in the snow`,
    seed: 5,
    file: expect.stringMatching(/^pictures\/backpack-images-[0-9a-f]{6}\/01-1\.png$/),
  });
  for (const { file } of evaluation.pictures)
    expect(existsSync(join(place.folder, 'out', file)), file).toBe(true);
  // What was learned made room.
  expect(subjectNames(place.engine.home)).toEqual([]);

  // By hand: pictures are [seed, 128, 64], the backpack's photos [200, 100, 0], texts grey.
  expect(told).toEqual(evaluation.measures);
  const [backpack, , dog] = evaluation.measures;
  const cosineTo = (to: number[], seeds: number[]) =>
    seeds
      .map((seed) => {
        const one = [seed, 128, 64];
        const dot = one.reduce((sum, value, i) => sum + value * to[i]!, 0);
        return dot / (Math.hypot(...one) * Math.hypot(...to));
      })
      .reduce((sum, value) => sum + value, 0) / seeds.length;
  const seeds = Array.from({ length: 100 }, (_, i) => i);
  expect(backpack!.values.DINO).toBeCloseTo(cosineTo([200, 100, 0], seeds), 5);
  expect(backpack!.values['CLIP-I']).toBeCloseTo(cosineTo([200, 100, 0], seeds), 5);
  expect(backpack!.values['CLIP-T']).toBeCloseTo(cosineTo([1, 1, 1], seeds), 5);
  expect(backpack!.values.PRES).toBeCloseTo(cosineTo([200, 100, 0], [100, 101, 102]), 5);
  // Of four seeds in a row the pairs differ by 1, 1, 1, 2, 2 and 3.
  expect(backpack!.values.DIV).toBeCloseTo((1 + 1 + 1 + 4 + 4 + 9) / 6 / 255 ** 2, 9);
  expect(backpack!.values['photos DINO']).toBeCloseTo(1, 5);
  expect(dog!.values.DINO).toBeCloseTo(cosineTo([0, 0, 255], seeds), 5);
  expect(dog).toMatchObject({ subject: 'dog', photos: 3, pictures: 100, classPictures: 3 });

  // CLIP-T reads prompts without the identifier.
  const texts = place.calls.embedded.filter(({ kind }) => kind === 'clip').flatMap((one) => one.texts);
  expect(texts).toContain('a dog wearing a red hat');
  expect(texts.filter((text) => text.split(' ').includes(second))).toEqual([]);

  const { files } = await reportPaper(evaluation, join(place.folder, 'out'));
  expect(files.map((file) => file.split('/').at(-1))).toEqual(['report.html', 'report.md', 'result.json']);
  const text = readFileSync(files[1]!, 'utf8');
  expect(text).toContain('| published: DreamBooth, Stable Diffusion | 30 | 0.668 | 0.803 | 0.305 |');
  expect(text).toMatch(/\| here: with class images \| 2 \| 0\.\d{3} \[/);
  expect(text).toContain('| without − with | subjects | difference | up | down | published |');
  expect(text).toContain(`| backpack | backpack | ${first} | 6 | 100 | 3 |`);
  expect(text).toContain('dog/03.jpg is left out: ');
  expect(text).toContain('duck_toy is missing');
  for (const arm of arms) expect(text).toContain(`(<sheet-${arm}.png>)`);
  expect(text).toContain('2 subjects were measured; table 1 is of 30');
  expect(text).toContain(
    "DINO and PRES by dino of the test; the paper: ViT-S/16 (12 layers of 384), which DINO's own code gives pictures shorter side bicubic to 256, 224 × 224 cut out, mean and std of ImageNet.",
  );
  // What the paper leaves open is said: the recipe in full, and what the pictures say of themselves.
  const [recipe] = /\| which is in all \| .*/.exec(text)!;
  for (const setting of ['batchSize=1', 'learningRate=', 'kind=full']) expect(recipe).toContain(setting);
  expect(text).toContain('| drawn by | not known |');
  const result = JSON.parse(readFileSync(files[2]!, 'utf8'));
  expect(result.means[0]).toMatchObject({ arm: 'images', subjects: 2 });
  expect(result.about).toMatchObject({
    preset: 'paper',
    withIdentifier: false,
    subjects: ['backpack', 'dog'],
  });
});

describe('stopped and gone on with', () => {
  /** Runs until `when` says so, then again to the end. */
  async function interrupted(
    when: (event: ProgressEvent) => boolean,
    more: Partial<PaperEvaluationRequest> = {},
  ) {
    const stop = new AbortController();
    const onProgress = (event: ProgressEvent) => {
      if (when(event)) stop.abort();
    };
    const first = evaluatePaper(place.engine, request(more), () => {}, { onProgress, signal: stop.signal });
    await expect(first).rejects.toThrow(StoppedError);
    const before = { learned: place.calls.learned.length, drawn: place.calls.drawn.length };
    const evaluation = await evaluate(more);
    return { before, evaluation };
  }
  const distinct = (files: readonly { file: string }[]) => new Set(files.map(({ file }) => file)).size;

  test('in a training, which goes on from its checkpoint', async () => {
    const at = (event: ProgressEvent) =>
      event.kind === 'step-end' && event.phase === 'train' && event.step === 5;
    const { before, evaluation } = await interrupted(at, { keepSubjects: true });
    expect(before).toEqual({ learned: 1, drawn: 0 });
    expect(evaluation.pictures).toHaveLength(106);
    // The first is taken up again, the second is learned.
    expect(place.calls.learned.map(({ name }) => name.slice(0, 11))).toEqual([
      'paper-backp',
      'paper-backp',
      'paper-dog-i',
    ]);
    const [name] = subjectNames(place.engine.home);
    const weights = readFileSync(join(place.engine.home.subjects, name!, 'lora.safetensors'), 'utf8');
    expect(weights).toMatch(/^resumed from [1-9]/);
  });

  test('among the pictures: none is drawn twice, nothing is learned twice', async () => {
    const at = (event: ProgressEvent) =>
      event.kind === 'step-end' && event.phase === 'sample' && place.calls.drawn.length === 8;
    const { before, evaluation } = await interrupted(at);
    expect(before).toEqual({ learned: 1, drawn: 8 });
    expect(place.calls.learned).toHaveLength(2);
    // The eighth had not come to its end.
    expect(place.calls.drawn).toHaveLength(2 * 26 + 1);
    expect(evaluation.pictures).toHaveLength(106);
    expect(distinct(evaluation.pictures)).toBe(106);
  });

  test('while measuring, and afterwards nothing is left to do', async () => {
    const at = (event: ProgressEvent) =>
      event.kind === 'step-end' && event.phase === 'measure' && place.calls.drawn.length === 2 * 26;
    const { before: half } = await interrupted(at);
    expect(half).toEqual({ learned: 2, drawn: 2 * 26 });
    const { learned, drawn, embedded } = place.calls;
    const counts = [learned.length, drawn.length, embedded.length];
    const again = await evaluate();
    expect([learned.length, drawn.length, embedded.length]).toEqual(counts);
    expect(again.measures).toHaveLength(2);
  });

  test('with a row that was broken off, and a picture that went missing', async () => {
    const first = await evaluate();
    const out = join(place.folder, 'out');
    const rows = readFileSync(join(out, 'pictures.jsonl'), 'utf8').trim().split('\n');
    writeFileSync(join(out, 'pictures.jsonl'), `${rows.slice(0, -1).join('\n')}\n`);
    appendFileSync(join(out, 'pictures.jsonl'), rows.at(-1)!.slice(0, 20));
    rmSync(join(out, first.pictures[9]!.file));
    const drawn = place.calls.drawn.length;
    const again = await evaluate();
    expect(again.pictures).toEqual(first.pictures);
    expect(place.calls.drawn.slice(drawn).map(({ seeds }) => seeds)).toEqual([[9], [52]]);
    expect(existsSync(join(out, first.pictures[9]!.file))).toBe(true);
    // The rest of the broken row has not swallowed the one after it.
    expect((await evaluate()).pictures).toEqual(first.pictures);
    expect(place.calls.drawn).toHaveLength(drawn + 2);
  });

  test('a base or an encoder that became another one, though it lies where the first did', async () => {
    const lpips = join(place.folder, 'lpips.safetensors');
    writeFileSync(lpips, 'one');
    const more = { subjects: 1, encoders: { lpips } };
    const first = await evaluate(more);
    const { learned, embedded } = place.calls;
    const before = embedded.length;
    writeFileSync(lpips, 'two');
    await evaluate(more);
    expect(embedded.length).toBeGreaterThan(before);
    expect(learned).toHaveLength(1);
    writeFileSync(join(place.base, 'model_index.json'), '{"_class_name":"StableDiffusionXLPipeline"}');
    const other = await evaluate(more);
    expect(learned).toHaveLength(2);
    expect(other.pictures[0]!.file).not.toBe(first.pictures[0]!.file);
  });

  test('another number of pictures, and the first again: seeds and pictures stay together', async () => {
    const seeds = async (pictures: number) => {
      const evaluation = await evaluate({ subjects: 1, pictures });
      for (const { file, seed } of evaluation.pictures) {
        // A picture is as red as its seed.
        const { channels } = await sharp(join(place.folder, 'out', file)).stats();
        expect(channels[0]!.mean, file).toBe(seed);
      }
      return evaluation.pictures.map(({ seed }) => seed);
    };
    const first = await seeds(4);
    expect(await seeds(2)).not.toEqual(first);
    expect(await seeds(4)).toEqual(first);
  });

  test('many pictures of the bare class are kept as they come', async () => {
    const at = (event: ProgressEvent) =>
      event.kind === 'step-end' && event.phase === 'sample' && place.calls.drawn.length === 27;
    const { before, evaluation } = await interrupted(at, {
      subjects: 1,
      // The stand-in takes as many steps for one picture as for eight.
      ...{ pictures: 8, classPictures: 20 },
    });
    expect(before.drawn).toBe(27);
    expect(place.calls.drawn.slice(25, 29).map(({ seeds }) => seeds.length)).toEqual([8, 8, 8, 4]);
    expect(distinct(evaluation.pictures)).toBe(220);
  });

  test('a recipe that says something else than before is another, whatever it is called', async () => {
    const first = await evaluate({ subjects: 1 });
    const { settings } = presets.paper as { settings: { learningRate: number } };
    const { learningRate } = settings;
    try {
      settings.learningRate = learningRate / 2;
      const second = await evaluate({ subjects: 1 });
      expect(second.about.recipe.learningRate).toBe(learningRate / 2);
      expect(distinct([...first.pictures, ...second.pictures])).toBe(2 * first.pictures.length);
    } finally {
      settings.learningRate = learningRate;
    }
  });

  test('other settings are another run, whose pictures lie apart', async () => {
    const first = await evaluate({ subjects: 1 });
    const other = await evaluate({ subjects: 1, settings: { steps: 9 } });
    expect(place.calls.learned).toHaveLength(2);
    expect(other.pictures[0]!.file).not.toBe(first.pictures[0]!.file);
    expect(readdirSync(join(place.folder, 'out/pictures'))).toHaveLength(2);
  });
});

describe('what is not there', () => {
  test('a metric without its encoder is not measured, and never 0', async () => {
    const evaluation = await evaluate({ encoders: { dino: '/dino' }, subjects: 1 });
    const [{ values }] = evaluation.measures as [PaperMeasure];
    expect(values).toMatchObject({ 'CLIP-I': null, 'CLIP-T': null, DIV: null, 'photos CLIP-I': null });
    expect(values.DINO).toBeGreaterThan(0);
    const text = markdownReport(paperReport(evaluation));
    expect(text).toMatch(/here: with class images \| 1 \| 0\.\d+ \| not measured \| not measured \|/);
    expect(text).not.toMatch(/NaN|undefined|\| 0\.000/);
    expect(differences(evaluation)).toContain('DIV is not measured: no encoder was given.');
    expect(evaluation.gaps.at(-1)).toBe('1 subjects that are there were left out, as asked');
  });

  test('encoders are tried once before anything is learned, LPIPS without a photo', async () => {
    await evaluate({ subjects: 1 });
    const tried = place.calls.embedded.slice(0, 3);
    expect(tried.map(({ kind, pictures, texts }) => [kind, pictures, texts])).toEqual([
      ['dino', ['00.jpg'], []],
      ['clip', ['00.jpg'], ['a backpack']],
      ['lpips', [], []],
    ]);
  });

  test('an encoder that does not fit is told before anything is learned', async () => {
    const embed: typeof place.engine.embed = () =>
      Promise.reject(new InvalidOptionError('encoder', 'too small'));
    const engine = { ...place.engine, embed };
    await expect(evaluatePaper(engine, request(), () => {})).rejects.toThrow('too small');
    expect(place.calls.learned).toEqual([]);
  });

  test('a subject of which no picture can be read is not called missing', async () => {
    writeFileSync(join(data, 'dataset/dog/00.jpg'), 'no picture');
    for (const name of ['01', '02']) rmSync(join(data, `dataset/dog/${name}.jpg`));
    const { gaps } = await openPaperDataset(data);
    expect(gaps).toContain('dog is left out: none of its pictures can be read');
  });

  test('a training that diverges is a gap, and the others go on', async () => {
    place.calls.failures['backpack'] = new TrainingDivergedError(3, Number.NaN);
    const evaluation = await evaluate();
    expect(evaluation.measures.map(({ subject }) => subject)).toEqual(['dog']);
    expect(evaluation.gaps.at(-1)).toMatch(/^backpack, images: /);
  });

  test('a drawn picture that cannot be read any more is left out by name', async () => {
    const first = await evaluate({ encoders: {}, subjects: 1 });
    const { file } = first.pictures[0]!;
    const path = join(place.folder, 'out', file);
    // Its end is that of a whole one: what was cut off is drawn again by itself.
    writeFileSync(path, readFileSync(path).fill(7, 0, 60));
    const again = await evaluate({ subjects: 1 });
    expect(again.measures[0]).toMatchObject({ pictures: 49 });
    expect(again.gaps.at(-1)).toMatch(`${file} is left out`);
  });

  test('of one picture a prompt there is no diversity', async () => {
    const [measure] = (await evaluate({ pictures: 1, subjects: 1 })).measures;
    expect(measure!.values.DIV).toBeNull();
    expect(measure!.values.DINO).not.toBeNull();
  });

  test.each([
    [{ settings: { prior: 'none' } }, /said by arms/],
    [{ pictures: 0 }, /pictures is 0/],
    [{ arms: [] }, /arms is 0/],
    [{ subjects: 0 }, /subjects is 0/],
  ] as const)('%j is refused', async (more, message) => {
    await expect(evaluate(more)).rejects.toThrow(message);
    await expect(evaluate(more)).rejects.toThrow(InvalidOptionError);
  });
});
