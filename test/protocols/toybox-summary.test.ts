import { describe, expect, test } from 'vitest';
import type { SubjectReport } from '../../sdk/evaluation/subject-report';
import { type ToyRow, toyControls } from '../../sdk/protocols/toybox/toybox-evaluation';
import { contrast, findings, interval, ofArm, type Verdict } from '../../sdk/protocols/toybox/toybox-summary';
import { madeUpRow, ofSubjects, toys, wholeEvaluation } from './made-up-rows';

const verdicts = (rows: readonly ToyRow[]): Record<string, Verdict> =>
  Object.fromEntries(findings(rows).map(({ name, verdict }) => [name, verdict]));
const whole = wholeEvaluation();

/** The same rows, those of an arm with other measures; the n-th subject has `spread · n` more. */
const rowsWith = (arm: ToyRow['arm'], report: Partial<SubjectReport>, spread = 0.001): ToyRow[] =>
  whole.map((row) => {
    if (row.arm !== arm) return row;
    const n = toys.findIndex((toy) => toy.class === row.toy.class);
    const more = Object.entries(report).map(([name, value]) => [name, value + spread * n]);
    return { ...row, report: { ...row.report, ...Object.fromEntries(more) } };
  });
/** Rows whose measure goes the other way over a course, mirrored about 0.5. */
const mirrored = (of: (row: ToyRow) => boolean, ...measures: (keyof SubjectReport)[]): ToyRow[] =>
  whole.map((row) =>
    of(row)
      ? {
          ...row,
          report: {
            ...row.report,
            ...Object.fromEntries(measures.map((measure) => [measure, 1 - row.report[measure]])),
          },
        }
      : row,
  );

test('where everything is as the paper has it, all passes', () => {
  expect(verdicts(whole)).toEqual({
    A1: 'pass',
    A2: 'pass',
    A3: 'pass',
    A4a: 'pass',
    A4b: 'pass',
    A5: 'pass',
    A6: 'pass',
    A7: 'pass',
    A8: 'pass',
    A9: 'pass',
    'prior of the base itself': 'pass',
    'the recipe': 'pass',
  });
});

test('what was not run says so, and shows no figures', () => {
  for (const { verdict, seen } of findings([])) expect([verdict, seen]).toEqual(['not run', '']);
  const controls = whole.filter(({ arm }) => toyControls.some((control) => control === arm));
  for (const { name, verdict } of findings(controls)) expect(verdict, name).toBe('not run');
  const withoutArm = (arm: ToyRow['arm']) => verdicts(whole.filter((row) => row.arm !== arm));
  expect(withoutArm('no-prior')).toMatchObject({ A1: 'pass', A2: 'not run', A3: 'not run', A5: 'not run' });
  expect(withoutArm('wrong-noun')).toMatchObject({ A4a: 'not run', A4b: 'pass' });
  expect(withoutArm('textual-inversion')).toMatchObject({ A7: 'not run' });
  expect(withoutArm('full')).toMatchObject({ A9: 'not run' });
  expect(verdicts(whole.filter(({ photos }) => photos === 4))).toMatchObject({ A6: 'not run' });
  expect(verdicts(whole.filter(({ steps }) => steps === null))).toMatchObject({ A5: 'not run' });
});

describe('a direction that is wrong fails', () => {
  const isEnd = ({ steps, photos }: ToyRow) => steps === null && photos === 4;
  const inCourse = ({ arm, steps }: ToyRow) => arm === 'class-images' && steps !== null;
  const ofPhotos = ({ photos }: ToyRow) => photos !== 4;
  test.each<[string, string, readonly ToyRow[]]>([
    ['A1', 'CP grows by less than 0.5', rowsWith('base', { CP: 0.4 })],
    ['A1', 'PF falls by more than 0.15', rowsWith('class-images', { PF: 0.7 })],
    ['A2', 'PRES falls', rowsWith('no-prior', { PRES: 0.1 })],
    ['A2', 'LEAK falls', rowsWith('no-prior', { LEAK: 0 })],
    ['A2', 'PRIOR-FD falls', rowsWith('no-prior', { 'PRIOR-FD': 0 })],
    ['A2', 'the class is as diverse as before', rowsWith('no-prior', { priorDIV: 0.7 })],
    ['A3', 'DIV grows', rowsWith('no-prior', { DIV: 0.5 })],
    ['A4a', 'another class is learned better', rowsWith('wrong-noun', { CP: 0.9, ungatedCP: 0.9 })],
    ['A4a', 'gated worse and ungated better', rowsWith('wrong-noun', { ungatedCP: 0.9 })],
    ['A4b', 'no noun is learned better', rowsWith('no-noun', { CP: 0.9, ungatedCP: 0.9 })],
    ['A5', 'CP falls with the steps', mirrored((row) => isEnd(row) || row.steps !== null, 'CP')],
    ['A5', 'PF grows with the steps', mirrored((row) => row.steps !== null, 'PF')],
    ['A5', 'DIV grows with the steps', mirrored((row) => isEnd(row) || row.steps !== null, 'DIV')],
    [
      'A5',
      'PRES grows more with prior preservation',
      whole.map((row) => (inCourse(row) ? { ...row, report: { ...row.report, PRES: -1 } } : row)),
    ],
    [
      'A5',
      'PRES falls without prior preservation, too',
      whole.map((row) =>
        row.steps === null ? row : { ...row, report: { ...row.report, PRES: 1.5 - row.report.PRES / 10 } },
      ),
    ],
    ['A6', 'CP·PF falls with the photos', mirrored(ofPhotos, 'CP·PF')],
    ['A6', 'copying grows with the photos', mirrored(ofPhotos, 'COPY')],
    ['A7', 'an embedding keeps more', rowsWith('textual-inversion', { CP: 0.95 })],
    ['A7', 'an embedding follows prompts worse', rowsWith('textual-inversion', { PF: 0.5 })],
    ['A7', 'an embedding moved its class', rowsWith('textual-inversion', { 'PRIOR-FD': 0.2 })],
    ['A8', 'a common word is learned better', rowsWith('common-word', { CP: 0.95 })],
    ['A9', 'all weights keep more', rowsWith('full', { CP: 0.95 })],
    ['A9', 'all weights drift less', rowsWith('full', { 'PRIOR-FD': 0 })],
    ['prior of the base itself', 'PRES is higher', rowsWith('adapter-off', { PRES: 0.6 })],
    ['prior of the base itself', 'LEAK is higher', rowsWith('adapter-off', { LEAK: 0.5 })],
    ['the recipe', 'CP·PF is too little', rowsWith('class-images', { CP: 0.6 })],
    ['the recipe', 'LEAK is too much', rowsWith('class-images', { LEAK: 0.2 })],
  ])('%s: %s', (name, _, rows) => {
    expect(verdicts(rows)[name]).toBe('fail');
  });

  test('adapter-off that preserves the class better is within what is wanted; its interval is shown', () => {
    const better = rowsWith('adapter-off', { PRES: 0, LEAK: 0 });
    const { verdict, seen } = findings(better).find(({ name }) => name === 'prior of the base itself')!;
    expect(verdict).toBe('pass');
    expect(seen).toMatch(/^PRES 0\.00 against 0\.\d\d \[0\.\d\d, 0\.\d\d\]; LEAK 0\.00 against 0\.\d\d \[/);
  });

  test('adapter-off that takes longer', () => {
    const slow = whole.map((row) => (row.arm === 'adapter-off' ? { ...row, seconds: 500 } : row));
    expect([verdicts(whole), verdicts(slow)].map((one) => one['prior of the base itself'])).toEqual([
      'pass',
      'fail',
    ]);
    // Class images are drawn in a class's first learning alone, and samples of a sweep are no part of a learning.
    const times = (arm: ToyRow['arm'], { toy, seed }: ToyRow) => {
      if (arm === 'adapter-off') return 90;
      if (seed > 0) return 70;
      return ['dog', 'fish'].includes(toy.class) ? 1000 : 110;
    };
    const timed = whole.map((row) => ({ ...row, seconds: times(row.arm, row) }));
    // One whose machine was busy is no more than one.
    const busy = timed.findIndex(({ arm }) => arm === 'adapter-off');
    timed[busy] = { ...timed[busy]!, seconds: 5000 };
    const { verdict, seen } = findings(timed).find(({ name }) => name === 'prior of the base itself')!;
    expect(verdict).toBe('pass');
    expect(seen).toMatch(
      /; 0\.82 of the time where class images are drawn first, 1\.29 where they are there$/,
    );
    const unknown = whole.map((row) => ({ ...row, seconds: 0 }));
    expect(verdicts(unknown)['prior of the base itself']).toBe('inconclusive');
  });
});

describe('neither way clearly', () => {
  test('is inconclusive of courses of one subject, or of which one goes no way', () => {
    const photoOf = (row: ToyRow) => row.photos !== 4;
    const stepOf = (row: ToyRow) => row.steps !== null;
    const firstOnly = whole.filter(
      (row) => !(photoOf(row) || stepOf(row)) || row.toy.class === toys[0]!.class,
    );
    expect(verdicts(firstOnly)).toMatchObject({ A5: 'inconclusive', A6: 'inconclusive' });
    // Copying falls by a thousandth in one of two.
    const still = whole.map((row) =>
      photoOf(row) && row.toy.class === toys[0]!.class
        ? { ...row, report: { ...row.report, COPY: 0.9 - row.photos / 4000 } }
        : row,
    );
    expect(verdicts(still)['A6']).toBe('inconclusive');
    // PF stays where it was.
    const followed = whole.map((row) => ({ ...row, report: { ...row.report, PF: 0.9 } }));
    expect(verdicts(followed)['A5']).toBe('inconclusive');
  });

  test('a sweep that lacks a subject in one arm compares the others with themselves', () => {
    const stepOf = ({ steps }: ToyRow) => steps !== null;
    const ofSubject = (row: ToyRow, n: number) => row.toy.class === toys[n]!.class;
    const third = whole
      .filter((row) => stepOf(row) && ofSubject(row, 1))
      .map((row) => ({ ...row, toy: toys[2]! }));
    const rows = [...whole, ...third]
      .filter((row) => !(row.arm === 'no-prior' && stepOf(row) && ofSubject(row, 0)))
      // It grows more than that of any other without prior preservation.
      .map((row) =>
        row.arm === 'class-images' && row.steps === 100 && ofSubject(row, 0)
          ? { ...row, report: { ...row.report, PRES: -1 } }
          : row,
      );
    expect(verdicts(rows)['A5']).toBe('pass');
  });

  test('of one subject nothing is shown in the mean, either', () => {
    const one = verdicts(whole.filter(({ toy }) => toy.class === toys[0]!.class));
    for (const name of ['A1', 'the recipe', 'prior of the base itself'])
      expect(one[name], name).toBe('inconclusive');
  });

  test('is inconclusive where a direction is to be shown in the mean', () => {
    // From −0.1 to 0.1 about the recipe's.
    expect(verdicts(rowsWith('wrong-noun', { CP: 0.7, ungatedCP: 0.7 }, 0.05))).toMatchObject({
      A4a: 'inconclusive',
    });
    expect(verdicts(rowsWith('common-word', { CP: 0.7 }, 0.05))).toMatchObject({ A8: 'inconclusive' });
  });

  test('so is a comparison with what learned nothing, and one of two subjects', () => {
    expect(verdicts(rowsWith('textual-inversion', { CP: 0.1 }, 0.01))['A7']).toBe('inconclusive');
    const two = whole.filter(({ toy }) => toys.slice(0, 2).some((one) => one.class === toy.class));
    expect(verdicts(two)).toMatchObject({ A2: 'inconclusive', A4a: 'inconclusive', A9: 'inconclusive' });
  });

  test('and the same, where the interval leaves room for a tenth less', () => {
    expect(verdicts(rowsWith('full', { CP: 0.6 }, 0.1))['A9']).toBe('inconclusive');
  });

  test('is enough where the same is as good', () => {
    expect(verdicts(rowsWith('full', { CP: 0.7 }, 0.05))).toMatchObject({ A9: 'pass' });
  });

  test('four of five subjects are enough, three are not', () => {
    const but = (count: number) =>
      whole.map((row) =>
        row.arm === 'no-prior' && toys.slice(0, count).some((toy) => toy.class === row.toy.class)
          ? { ...row, report: { ...row.report, PRES: 0 } }
          : row,
      );
    expect([but(1), but(2)].map((rows) => verdicts(rows)['A2'])).toEqual(['pass', 'fail']);
  });

  test('as much diversity counts as no more of it', () => {
    expect(verdicts(rowsWith('no-prior', { DIV: 0.28 }, 0.01))).toMatchObject({ A3: 'pass' });
  });
});

test('pairs are of the same subject and seed; a control is the partner of every seed', () => {
  const rows = [
    madeUpRow('base', { report: { CP: 0.1 } }),
    madeUpRow('class-images', { seed: 0, report: { CP: 0.5 } }),
    madeUpRow('class-images', { seed: 1, report: { CP: 0.9 } }),
    madeUpRow('no-prior', { seed: 1, report: { CP: 0.8 } }),
    madeUpRow('no-prior', { toy: toys[1]!, report: { CP: 0 } }),
    madeUpRow('class-images', { seed: 0, steps: 100, report: { CP: 0 } }),
    madeUpRow('class-images', { seed: 0, photos: 1, report: { CP: 0 } }),
  ];
  const learned = contrast(rows, 'base', 'class-images', 'CP');
  expect(learned.difference.count).toBe(2);
  expect(learned.difference.mean).toBeCloseTo(0.6);
  expect(learned.subjects).toEqual({ greater: 1, smaller: 0, equal: 0 });
  const prior = contrast(rows, 'class-images', 'no-prior', 'CP');
  expect(prior.difference.count).toBe(1);
  expect(prior.difference.mean).toBeCloseTo(-0.1);
  expect(ofArm(rows, 'class-images')).toHaveLength(2);
  // An arm of one seed is the partner of that seed alone.
  const one = [...rows, madeUpRow('full', { seed: 0, report: { CP: 0.4 } })];
  expect(contrast(one, 'full', 'class-images', 'CP').difference).toMatchObject({ count: 1 });
});

test('NaN says that nothing was asked: it is no value and no partner', () => {
  const rows = [
    ...ofSubjects('class-images', { accessoryAccuracy: 0.5 }),
    madeUpRow('class-images', { seed: 1, report: { accessoryAccuracy: Number.NaN } }),
    madeUpRow('full', { report: { accessoryAccuracy: Number.NaN } }),
    madeUpRow('full', { toy: toys[1]!, report: { accessoryAccuracy: 0.71 } }),
  ];
  const { mean, count } = interval(ofArm(rows, 'class-images'), 'accessoryAccuracy');
  expect([mean, count]).toEqual([0.52, 5]);
  const { difference, subjects } = contrast(rows, 'class-images', 'full', 'accessoryAccuracy');
  expect(difference.count).toBe(1);
  expect(difference.mean).toBeCloseTo(0.2);
  expect(subjects).toEqual({ greater: 1, smaller: 0, equal: 0 });
});
