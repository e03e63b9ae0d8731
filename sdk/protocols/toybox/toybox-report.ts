/** The embedded world's evaluation as a report. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mean } from '../../evaluation/oracle-reading';
import type { Interval } from '../../evaluation/statistics';
import { oracleErrors, oracleNote } from '../../jobs/oracle-errors';
import { packageVersions } from '../../jobs/versions';
import type { Block, Cell, LineChart, Report, Section, Table } from '../../reports/report';
import { namedValues } from '../../reports/tables';
import type { ToySubject } from '../../toybox/toy-subject';
import { effectiveSettings } from '../../training/presets';
import type { PersonalizationSettings } from '../../work/personalization-settings';
import { writeReport } from '../write-report';
import { toyArmNames, toyArms } from './toybox-arms';
import { armSettings, distinct, isArm, isSame, sheetOf, type ToyRow, toyControls } from './toybox-evaluation';
import {
  contrast,
  courseOf,
  type Finding,
  findings,
  interval,
  learningTime,
  type Measure,
  ofArm,
  photoCourse,
  type Verdict,
} from './toybox-summary';

const measureWords = {
  CP: 'is it the very subject? 0: anyone of its class, 1: as real pictures of it',
  PF: 'share of pictures that show scene and accessory as asked',
  CP·PF: 'product of the two means',
  ungatedCP: 'CP of pictures that show another class, too, which CP counts as 0',
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
  redrawnPSNR:
    'dB between a picture and what the oracle read on it, drawn again over the subject: higher where readings are to be believed',
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
/** What stands behind them. */
const details: readonly Measure[] = measures.filter((measure) => !headline.includes(measure));
const arms = [...toyControls, ...toyArmNames] as const;
const wordsOf = (arm: ToyRow['arm']): string => {
  if (arm === 'base') return 'the untouched model, asked for the class';
  if (arm === 'real') return 'renders of the subject itself: the ceiling';
  return arm === 'copies' ? 'the photos, whatever is asked' : toyArms[arm].words;
};

/**
 * Writes what the rows say into `folder`, as HTML, Markdown and JSON; `settings` are those that they were asked for with.
 * Throws DiskFullError.
 */
export function reportToybox(
  rows: readonly ToyRow[],
  folder: string,
  settings: PersonalizationSettings = {},
): { readonly files: readonly string[]; readonly findings: readonly Finding[] } {
  const found = findings(rows);
  const report = toyboxReport(rows, folder, settings, found);
  const result = {
    oracle: oracleErrors(),
    versions: packageVersions(),
    recipe: effectiveSettings('toybox', settings),
    settings,
    arms: toyArms,
    findings: found,
    rows,
  };
  return { files: writeReport(folder, report, result), findings: found };
}

function toyboxReport(
  rows: readonly ToyRow[],
  folder: string,
  settings: PersonalizationSettings,
  found: readonly Finding[],
): Report {
  const subjects = distinct(rows.map(({ toy }) => toy));
  const seeds = new Set(rows.map(({ seed }) => seed)).size;
  const shown = arms.filter((arm) => ofArm(rows, arm).length > 0);
  return {
    title: 'DreamBooth on the embedded world',
    summary: `${subjects.length} subjects that the base has never met, up to ${seeds} seeds, four photos each unless said; read by an oracle that knows the truth. Figures are means with 95 % bootstrap intervals over subjects, and not comparable to DINO, CLIP or DreamBench++ scores.`,
    sections: [
      { heading: 'The directions of the paper', blocks: [tally(found), findingsTable(found)] },
      {
        heading: 'The arms',
        blocks: [armTable(rows, shown, headline), armTable(rows, shown, details), measureTable()],
      },
      { heading: 'Against the recipe', blocks: [contrastTable(rows)] },
      { heading: 'Over the steps', blocks: stepCharts(rows, settings) },
      { heading: 'Over the number of photos', blocks: photoCharts(rows) },
      { heading: 'Subject by subject', blocks: [subjectTable(rows, subjects)] },
      pictures(rows, folder, subjects, shown),
      { heading: 'How it was made', blocks: [armWords(rows, shown), madeTable(settings)] },
    ],
  };
}

const tones = { pass: 'good', fail: 'bad', inconclusive: 'open', 'not run': 'faint' } as const;

const tally = (found: readonly Finding[]): Block => ({
  kind: 'text',
  text: `${(Object.keys(tones) as Verdict[])
    .map((verdict) => `${verdict}: ${found.filter((one) => one.verdict === verdict).length}`)
    .join(' · ')}`,
});

const findingsTable = (found: readonly Finding[]): Table => ({
  kind: 'table',
  columns: ['', 'verdict', 'what should be seen', 'what was seen', 'where'],
  rows: found.map(({ name, claim, anchor, verdict, seen }) => [
    name,
    { text: verdict, tone: tones[verdict] },
    claim,
    seen.replaceAll('; ', '\n'),
    { text: anchor, tone: 'faint' },
  ]),
  note: oracleNote(),
});

const rounded = (value: number) =>
  Number.isNaN(value) ? '–' : value.toFixed(2).replace('-', '−').replace('−0.00', '0.00');
/** Nothing is said of how far a mean may be off where all subjects have the same. */
const rangeOf = ({ low, high }: Interval): string[] =>
  Number.isNaN(low) || high - low < 1e-9 ? [] : [`[${rounded(low)}, ${rounded(high)}]`];
const withBelow = (text: string, below: readonly string[]): Cell =>
  below.length === 0 ? text : { text, below: below.join('\n') };

const armTable = (
  rows: readonly ToyRow[],
  shown: readonly ToyRow['arm'][],
  columns: readonly Measure[],
): Table => ({
  kind: 'table',
  columns: ['', 'runs', ...columns],
  rows: shown.map((arm) => {
    const own = ofArm(rows, arm);
    const cells = columns.map((measure) => {
      const found = interval(own, measure);
      return withBelow(rounded(found.mean), rangeOf(found));
    });
    return [arm, String(own.length), ...cells];
  }),
  note: oracleNote(),
});

const armWords = (rows: readonly ToyRow[], shown: readonly ToyRow['arm'][]): Table => ({
  kind: 'table',
  columns: ['arm', 'what it is', 'settings over the recipe', 'learning'],
  rows: shown.map((arm) => {
    const seconds = learningTime(ofArm(rows, arm));
    const settings = isArm(arm) ? namedValues(toyArms[arm].settings, '') : '';
    const time = seconds > 0 ? `${seconds.toFixed(0)} s` : isArm(arm) ? 'not known: broken off' : '';
    return [arm, wordsOf(arm), settings, time];
  }),
});

const madeTable = (settings: PersonalizationSettings): Table => ({
  kind: 'table',
  columns: ['', ''],
  rows: [
    ['the recipe', namedValues(effectiveSettings('toybox', settings))],
    [
      'of these asked for, where an arm has none of its own',
      namedValues(settings, 'none: the preset toybox as it is'),
    ],
    ['versions', namedValues(packageVersions())],
  ],
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
        const value = rounded(difference.mean);
        const text = difference.mean > 0 && value !== '0.00' ? `+${value}` : value;
        const cell = withBelow(text, [
          ...rangeOf(difference),
          ...(subjects.greater + subjects.smaller > 0 ? [`↑${subjects.greater} ↓${subjects.smaller}`] : []),
        ]);
        const holdsZero = !(difference.low > 0 || difference.high < 0);
        return holdsZero && typeof cell !== 'string' ? { ...cell, tone: 'faint' as const } : cell;
      }),
    ]),
    note: `Differences of pairs of the same subject and seed; arrows count subjects; faint where the interval holds 0. ${oracleNote()}`,
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

/** Of the weights that the recipe takes, which are those at its end, is all that stands above. */
function stepCharts(rows: readonly ToyRow[], settings: PersonalizationSettings): Block[] {
  const { steps: end } = armSettings('class-images', settings);
  const mark = { x: end, name: `taken: ${end}` };
  const courses = (['class-images', 'no-prior'] as const).map((arm) => ({ arm, rows: courseOf(rows, arm) }));
  const losses = courses.map(({ arm, rows: own }): LineChart['series'][number] => {
    const all = own.flatMap((row) => row.losses ?? []);
    const steps = [...new Set(all.map(({ step }) => step))].sort((a, b) => a - b);
    const at = (step: number) => mean(all.filter((one) => one.step === step).map(({ loss }) => loss));
    return { name: arm, points: steps.map((step) => [step, at(step)] as const) };
  });
  const charts = (['CP', 'PF', 'PRES', 'LEAK', 'DIV'] as const).map(
    (measure): LineChart => ({
      kind: 'chart',
      title: `${measure}: ${measureWords[measure]}`,
      x: 'steps',
      y: measure,
      series: courses.map(({ arm, rows: own }) => ({
        name: arm,
        points: meansOver(own, ({ steps }) => steps ?? end, measure),
      })),
      mark,
    }),
  );
  const note: Block = { kind: 'text', text: oracleNote() };
  return [...charts, note, { kind: 'chart', title: 'Loss', x: 'steps', y: 'loss', series: losses, mark }];
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
  { kind: 'text', text: oracleNote() },
];

const subjectTable = (rows: readonly ToyRow[], subjects: readonly ToySubject[]): Table => {
  const own = subjects.map((toy) => ofArm(rows, 'class-images').filter((row) => isSame(row.toy, toy)));
  return {
    kind: 'table',
    columns: ['class-images', ...subjects.map(({ class: noun, seed }) => `${noun} ${seed}`)],
    rows: [
      ['runs', ...own.map((of) => String(of.length))],
      ...measures.map((measure) => [
        measure,
        ...own.map((of) => rounded(mean(of.map(({ report }) => report[measure])))),
      ]),
    ],
    note: oracleNote(),
  };
};

function pictures(
  rows: readonly ToyRow[],
  folder: string,
  subjects: readonly ToySubject[],
  shown: readonly ToyRow['arm'][],
): Section {
  const blocks = subjects.flatMap((toy) => {
    const name = `${toy.class} ${toy.seed}`;
    const sheets = shown.flatMap((arm): Block[] => {
      const own = ofArm(rows, arm).find((row) => isSame(row.toy, toy) && row.seed === 0);
      const file = own && sheetOf(own);
      if (file === undefined || !existsSync(join(folder, file))) return [];
      const png = readFileSync(join(folder, file));
      return [{ kind: 'picture', png, file, caption: `${name}, ${arm}` }];
    });
    return sheets.length === 0 ? [] : [{ kind: 'text', text: name } as const, ...sheets];
  });
  const text =
    blocks.length === 0
      ? 'There are none beside the rows.'
      : 'The first picture of each of the ten scenes; below them five with an accessory and five of the bare class. Seed 0.';
  return { heading: 'Pictures', blocks: [{ kind: 'text', text }, ...blocks] };
}
