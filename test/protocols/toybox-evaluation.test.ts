import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readImage } from '../../sdk/images/read-image';
import { oracleNote } from '../../sdk/jobs/oracle-errors';
import { toyArmNames, toyArms } from '../../sdk/protocols/toybox/toybox-arms';
import {
  evaluateToybox,
  type ToyEvaluationRequest,
  type ToyRow,
  toyDevelopmentSubjects,
  toyTestSubjects,
} from '../../sdk/protocols/toybox/toybox-evaluation';
import { reportToybox } from '../../sdk/protocols/toybox/toybox-report';
import { subjectNames } from '../../sdk/subjects/subjects';
import { CLASSES } from '../../sdk/toybox/scene';
import type { ToySubject } from '../../sdk/toybox/toy-subject';
import { presets } from '../../sdk/training/presets';
import type { PersonalizationSettings } from '../../sdk/work/personalization-settings';
import type { ProgressEvent } from '../../sdk/work/progress';
import { standInEngine } from './stand-in-engine';

let folder: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-protocol-'));
  out = join(folder, 'out');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const toys: readonly ToySubject[] = [
  { class: 'bird', seed: 14 },
  { class: 'car', seed: 15 },
];
const small: Omit<ToyEvaluationRequest, 'folder'> = {
  subjects: toys,
  arms: ['class-images', 'no-prior', 'no-noun'],
  seeds: 2,
  sweeps: 1,
  settings: { steps: 350 },
};
/** Runs it, and what was told on the way. */
async function evaluate(
  standIn = standInEngine(join(folder, 'home')),
  request: Omit<ToyEvaluationRequest, 'folder'> = small,
) {
  const told: ToyRow[] = [];
  const rows = await evaluateToybox(standIn.engine, { folder: out, ...request }, (row) => told.push(row));
  return { rows, told, standIn };
}
const name = ({ arm, toy, seed, photos, steps }: ToyRow) =>
  [
    arm,
    toy.class,
    seed,
    ...(photos === 4 ? [] : [`${photos} photos`]),
    ...(steps === null ? [] : [steps]),
  ].join(' ');
/** A subject's name without what stands for its settings. */
const withoutSettings = ({ name: one }: { readonly name?: string }) => one!.replace(/-[0-9a-f]{6}$/, '');
const rowsIn = () => readFileSync(join(out, 'rows.jsonl'), 'utf8').trimEnd().split('\n');

const planned = [
  // Everything of the first seed, subject by subject, and then the main arms again.
  'base bird 0',
  'real bird 0',
  'copies bird 0',
  'class-images bird 0 100',
  'class-images bird 0 200',
  'class-images bird 0 300',
  'class-images bird 0',
  'no-prior bird 0 100',
  'no-prior bird 0 200',
  'no-prior bird 0 300',
  'no-prior bird 0',
  'no-noun bird 0',
  'class-images bird 0 1 photos',
  'class-images bird 0 2 photos',
  'class-images bird 0 3 photos',
  'class-images bird 0 5 photos',
  'base car 0',
  'real car 0',
  'copies car 0',
  'class-images car 0',
  'no-prior car 0',
  'no-noun car 0',
  'class-images bird 1',
  'no-prior bird 1',
  'class-images car 1',
  'no-prior car 1',
];

test('of each subject the controls, every arm and the sweeps in one measurement, then further seeds of the main arms', async () => {
  const { rows, told, standIn } = await evaluate();
  expect(rows.map(name)).toEqual(planned);
  expect(told).toEqual(rows);
  expect(rowsIn()).toHaveLength(rows.length);
  // Each in the order in which it was measured, none twice.
  expect(rows.map(({ report }) => report.CP)).toEqual(planned.map((_, i) => i + 1));
  // A learning's time is said once.
  expect(rows.filter(({ steps }) => steps !== null).every(({ seconds }) => seconds === 0)).toBe(true);
  expect(standIn.learned).toHaveLength(14);
  expect(standIn.measured.map(({ toy, sources }) => `${toy.class} ${sources.length}`)).toEqual([
    'bird 16',
    'car 6',
    'bird 2',
    'car 2',
  ]);
  // Nothing is left behind but rows and pictures of the first seed.
  expect(subjectNames(standIn.engine.home)).toEqual([]);
  expect(existsSync(standIn.engine.home.cache) ? readdirSync(standIn.engine.home.cache) : []).toEqual([]);
  const pictures = ['bird-14', 'car-15'].flatMap((toy) =>
    ['base', 'class-images', 'no-noun', 'no-prior'].map((arm) => `${toy}-${arm}`),
  );
  const files = readdirSync(join(out, 'pictures')).sort();
  expect(files.map((file) => file.replace(/-[0-9a-f]{6}\.png$/, ''))).toEqual(pictures);
  expect((await readImage(join(out, 'pictures', files[0]!))).width).toBeGreaterThan(300);
});

test('an arm is the recipe with one thing changed, under the settings of the whole run', async () => {
  const settings = { steps: 50, rank: 8 };
  const { standIn } = await evaluate(undefined, {
    subjects: toys.slice(0, 1),
    seeds: 1,
    sweeps: 0,
    settings,
  });
  expect(standIn.learned).toHaveLength(toyArmNames.length);
  const of = (arm: string) => standIn.learned.find((one) => one.name!.startsWith(`${arm}-bird-`))!;
  expect(of('class-images')).toMatchObject({ className: 'bird', seed: 0, settings });
  expect(of('class-images').identifier).toBeUndefined();
  expect(of('class-images').images).toHaveLength(4);
  expect(of('no-prior').settings).toEqual({ ...settings, prior: 'none' });
  expect(of('adapter-off').settings).toEqual({ ...settings, prior: 'adapter-off' });
  expect(of('wrong-noun').className).not.toBe('bird');
  expect(CLASSES).toContain(of('wrong-noun').className);
  expect(of('common-word').identifier).toBe('red');
  expect(of('full').settings).toEqual({ ...settings, ...toyArms.full.settings });
  // The sentences beside the photos say where they were taken.
  const captionsOf = (arm: string) => standIn.captions.get(of(arm).name!)!;
  expect(captionsOf('class-images')).toEqual([
    'a {subject} on the grass',
    'a {subject} on the grass',
    'a {subject} on the street',
    'a {subject} on the street',
  ]);
  expect(of('no-captions').settings).toEqual({ ...settings, captions: false });
  // Without a noun it is learned and asked for without one.
  expect(captionsOf('no-noun')[0]).toBe(`a ${of('no-noun').identifier} on the grass`);
  const asked = standIn.measured.flatMap(({ sources }) => sources);
  expect(asked).toContainEqual({ kind: 'subject', name: of('no-noun').name, photos: 4, noun: null });
  expect(asked).toContainEqual({ kind: 'subject', name: of('class-images').name, photos: 4 });
});

test('every subject is learned in every way under a name that a subject may have', async () => {
  const { rows } = await evaluate(undefined, { subjects: toyTestSubjects, seeds: 1, sweeps: 0 });
  expect(rows).toHaveLength(toyTestSubjects.length * (3 + toyArmNames.length));
});

test('a sweep keeps the weights of every hundredth step, on as many subjects as are asked for', async () => {
  const { rows, standIn } = await evaluate(undefined, { ...small, seeds: 1, sweeps: 2 });
  const keeping = standIn.learned.filter(({ settings }) => settings?.keep === 'every').map(withoutSettings);
  expect(keeping).toEqual([
    'class-images-bird-14',
    'no-prior-bird-14',
    'class-images-car-15',
    'no-prior-car-15',
  ]);
  expect(rows.filter(({ photos }) => photos !== 4).map(({ toy, photos }) => [toy.class, photos])).toEqual([
    ['bird', 1],
    ['bird', 2],
    ['bird', 3],
    ['bird', 5],
    ['car', 1],
    ['car', 2],
    ['car', 3],
    ['car', 5],
  ]);
  expect(standIn.learned.map(({ images }) => images!.length).filter((photos) => photos === 5)).toHaveLength(
    2,
  );
  rmSync(out, { recursive: true });
  const none = await evaluate(undefined, { ...small, seeds: 1, sweeps: 0 });
  expect(none.rows.every(({ photos, steps }) => photos === 4 && steps === null)).toBe(true);
});

test('the base is drawn as the recipe is, and measured anew where that is another way', async () => {
  const one = { subjects: toys.slice(0, 1), arms: ['class-images'] as const, seeds: 1, sweeps: 0 };
  const { standIn } = await evaluate(undefined, one);
  const base = standIn.measured[0]!.sources.find(({ kind }) => kind === 'base');
  expect(base).toMatchObject({ settings: { drawGuidanceScale: 5, drawSteps: null, clipSkip: 0 } });
  const { told } = await evaluate(undefined, { ...one, settings: { drawGuidanceScale: 3 } });
  expect(told.map(name)).toEqual(['base bird 0', 'class-images bird 0']);
});

test('what another recipe or base had learned when it was broken off is not taken for this one', async () => {
  const one = { subjects: toys.slice(0, 1), arms: ['class-images'] as const, seeds: 1, sweeps: 0 };
  const standIn = standInEngine(join(folder, 'home'));
  standIn.breakAt(2);
  await expect(evaluate(standIn, one)).rejects.toThrow('the power went');
  const { steps } = presets.toybox.settings;
  try {
    (presets.toybox.settings as { steps: number }).steps = 123;
    await evaluate(standIn, one);
  } finally {
    (presets.toybox.settings as { steps: number }).steps = steps;
  }
  expect(standIn.learned).toHaveLength(2);
});

test('a learning says how long it took, whether class images were drawn in that time, and of a sweep its losses', async () => {
  const one = { subjects: toys.slice(0, 1), arms: ['class-images'] as const, seeds: 2, sweeps: 1 };
  const { rows } = await evaluate(undefined, { ...one, settings: { steps: 200 } });
  const [first, , , , , again] = rows.filter(({ arm, steps }) => arm === 'class-images' && steps === null);
  expect([first, again].map((row) => row!.drewClassImages)).toEqual([true, false]);
  for (const row of [first!, again!]) expect(row.seconds).toBeGreaterThan(0);
  expect(first!.losses).toEqual([
    { step: 1, loss: 0.5 },
    { step: 2, loss: 0.25 },
  ]);
  expect(again!.losses).toBeUndefined();
  // In the same home, into another folder: they are there, and their time is known all the same.
  rmSync(out, { recursive: true });
  const later = await evaluate(undefined, { ...one, seeds: 1, sweeps: 0 });
  expect(later.rows.at(-1)).toMatchObject({ drewClassImages: true, seconds: expect.any(Number) });
  expect(later.rows.at(-1)!.seconds).toBeGreaterThan(0);
});

test('a sheet is of the row beside which it is shown', async () => {
  const one = { subjects: toys.slice(0, 1), arms: ['class-images'] as const, seeds: 1, sweeps: 0 };
  const sheets = () => readdirSync(join(out, 'pictures'));
  await evaluate(undefined, one);
  const before = sheets();
  const { rows } = await evaluate(undefined, { ...one, settings: { rank: 8 } });
  expect(sheets()).toHaveLength(before.length + 1);
  const shown = readFileSync(reportToybox(rows, out, { rank: 8 }).files[1]!, 'utf8');
  const own = sheets().find((file) => !before.includes(file))!;
  expect(shown).toContain(`pictures/${own}`);
  expect(shown).not.toContain(before.find((file) => file.includes('class-images'))!);
});

test('a training that diverges is told and left out; the others go on, and it is tried again', async () => {
  const one = {
    subjects: toys.slice(0, 1),
    arms: ['class-images', 'no-prior'] as const,
    seeds: 1,
    sweeps: 0,
  };
  const standIn = standInEngine(join(folder, 'home'));
  standIn.diverging = 'class-images-bird';
  const warnings: string[] = [];
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === 'warning-found') warnings.push(event.message);
  };
  const rows = await evaluateToybox(standIn.engine, { folder: out, ...one }, () => {}, { onProgress });
  expect(rows.map(name)).toEqual(['base bird 0', 'real bird 0', 'copies bird 0', 'no-prior bird 0']);
  expect(warnings).toEqual([
    expect.stringMatching(/^class-images of bird 14, seed 0, is left out: .*step 7/),
  ]);
  standIn.diverging = '';
  expect((await evaluate(standIn, one)).told.map(name)).toEqual(['class-images bird 0']);
});

test('a subject whose rows are all there makes room, though it was to do so before a kill', async () => {
  const one = { subjects: toys.slice(0, 1), arms: ['class-images'] as const, seeds: 1, sweeps: 0 };
  const { standIn } = await evaluate(undefined, one);
  const [request] = standIn.learned;
  writeFileSync(join(folder, '1.png'), '');
  writeFileSync(join(folder, '1.txt'), '');
  await standIn.engine.personalize({ ...request!, images: [join(folder, '1.png')] });
  expect(subjectNames(standIn.engine.home)).toHaveLength(1);
  expect((await evaluate(standIn, one)).told).toEqual([]);
  expect(subjectNames(standIn.engine.home)).toEqual([]);
});

describe('broken off', () => {
  test('after any call, it goes on where it was: nothing is measured twice, nothing lost', async () => {
    const calls = 14 + 4;
    for (let call = 1; call <= calls; call++) {
      rmSync(folder, { recursive: true, force: true });
      const standIn = standInEngine(join(folder, 'home'));
      standIn.breakAt(call);
      await expect(evaluate(standIn)).rejects.toThrow('the power went');
      const before = existsSync(join(out, 'rows.jsonl')) ? rowsIn().length : 0;
      const { rows, told } = await evaluate(standIn);
      expect(rows.map(name)).toEqual(planned);
      expect(told).toHaveLength(planned.length - before);
      expect(rowsIn()).toHaveLength(planned.length);
      // What was learned before its measurement was broken off is not learned again.
      expect(standIn.learned).toHaveLength(14);
      expect(subjectNames(standIn.engine.home)).toEqual([]);
    }
    const again = await evaluate();
    expect(again.told).toEqual([]);
    expect(again.standIn.measured).toEqual([]);
    expect(again.rows.map(name)).toEqual(planned);
  });

  test('in the middle of a line, that row is measured again and the next has a line of its own', async () => {
    await evaluate();
    const file = join(out, 'rows.jsonl');
    const whole = readFileSync(file);
    truncateSync(file, whole.length - 40);
    const { rows, told } = await evaluate();
    expect(told.map(name)).toEqual(['no-prior car 1']);
    expect(rows.map(name)).toEqual(planned);
    const third = await evaluate();
    expect(third.told).toEqual([]);
    expect(third.rows.map(name)).toEqual(planned);
  });

  test('between the rows of one sweep, none is there twice', async () => {
    await evaluate();
    const file = join(out, 'rows.jsonl');
    const lines = rowsIn();
    const kept = lines.slice(0, planned.indexOf('class-images bird 0 300'));
    truncateSync(file, Buffer.byteLength(`${kept.join('\n')}\n`));
    const { rows } = await evaluate();
    expect(rows.map(name).sort()).toEqual([...planned].sort());
    expect((await evaluate()).rows.map(name).sort()).toEqual([...planned].sort());
  });
});

test('what was not asked for stays NaN when it is read again', async () => {
  const first = await evaluate();
  const second = await evaluate();
  expect(second.told).toEqual([]);
  expect(second.rows).toEqual(first.rows);
  expect(second.rows[0]!.report.accessoryAccuracy).toBeNaN();
});

test('rows of other settings are neither taken nor touched', async () => {
  await evaluate(undefined, { ...small, settings: { steps: 350, rank: 8 } });
  const { rows, told } = await evaluate(undefined, { ...small, settings: { steps: 350, rank: 4 } });
  expect(told.map(name)).toEqual(planned.filter((one) => !/^(base|real|copies) /.test(one)));
  expect(rows.map(name).sort()).toEqual([...planned].sort());
  const controls = planned.filter((one) => /^(base|real|copies) /.test(one));
  expect(rowsIn()).toHaveLength(2 * planned.length - controls.length);
  const before = await evaluate(undefined, { ...small, settings: { steps: 350, rank: 8 } });
  expect(before.told).toEqual([]);
  expect(before.rows).toHaveLength(planned.length);
});

test('rows are of the subjects and of the recipe that are asked for, whatever else is in the folder', async () => {
  const one = { subjects: toys.slice(0, 1), arms: ['class-images'] as const, seeds: 1, sweeps: 0 };
  await evaluate(undefined, { ...one, subjects: toyDevelopmentSubjects });
  await evaluate(undefined, { ...one, settings: { rank: 8 } });
  const { rows } = await evaluate(undefined, one);
  expect(rows.map(name)).toEqual(['base bird 0', 'real bird 0', 'copies bird 0', 'class-images bird 0']);
  // What is drawn without learning does not depend on the recipe.
  expect(rowsIn()).toHaveLength(2 * 4 + 4 + 1);
});

test('a sweep that is asked for later is measured, and nothing else again', async () => {
  const one = { subjects: toys.slice(0, 1), arms: ['class-images'] as const, seeds: 1 };
  const settings = { steps: 250 };
  await evaluate(undefined, { ...one, settings, sweeps: 0 });
  const { told } = await evaluate(undefined, { ...one, settings, sweeps: 1 });
  expect(told.map(name)).toEqual([
    'class-images bird 0 100',
    'class-images bird 0 200',
    ...[1, 2, 3, 5].map((photos) => `class-images bird 0 ${photos} photos`),
  ]);
});

test('of a sweep over photos the pictures are compared with those that were learned from', async () => {
  const { standIn } = await evaluate(undefined, { ...small, seeds: 1 });
  const counts = standIn.measured[0]!.sources.flatMap((one) => (one.kind === 'subject' ? [one.photos] : []));
  expect([...new Set(counts)]).toEqual([4, 1, 2, 3, 5]);
});

test('settings in which the arms differ are refused before anything is done', async () => {
  const refused: PersonalizationSettings[] = [
    { prior: 'none' },
    { kind: 'full' },
    { captions: false },
    { classPromptTemplates: [] },
    { classPrompt: 'a {class}' },
    { instancePrompt: 'a {subject}' },
    { preset: 'paper' },
    // Rows are of steps that are known beforehand.
    { stopWhen: 'good' },
    { keep: 'best' },
  ];
  for (const settings of refused) {
    const standIn = standInEngine(join(folder, 'home'));
    await expect(evaluate(standIn, { ...small, settings })).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringMatching(new RegExp(`^${Object.keys(settings)[0]} is not to be set here`)),
    });
    expect(standIn.measured).toEqual([]);
  }
});

test('more seeds and arms add to what is there', async () => {
  await evaluate(undefined, { subjects: toys, arms: ['class-images'], seeds: 1, sweeps: 0 });
  const { told } = await evaluate(undefined, {
    subjects: toys,
    arms: ['class-images', 'full'],
    seeds: 2,
    sweeps: 0,
  });
  expect(told.map(name)).toEqual(['full bird 0', 'full car 0', 'class-images bird 1', 'class-images car 1']);
});

test('nothing to evaluate is refused before anything is done', async () => {
  const wrong = [
    { seeds: 0 },
    { seeds: 1.5 },
    { subjects: [] },
    { arms: ['no-prio' as never] },
    { arms: ['toString' as never] },
    { sweeps: -1 },
  ];
  for (const bad of wrong) {
    const standIn = standInEngine(join(folder, 'home'));
    await expect(evaluate(standIn, { ...small, ...bad })).rejects.toMatchObject({ code: 'invalid-option' });
    expect(standIn.measured).toEqual([]);
  }
});

test('no subject by which settings are judged is one on which they may be chosen', () => {
  const names = [...toyTestSubjects, ...toyDevelopmentSubjects].map((toy) => `${toy.class} ${toy.seed}`);
  expect(new Set(names).size).toBe(names.length);
});

test('the report of a run says the same in three ways', async () => {
  const { rows } = await evaluate();
  const { files, findings } = reportToybox(rows, out);
  expect(files.map((file) => file.slice(out.length + 1))).toEqual([
    'report.html',
    'report.md',
    'result.json',
  ]);
  const [html, markdown, json] = files.map((file) => readFileSync(file, 'utf8'));
  const result = JSON.parse(json!);
  expect(result.rows).toHaveLength(rows.length);
  expect(result.findings).toEqual(findings);
  expect(result.oracle).toMatchObject({ class: expect.any(Number), 'identity RMSE': expect.any(Number) });
  for (const { name: one, verdict, claim } of findings) {
    expect(markdown).toContain(`| ${one} | ${verdict} | ${claim} |`);
    expect(html).toContain(`>${verdict}</td>`);
  }
  expect(html!.match(/<img /g)).toHaveLength(8);
  expect(markdown).toMatch(/!\[bird 14, base\]\(<pictures\/bird-14-base-[0-9a-f]{6}\.png>\)/);
  // Under each table and curve of readings how far they can be trusted.
  for (const text of [html!, markdown!]) expect(text.split(oracleNote())).toHaveLength(1 + 7);
  expect(html!.match(/>taken: 600</g)).toHaveLength(6);
});

test('what was asked for in every arm is told, with what each arm has of its own', async () => {
  const settings = { steps: 250, rank: 8 };
  const { rows } = await evaluate(undefined, { ...small, settings });
  const { files } = reportToybox(rows, out, settings);
  const [html, markdown, json] = files.map((file) => readFileSync(file, 'utf8'));
  expect(JSON.parse(json!)).toMatchObject({
    settings,
    recipe: { steps: 250, rank: 8, alpha: 8, learningRate: 3e-3 },
  });
  expect(markdown).toContain('| of these asked for, where an arm has none of its own | steps=250, rank=8 |');
  expect(markdown).toMatch(/\| no-prior \| no prior preservation \| prior=none \|/);
  expect(html).toContain('>taken: 250<');
});
