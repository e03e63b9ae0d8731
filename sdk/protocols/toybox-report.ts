/** The embedded world's evaluation as a report. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mean } from '../evaluation/oracle-reading';
import { basePath, embeddedBase } from '../jobs/base-path';
import { packageVersions } from '../jobs/versions';
import type { Block, LineChart, Report, Section, Table } from '../reports/report';
import type { ToySubject } from '../toybox/toy-subject';
import { toyArmNames, toyArms } from './toybox-arms';
import { isSame, type ToyRow, toyControls } from './toybox-evaluation';
import {
  contrast,
  courseOf,
  type Finding,
  findings,
  interval,
  type Measure,
  ofArm,
  photoCourse,
  shownInterval,
} from './toybox-summary';
import { writeReport } from './write-report';

/** Shares that the oracle reads right, and how far off its regressed identity is (RMSE). */
export type OracleErrors = Readonly<Record<string, number>>;

/** On pictures through the autoencoder that it was not trained on, as the log of its training has them. */
export function oracleErrors(): OracleErrors {
  const log = readFileSync(join(basePath(embeddedBase), 'pretraining.txt'), 'utf8');
  const found = [...log.matchAll(/oracle, held-out decoded: (.*)/g)].at(-1)![1]!;
  const { appearance, ...shares } = JSON.parse(found) as Record<string, number> & { appearance: number[] };
  return { ...shares, 'identity RMSE': Number(mean(appearance.slice(0, 9)).toFixed(3)) };
}

export const measureWords = {
  CP: 'is it the very subject? 0: anyone of its class, 1: as real pictures of it',
  PF: 'share of pictures that show scene and accessory as asked',
  CP·PF: 'product of the two means',
  joint: 'mean of the two products: the same picture is right in both',
  PRES: 'how near pictures of the bare class are to the subject; lower is better',
  LEAK: 'share of pictures of the bare class that show the subject',
  'PRIOR-FD': "Fréchet distance of the bare class's pictures from the base's",
  priorDIV: 'how much pictures of the bare class differ',
  DIV: 'how much the pictures of one prompt differ',
  pixelDIV: 'the same over pixels',
  COPY: 'likeness of the most copied picture to a photo',
  backgroundLeak: "share of scenes in which a photo's background came back",
  classAccuracy: 'share of the right class',
  contextAccuracy: 'share of the right scene',
  accessoryAccuracy: 'share of the right accessory',
} as const satisfies Partial<Record<Measure, string>>;

const measures = Object.keys(measureWords) as (keyof typeof measureWords)[];
const headline: readonly Measure[] = [
  'CP',
  'PF',
  'CP·PF',
  'joint',
  'PRES',
  'LEAK',
  'PRIOR-FD',
  'priorDIV',
  'DIV',
  'COPY',
];
const arms = [...toyControls, ...toyArmNames] as const;
const wordsOf = (arm: ToyRow['arm']): string => {
  if (arm === 'base') return 'the untouched model, asked for the class';
  if (arm === 'real') return 'renders of the subject itself: the ceiling';
  return arm === 'copies' ? 'the photos, whatever is asked' : toyArms[arm].words;
};

/** Writes what the rows say into `folder`, as HTML, Markdown and JSON. Throws DiskFullError. */
export function reportToybox(
  rows: readonly ToyRow[],
  folder: string,
): { readonly files: readonly string[]; readonly findings: readonly Finding[] } {
  const oracle = oracleErrors();
  const found = findings(rows);
  const report = toyboxReport(rows, folder, oracle);
  const result = { oracle, versions: packageVersions(), findings: found, rows };
  return { files: writeReport(folder, report, result), findings: found };
}

function toyboxReport(rows: readonly ToyRow[], folder: string, errors: OracleErrors): Report {
  const subjects = rows
    .map(({ toy }) => toy)
    .filter((toy, i, all) => all.findIndex((one) => isSame(one, toy)) === i);
  const seeds = new Set(rows.map(({ seed }) => seed)).size;
  const shown = arms.filter((arm) => ofArm(rows, arm).length > 0);
  return {
    title: 'DreamBooth on the embedded world',
    summary: `${subjects.length} subjects that the base has never met, up to ${seeds} seeds, four photos each unless said; read by an oracle that knows the truth. Figures are means with 95 % bootstrap intervals over subjects, and not comparable to DINO, CLIP or DreamBench++ scores.`,
    sections: [
      { heading: 'The directions of the paper', blocks: [findingsTable(rows)] },
      { heading: 'The arms', blocks: [armTable(rows, shown, errors), armWords(shown), measureTable()] },
      { heading: 'Against the recipe', blocks: [contrastTable(rows)] },
      { heading: 'Over the steps', blocks: stepCharts(rows) },
      { heading: 'Over the number of photos', blocks: photoCharts(rows) },
      { heading: 'Subject by subject', blocks: [subjectTable(rows, subjects)] },
      pictures(folder, subjects, shown),
    ],
  };
}

const findingsTable = (rows: readonly ToyRow[]): Table => ({
  kind: 'table',
  columns: ['', 'what should be seen', 'where', 'verdict', 'what was seen'],
  rows: findings(rows).map(({ name, claim, anchor, verdict, seen }) => [name, claim, anchor, verdict, seen]),
});

const armTable = (rows: readonly ToyRow[], shown: readonly ToyRow['arm'][], errors: OracleErrors): Table => ({
  kind: 'table',
  columns: ['', 'runs', ...headline, 's to learn'],
  rows: shown.map((arm) => {
    const own = ofArm(rows, arm);
    const seconds = mean(own.map((row) => row.seconds));
    return [
      arm,
      String(own.length),
      ...headline.map((measure) => shownInterval(interval(own, measure))),
      seconds > 0 ? seconds.toFixed(0) : '',
    ];
  }),
  note: `The oracle on held-out pictures: ${Object.entries(errors)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}.`,
});

const armWords = (shown: readonly ToyRow['arm'][]): Table => ({
  kind: 'table',
  columns: ['arm', 'what it is'],
  rows: shown.map((arm) => [arm, wordsOf(arm)]),
});

const measureTable = (): Table => ({
  kind: 'table',
  columns: ['column', 'what it says'],
  rows: Object.entries(measureWords).map(([name, words]) => [name, words]),
});

function contrastTable(rows: readonly ToyRow[]): Table {
  const others = toyArmNames.filter((arm) => arm !== 'class-images' && ofArm(rows, arm).length > 0);
  return {
    kind: 'table',
    columns: ['arm − class-images', ...headline],
    rows: others.map((arm) => [
      arm,
      ...headline.map((measure) => {
        const { difference, subjects } = contrast(rows, 'class-images', arm, measure);
        return `${shownInterval(difference)} ↑${subjects.greater} ↓${subjects.smaller}`;
      }),
    ]),
    note: 'Differences of pairs of the same subject and seed; arrows count subjects.',
  };
}

const meansOver = (
  rows: readonly ToyRow[],
  at: (row: ToyRow) => number,
  measure: Measure,
): [number, number][] =>
  [...new Set(rows.map(at))]
    .sort((a, b) => a - b)
    .map((place) => [
      place,
      mean(rows.filter((row) => at(row) === place).map(({ report }) => report[measure])),
    ]);

function stepCharts(rows: readonly ToyRow[]): Block[] {
  const courses = (['class-images', 'no-prior'] as const).map((arm) => ({ arm, rows: courseOf(rows, arm) }));
  const last = Math.max(...courses.flatMap(({ rows: own }) => own.map(({ steps }) => steps ?? 0))) + 100;
  return (['CP', 'PF', 'PRES', 'LEAK', 'DIV'] as const).map(
    (measure): LineChart => ({
      kind: 'chart',
      title: `${measure}: ${measureWords[measure]}`,
      x: 'steps',
      y: measure,
      series: courses.map(({ arm, rows: own }) => ({
        name: arm,
        points: meansOver(own, ({ steps }) => steps ?? last, measure),
      })),
    }),
  );
}

const photoCharts = (rows: readonly ToyRow[]): Block[] => [
  {
    kind: 'chart',
    title: 'From one photo to five',
    x: 'photos',
    y: '',
    series: (['CP', 'PF', 'CP·PF', 'DIV', 'COPY'] as const).map((measure) => ({
      name: measure,
      points: meansOver(photoCourse(rows), ({ photos }) => photos, measure),
    })),
  },
];

const subjectTable = (rows: readonly ToyRow[], subjects: readonly ToySubject[]): Table => ({
  kind: 'table',
  columns: ['class-images', 'runs', ...measures],
  rows: subjects.map((toy) => {
    const own = ofArm(rows, 'class-images').filter((row) => isSame(row.toy, toy));
    return [
      `${toy.class} ${toy.seed}`,
      String(own.length),
      ...measures.map((measure) => mean(own.map(({ report }) => report[measure])).toFixed(2)),
    ];
  }),
});

function pictures(folder: string, subjects: readonly ToySubject[], shown: readonly ToyRow['arm'][]): Section {
  const blocks = subjects.flatMap((toy) =>
    shown.flatMap((arm): Block[] => {
      const file = `pictures/${toy.class}-${toy.seed}-${arm}.png`;
      if (!existsSync(join(folder, file))) return [];
      const png = readFileSync(join(folder, file));
      return [{ kind: 'picture', png, file, caption: `${toy.class} ${toy.seed}, ${arm}` }];
    }),
  );
  const text =
    'The first picture of each of the ten scenes; below them five with an accessory and five of the bare class. Seed 0.';
  return { heading: 'Pictures', blocks: [{ kind: 'text', text }, ...blocks] };
}
