/** Rows of the embedded world's evaluation that nobody measured. */
import type { SubjectReport } from '../../sdk/evaluation/subject-report';
import { toyArmNames, toyArms } from '../../sdk/protocols/toybox/toybox-arms';
import { type ToyRow, toyControls } from '../../sdk/protocols/toybox/toybox-evaluation';
import type { ToySubject } from '../../sdk/toybox/toy-subject';

/** What a good learning is like. */
export const goodReport: SubjectReport = {
  CP: 0.8,
  PF: 0.9,
  CP·PF: 0.72,
  joint: 0.71,
  ungatedCP: 0.8,
  PRES: 0.35,
  LEAK: 0.05,
  'PRIOR-FD': 0.1,
  priorDIV: 0.6,
  DIV: 0.3,
  pixelDIV: 0.2,
  COPY: 0.85,
  backgroundLeak: 0.01,
  classAccuracy: 1,
  contextAccuracy: 0.98,
  accessoryAccuracy: 0.8,
  redrawnPSNR: 15,
};

export const toys: readonly ToySubject[] = [
  { class: 'dog', seed: 11 },
  { class: 'fish', seed: 12 },
  { class: 'mushroom', seed: 13 },
  { class: 'bird', seed: 14 },
  { class: 'car', seed: 15 },
];

export type RowMaking = Omit<Partial<ToyRow>, 'arm' | 'report'> & {
  readonly report?: Partial<SubjectReport>;
};

export const madeUpRow = (arm: ToyRow['arm'], { report, ...of }: RowMaking = {}): ToyRow => ({
  arm,
  toy: toys[0]!,
  seed: 0,
  photos: 4,
  steps: null,
  settings: 'made-up',
  drewClassImages: of.seed === undefined || of.seed === 0,
  seconds: toyControls.some((control) => control === arm) ? 0 : 120,
  ...of,
  report: withProduct({ ...goodReport, ...report }, report),
});

const withProduct = (whole: SubjectReport, given: Partial<SubjectReport> = {}): SubjectReport => ({
  ...whole,
  CP·PF: given['CP·PF'] ?? whole.CP * whole.PF,
});

/** One of each subject, a little apart: the n-th has `n / 100` more of every measure that is given. */
export const ofSubjects = (
  arm: ToyRow['arm'],
  report: Partial<SubjectReport>,
  of: RowMaking = {},
): ToyRow[] =>
  toys.map((toy, n) =>
    madeUpRow(arm, {
      toy,
      ...of,
      report: Object.fromEntries(Object.entries(report).map(([name, value]) => [name, value + n / 100])),
    }),
  );

/** What arms differ by from a good learning, as the paper has it. */
const looks: Readonly<Record<ToyRow['arm'], Partial<SubjectReport>>> = {
  base: { CP: 0.1, PF: 0.95, PRES: 0.25, LEAK: 0, 'PRIOR-FD': 0, DIV: 0.5, priorDIV: 0.65, COPY: 0.7 },
  real: { CP: 0.95, PF: 0.95, PRES: 0.13, LEAK: 0, DIV: 0.1 },
  copies: { CP: 0.95, PF: 0.05, PRES: 0.8, LEAK: 0.95, DIV: 0.15, COPY: 0.95 },
  'class-images': { CP: 0.78, PF: 0.88, PRES: 0.33, LEAK: 0.03, DIV: 0.28 },
  'adapter-off': { CP: 0.77, PF: 0.88, PRES: 0.335, LEAK: 0.03 },
  'no-prior': { CP: 0.85, PRES: 0.8, LEAK: 0.9, 'PRIOR-FD': 1.3, DIV: 0.2, priorDIV: 0.2 },
  'wrong-noun': { CP: 0.5, ungatedCP: 0.6, PF: 0.8, PRES: 0.7 },
  'no-noun': { CP: 0.4, ungatedCP: 0.5, PF: 0.85, PRES: 0.2 },
  'bare-prior': { CP: 0.75, PF: 0.8 },
  'no-captions': { CP: 0.6, PF: 0.9 },
  'common-word': { CP: 0.6, PF: 0.85 },
  'textual-inversion': { CP: 0.35, PF: 0.95, PRES: 0.25, LEAK: 0, 'PRIOR-FD': 0 },
  full: { CP: 0.775, PF: 0.85, 'PRIOR-FD': 0.3 },
};

/** A whole evaluation of five subjects, two seeds and both sweeps, in which the paper is right. */
export function wholeEvaluation(): ToyRow[] {
  const seeded = (arm: ToyRow['arm'], seeds: number) =>
    Array.from({ length: seeds }, (_, seed) =>
      ofSubjects(arm, looks[arm], { seed, seconds: arm === 'adapter-off' ? 90 + seed : 120 + seed }),
    ).flat();
  const steps = (['class-images', 'no-prior'] as const).flatMap((arm) =>
    [100, 200, 300, 400, 500].flatMap((step) => {
      const share = step / 600;
      const drift = arm === 'no-prior' ? 0.5 : 0.08;
      const report = {
        CP: 0.1 + 0.7 * share ** 0.5,
        PF: 0.99 - 0.08 * share,
        PRES: 0.25 + drift * share,
        LEAK: arm === 'no-prior' ? 0.9 * share : 0.05 * share,
        DIV: 0.5 - 0.2 * share,
      };
      return ofSubjects(arm, report, { steps: step, seconds: 0 }).slice(0, 2);
    }),
  );
  const photos = [1, 2, 3, 5].flatMap((count) =>
    ofSubjects(
      'class-images',
      { CP: 0.5 + count / 20, CP·PF: 0.4 + count / 15, COPY: 0.95 - count / 50 },
      { photos: count },
    ).slice(0, 2),
  );
  const losses = [100, 200].map((step) => ({ step, loss: 10 / step }));
  const isSwept = ({ arm, toy, seed }: ToyRow) =>
    (arm === 'class-images' || arm === 'no-prior') && seed === 0 && toys.indexOf(toy) < 2;
  return [
    ...toyControls.flatMap((arm) => ofSubjects(arm, looks[arm], { seconds: 0 })),
    ...toyArmNames
      .flatMap((arm) => seeded(arm, toyArms[arm].main ? 2 : 1))
      .map((row) => (isSwept(row) ? { ...row, losses } : row)),
    ...steps,
    ...photos,
  ];
}
