/** The card of a subject, on a stand-in for drawing and looking; the oracle itself is asked at the end. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { InvalidOptionError } from '../../sdk/errors';
import { writePng } from '../../sdk/images/png';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import { measureSubject } from '../../sdk/protocols/card/subject-card';
import { cardLines, reportSubject } from '../../sdk/protocols/card/subject-card-report';
import { createRandom } from '../../sdk/random';
import { createSubject, type NewSubject } from '../../sdk/subjects/subjects';
import { renderScene } from '../../sdk/toybox/renderer';
import { sampleScene } from '../../sdk/toybox/scene';
import { appearanceOf, toyPhotos } from '../../sdk/toybox/toy-subject';
import type { EncoderFile } from '../../sdk/work/picture-encoder';
import { hasChromium, look } from '../reports/chromium';

interface Asked {
  readonly text: string;
  readonly seed: number;
  readonly step: number | undefined;
  /** Whether a subject's weights are on. */
  readonly learned: boolean;
}
type Colour = readonly [identity: number, follows: number, pose?: number];

const told = globalThis as unknown as {
  cardWork: { draws: (asked: Asked) => Colour; drawn: string[] };
};
const encoders: readonly EncoderFile[] = [
  { kind: 'dino', path: 'dino' },
  { kind: 'clip', path: 'clip' },
];
const base = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
const toybox = join(import.meta.dirname, '../../fixtures/toybox');
let folder: string;
let engine: Engine;

const record: NewSubject = {
  id: 's-1',
  className: 'dog',
  identifier: 'olis',
  instancePrompt: 'a photo of olis dog',
  kind: 'lora',
  base: { path: base, fingerprint: 'f' },
  settings: { prior: 'none', classPrompt: 'a photo of dog' },
  seed: 0,
  steps: 600,
  createdAt: '2026-01-01T00:00:00.000Z',
  photos: ['1.png', '2.png'].map((name) => ({
    name,
    sha256: '0'.repeat(64),
    file: `photos/${name}`,
  })),
  versions: {},
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-card-'));
});
beforeEach(() => {
  told.cardWork = { draws: () => [0, 0], drawn: [] };
  engine = createEngine({
    home: mkdtempSync(join(folder, 'home-')),
    mode: 'in-process',
    workerModule: join(import.meta.dirname, 'card-work.mjs'),
  });
});
afterEach(() => engine.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Two photos that are alike by two thirds, and ignore every prompt alike. */
async function learned(changes: Partial<NewSubject> = {}, kept: readonly number[] = []): Promise<void> {
  const draft = join(engine.home.folder, 'draft');
  mkdirSync(join(draft, 'photos'), { recursive: true });
  for (const [i, pose] of [0, 85].entries())
    await writePng(join(draft, 'photos', `${i + 1}.png`), colour([225, 20, pose]));
  writeFileSync(join(draft, 'lora.safetensors'), 'last');
  for (const step of kept) {
    mkdirSync(join(draft, 'snapshots', String(step)), { recursive: true });
    writeFileSync(join(draft, 'snapshots', String(step), 'lora.safetensors'), `at ${step}`);
  }
  createSubject(engine.home, 'rex', { ...record, ...changes }, draft);
}

const colour = ([red, green, blue = 0]: Colour) => ({
  width: 8,
  height: 8,
  data: Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => [red, green, blue][i % 3]!),
});

/** The base follows prompts to 0.8 and knows nobody; the subject is as the test says. */
const drawing =
  (subject: Colour, bare = 0) =>
  ({ text, learned: isLearned }: Asked): Colour => {
    if (text.includes('olis')) return subject;
    return isLearned ? [bare, 200] : [0, 200];
  };

const card = (request: { pictures?: number; out?: string; with?: readonly EncoderFile[] } = {}) =>
  measureSubject(engine, {
    name: 'rex',
    folder: join(engine.home.folder, request.out ?? 'card'),
    encoders: request.with ?? encoders,
    ...(request.pictures === undefined ? {} : { pictures: request.pictures }),
  });
const findings = (one: Awaited<ReturnType<typeof card>>) => one.advice.map(({ finding }) => finding);

test('of a subject that was learned well: every figure between its two ends, and nothing to mend', async () => {
  await learned();
  told.cardWork.draws = drawing([225, 200]);
  const well = await card();
  expect(well.scenes).toHaveLength(8);
  expect(well.scenes[0]).toMatchObject({
    prompt: 'a photo of @rex in the snow',
    text: 'a photo of olis dog in the snow',
    classText: 'a photo of dog in the snow',
  });
  const { identity, promptFollowing, leakage, diversity, score } = well.figures;
  expect(identity.share).toBeGreaterThan(0.9);
  expect(promptFollowing.anchors!.floor).toBeCloseTo(20 / 255);
  expect(promptFollowing.anchors!.ceiling).toBeCloseTo(200 / 255);
  expect(promptFollowing.share).toBeCloseTo(1);
  expect(leakage.share).toBeCloseTo(0);
  expect(diversity).toBeCloseTo(0);
  expect(score).toBeGreaterThan(0.9);
  expect(well.course).toEqual([]);
  expect(well.notMeasured).toEqual([]);
  expect(findings(well)).toEqual(['well-learned']);
});

test('draws nothing twice, and more of each scene without those that are there', async () => {
  await learned();
  told.cardWork.draws = drawing([225, 200]);
  await card();
  const first = [...told.cardWork.drawn];
  // Eight scenes twice by the subject and once by the base, eight of the bare class by both.
  expect(first).toHaveLength(16 + 8 + 16);
  expect(new Set(first).size).toBe(first.length - 8);
  await card();
  expect(told.cardWork.drawn).toEqual(first);
  await card({ pictures: 3 });
  expect(told.cardWork.drawn.slice(first.length)).toEqual(
    expect.arrayContaining(['a photo of olis dog in the snow 1002']),
  );
  expect(told.cardWork.drawn).toHaveLength(first.length + 8);
});

test('other weights of the same name are drawn anew', async () => {
  await learned();
  told.cardWork.draws = drawing([225, 200]);
  await card();
  const before = told.cardWork.drawn.length;
  const record = join(engine.home.subjects, 'rex', 'subject.json');
  const changed = JSON.parse(readFileSync(record, 'utf8'));
  changed.files[0].sha256 = '1'.repeat(64);
  writeFileSync(record, JSON.stringify(changed));
  await card();
  expect(told.cardWork.drawn.length - before).toBe(16 + 8);
});

test('of one that was learned too long: overfitted, and the step to take instead', async () => {
  await learned({}, [200, 400, 600]);
  const at: Readonly<Record<number, Colour>> = { 200: [90, 200], 400: [225, 190], 600: [225, 60] };
  told.cardWork.draws = (asked) => drawing(at[asked.step ?? 600]!)(asked);
  const over = await card();
  expect(over.course.map(({ steps }) => steps)).toEqual([200, 400, 600]);
  expect(over.best).toBe(400);
  expect(over.advice).toEqual([
    {
      finding: 'overfitted',
      words: expect.stringMatching(/22 % of what the base shows.*step 400/),
      command: 'dreambooth subjects choose rex --step 400',
    },
  ]);
  expect(cardLines(over).join('\n')).toMatch(/step 400 .*the best/);
  const files = await reportSubject(over, join(engine.home.folder, 'card'));
  const [html, markdown, json] = files.map((file) => readFileSync(file, 'utf8'));
  expect(html).toContain('best: 400');
  expect(html).toContain('dreambooth subjects choose rex --step 400');
  expect(markdown).toMatch(/!\[.*\]\(<contact-sheet\.png>\)/);
  expect(JSON.parse(json!)).toMatchObject({
    best: 400,
    scenes: expect.arrayContaining([
      expect.objectContaining({
        pictures: expect.arrayContaining([
          expect.objectContaining({ file: expect.stringMatching(/^pictures\/rex-\w+\/scene-1-1\.png$/) }),
        ]),
      }),
    ]),
  });
});

test('of one that copies its photos: overfitted, though it follows prompts', async () => {
  await learned();
  told.cardWork.draws = drawing([225, 200, 0]);
  const copied = await card();
  expect(copied.figures.copies).toBe(1);
  expect(copied.advice[0]).toMatchObject({
    finding: 'overfitted',
    words: expect.stringContaining('nearly a photo'),
    command: 'dreambooth personalize --again rex --steps 300 --keep every --set sampleEvery=60',
  });
});

test('of one that copies its photos as its earlier steps did: half the rate, since fewer steps would bring the same', async () => {
  await learned({ settings: { ...record.settings, learningRate: 3e-4 } }, [300]);
  told.cardWork.draws = drawing([225, 200, 0]);
  const [first] = (await card()).advice;
  expect(first).toMatchObject({
    finding: 'overfitted',
    words: expect.stringContaining('kept are no better'),
    command: 'dreambooth personalize --again rex --set learningRate=0.00015',
  });
});

test('of one that is neither itself nor where it was asked to be: gone astray, and more steps would not help', async () => {
  await learned({ settings: { ...record.settings, learningRate: 1e-3, trainTextEncoder: true } });
  told.cardWork.draws = drawing([40, 60]);
  expect((await card()).advice).toEqual([
    {
      finding: 'spoiled',
      words: expect.stringMatching(/Neither itself.*nor as asked.*half the rate/),
      command:
        'dreambooth personalize --again rex --set learningRate=0.0005 --set textEncoderLearningRate=0.00005',
    },
  ]);
});

test('of one that an earlier step was nearer to: that step, and not more of them', async () => {
  await learned({}, [300]);
  told.cardWork.draws = (asked) => drawing(asked.step === 300 ? [100, 200] : [30, 200])(asked);
  expect((await card()).advice).toEqual([
    expect.objectContaining({
      finding: 'better-step',
      command: 'dreambooth subjects choose rex --step 300',
    }),
  ]);
});

test('its log tells the loss, and what the samples were worth, counted from the beginning', async () => {
  await learned({ steps: 600 });
  const lines = [
    ...Array.from({ length: 100 }, (_, i) => ({ event: 'step', step: i + 1, loss: i })),
    { event: 'sample', step: 50, files: [], scores: { identity: 0.5, promptFollowing: 1, score: 0.5 } },
    { event: 'done', step: 100, kept: 50 },
  ];
  writeFileSync(
    join(engine.home.subjects, 'rex', 'log.jsonl'),
    `${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"event":"st`,
  );
  told.cardWork.draws = drawing([225, 200]);
  const one = await card({ pictures: 1 });
  expect(one.training).toMatchObject({ window: 3, scores: [{ step: 600, identity: 0.5, score: 0.5 }] });
  expect(one.training!.losses).toHaveLength(34);
  expect(one.training!.losses[0]).toEqual({ step: 553, loss: 1 });
  expect(one.training!.losses.at(-1)).toEqual({ step: 650, loss: 99 });
  const [html] = await reportSubject(one, join(engine.home.folder, 'card'));
  expect(readFileSync(html!, 'utf8')).toContain('its weights: 600');
});

test.skipIf(!hasChromium())('a browser shows the card, wide and narrow, light and dark', async () => {
  await learned({ photos: record.photos }, [300]);
  const line = { event: 'step', step: 1, loss: 0.5 };
  writeFileSync(join(engine.home.subjects, 'rex', 'log.jsonl'), JSON.stringify(line));
  told.cardWork.draws = (asked) => drawing(asked.step === 300 ? [100, 200] : [30, 200])(asked);
  const [html] = await reportSubject(await card(), join(engine.home.folder, 'card'));
  const expressions = {
    code: 'document.querySelector("td code").textContent',
    charts: 'document.querySelectorAll("svg.chart .mark").length',
    pictures: '[...document.images].every((one) => one.complete && one.naturalWidth > 0)',
    pageWidth: 'document.documentElement.scrollWidth',
    overlaps:
      '[...document.querySelectorAll("td, th, figcaption, p, h1, h2")].filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)',
  };
  const viewings = (['light', 'dark'] as const).flatMap((scheme) =>
    [1280, 390].map((width) => ({ scheme, width, expressions })),
  );
  for (const [i, { values, complaints, requests }] of (await look(html!, viewings)).entries()) {
    expect(values).toMatchObject({
      code: 'dreambooth subjects choose rex --step 300',
      charts: 2,
      pictures: true,
      overlaps: [],
    });
    expect(values['pageWidth']).toBeLessThanOrEqual(viewings[i]!.width);
    expect([...complaints, ...requests]).toEqual([]);
  }
});

test('of one that was learned too little: more steps', async () => {
  await learned();
  told.cardWork.draws = drawing([40, 200]);
  const weak = await card();
  expect(weak.advice).toEqual([
    expect.objectContaining({
      finding: 'identity-weak',
      command: 'dreambooth personalize --continue rex --steps 200',
    }),
  ]);
});

test('of one that took its class along: class images, or more of their weight', async () => {
  await learned();
  told.cardWork.draws = drawing([225, 200], 120);
  const leaky = await card();
  expect(leaky.figures.leakage.share).toBeGreaterThan(0.25);
  expect(leaky.advice).toEqual([
    expect.objectContaining({ finding: 'class-leaks', command: expect.stringContaining('--prior images') }),
  ]);
});

test('without an encoder says what was not measured and how to have it, and praises nothing', async () => {
  await learned();
  told.cardWork.draws = drawing([225, 200]);
  const blind = await card({ with: [] });
  expect(blind.instruments).toEqual({
    identity: null,
    promptFollowing: null,
    diversity: 'pixels',
    likeness: 'pixels',
  });
  expect(blind.figures.identity.value).toBeNull();
  expect(blind.notMeasured.join('\n')).toMatch(/--encoder dino=PATH[\s\S]*--encoder clip=PATH/);
  expect(blind.figures.nearestLikeness).toBeGreaterThan(0.5);
  expect(blind.advice).toEqual([]);
});

test('of one photo says no more than it can: there is nothing to tell reach from', async () => {
  await learned({ photos: record.photos.slice(0, 1) });
  told.cardWork.draws = drawing([225, 200]);
  const one = await card({ pictures: 1 });
  expect(one.figures).toMatchObject({ identity: { share: null }, copies: null, diversity: null });
  expect(one.notMeasured).toEqual([expect.stringMatching(/the one that there is.*--continue rex/)]);
  expect(one.advice).toEqual([]);
});

test('LPIPS is shown a few pictures at a time, and those alone that are compared', async () => {
  await learned();
  told.cardWork.draws = ({ seed, learned: by }) => (by ? [225, 200, seed % 2 ? 60 : 170] : [60, 200]);
  const shown: (readonly string[])[] = [];
  const embed = engine.embed;
  engine.embed = async (request) => {
    if (request.encoder.kind === 'lpips') shown.push(request.pictures);
    return embed(request);
  };
  const by = [...encoders, { kind: 'lpips', path: 'lpips' } as const];
  const { instruments, figures } = await card({ with: by, pictures: 10 });
  expect(instruments.diversity).toBe('a stand-in for lpips');
  // The trial, eight scenes and both bare classes in eights and the rest.
  expect(shown.map(({ length }) => length)).toEqual([0, ...Array(8).fill([8, 2]).flat(), 8, 8]);
  expect(shown.flat().filter((file) => /base-\w+\/(?!class-)/.test(file))).toEqual([]);
  // Squared distances of pictures that are alike in red: of half the pairs of a scene the rest is turned.
  const unlike = 2 * (1 - (225 / 255) ** 2) * (1 - Math.cos((2 * Math.PI * 110) / 255));
  const [odd, even] = [5, 5];
  expect(figures.diversity).toBeCloseTo((odd * even * unlike) / 45, 3);
  expect(figures.baseClassDiversity).toBeCloseTo(0, 5);
});

test('what is no encoder, no photo or no folder to write is told before anything is drawn', async () => {
  await learned();
  told.cardWork.draws = drawing([225, 200]);
  const embed = engine.embed;
  engine.embed = async () => {
    throw new InvalidOptionError('encoder', 'dino is none');
  };
  await expect(card()).rejects.toThrow('dino is none');
  // LPIPS takes pictures in their own size, and a photo's is a camera's.
  const asked: unknown[] = [];
  engine.embed = async (request) => {
    asked.push([request.encoder.kind, request.pictures.length, request.texts]);
    if (request.encoder.kind === 'lpips') throw new InvalidOptionError('encoder', 'lpips is none');
    return embed(request);
  };
  const all = [...encoders, { kind: 'lpips', path: 'lpips' } as const];
  await expect(card({ with: all })).rejects.toThrow('lpips is none');
  expect(asked).toEqual([
    ['dino', 1, []],
    // One that reads no prompts is of no use here.
    ['clip', 1, ['dog']],
    ['lpips', 0, []],
  ]);
  engine.embed = embed;
  writeFileSync(join(engine.home.folder, 'file'), '');
  await expect(card({ out: 'file' })).rejects.toMatchObject({ code: 'unwritable-path' });
  expect(told.cardWork.drawn).toEqual([]);
});

test('is refused without photos, with two encoders of a kind, with no pictures', async () => {
  await learned({ photos: [{ name: '1.png', sha256: '0'.repeat(64) }] });
  await expect(card()).rejects.toThrow(/@rex keeps no photos.*--photos rex\/.*learn it here/);
  rmSync(join(engine.home.subjects, 'rex'), { recursive: true });
  await learned();
  const twice = await card({ with: [encoders[0]!, encoders[0]!] }).catch((error) => error);
  expect(twice).toBeInstanceOf(InvalidOptionError);
  expect(twice.message).toContain('two encoders of the kind dino');
  expect(told.cardWork.drawn).toEqual([]);
  await expect(card({ pictures: 0 })).rejects.toThrow('pictures is 0: give a whole number from 1');
});

test('of one that was imported: by the photos that are named, which its commands name, too', async () => {
  await learned({ photos: [] });
  const photos = join(engine.home.folder, "the dog's");
  mkdirSync(photos);
  for (const [i, pose] of [0, 85].entries())
    await writePng(join(photos, `${i + 1}.png`), colour([225, 20, pose]));
  told.cardWork.draws = drawing([40, 200], 120);
  const one = await measureSubject(engine, {
    name: 'rex',
    folder: join(photos, 'card'),
    photos: [photos],
    encoders,
  });
  expect(one.subject.photos.map(({ name }) => name)).toEqual(['1.png', '2.png']);
  const [first, second] = [1, 2].map((i) => `'${join(photos, `${i}.png`).replace("'", `'\\''`)}'`);
  expect(one.advice.map(({ command }) => command)).toEqual([
    // Both are mended by one training.
    `dreambooth personalize ${first} ${second} --again rex --prior images --steps 800`,
    `dreambooth personalize ${first} ${second} --again rex --prior images --steps 800`,
  ]);
});

test("the embedded world's oracle tells a subject from others, and reads what is asked", async () => {
  const toy = { class: 'dog', seed: 11 } as const;
  const own = createEngine({ home: join(folder, 'oracle'), mode: 'in-process' });
  const random = createRandom(3);
  const draw = async (name: string, data: Uint8Array) => {
    const file = join(folder, `${name}.png`);
    await writePng(file, { width: 64, height: 64, data });
    return file;
  };
  const photos = toyPhotos(toy, 2);
  const stranger = sampleScene(random, { class: 'dog', context: 'snow', accessory: 'none' });
  const itself = { class: 'dog', appearance: appearanceOf(toy), context: 'snow', accessory: 'hat' } as const;
  const pictures = [
    await draw('photo-1', photos[0]!),
    await draw('photo-2', photos[1]!),
    await draw('itself', renderScene(sampleScene(random, itself))),
    await draw('stranger', renderScene(stranger)),
  ];
  const encoder: EncoderFile = { kind: 'oracle', path: join(toybox, 'oracle') };
  const seen = await own.embed({ encoder, pictures, texts: [] });
  await own.close();
  const dot = (a: number, b: number) =>
    seen.pictures[a]!.reduce((sum, value, i) => sum + value * seen.pictures[b]![i]!, 0);
  expect(dot(0, 0)).toBeCloseTo(1);
  expect(dot(0, 2)).toBeGreaterThan(dot(0, 3));
  expect(seen.clauses![2]).toMatchObject({ class: 'dog', context: 'snow', accessory: 'hat' });
  expect(seen.clauses![3]).toMatchObject({ context: 'snow', accessory: 'none' });
});
