/** The paper's evaluation as a report: our figures beside the published ones, and what keeps them from being the same. */
import { bootstrap, type Interval, signCounts } from '../../evaluation/statistics';
import type { Block, Report, Table } from '../../reports/report';
import { lineTable, namedValues } from '../../reports/tables';
import { effectiveSettings, type TrainingSettings } from '../../training/presets';
import { classImageScheduler } from '../../work/class-images';
import { preparationWords, published } from '../../work/picture-preparation';
import { protocolSheet } from '../protocol-sheet';
import { recipeRows } from '../recipe-rows';
import { writeReport } from '../write-report';
import { type PaperEncoderKind, type PaperMeasure, type PaperMetric, paperMetrics } from './paper-measures';
import { paperSubjects } from './paper-prompts';
import type { PaperEvaluation } from './paper-protocol';
import type { PaperArm } from './paper-trial';

const notMeasured = 'not measured';

/** Ruiz et al. 2023, table 1: DINO, CLIP-I, CLIP-T. */
const table1: readonly (readonly [string, string, string, string])[] = [
  ['published: real images', '0.774', '0.885', ''],
  ['published: DreamBooth, Imagen', '0.696', '0.812', '0.306'],
  ['published: DreamBooth, Stable Diffusion', '0.668', '0.803', '0.305'],
  ['published: Textual Inversion, Stable Diffusion', '0.569', '0.780', '0.255'],
];
/** Table 3, on Imagen: PRES, DIV, DINO, CLIP-I, CLIP-T. */
const table3: readonly (readonly [string, ...string[]])[] = [
  ['published: with prior preservation', '0.493', '0.391', '0.684', '0.815', '0.308'],
  ['published: without', '0.664', '0.371', '0.712', '0.828', '0.306'],
];
const armWords: Readonly<Record<PaperArm, string>> = {
  images: 'here: with class images',
  none: 'here: without prior preservation',
};

/** Mean over subjects, with the interval in which it would fall over others. */
const over = (measures: readonly PaperMeasure[], metric: PaperMetric): Interval =>
  bootstrap(measures.map(({ values }) => (values[metric] === null ? [] : [values[metric]])));

const figure = (value: number | null) => (value === null ? notMeasured : value.toFixed(3));
/** Of one subject there is nothing to be said about others. */
const shown = ({ mean, low, high, count }: Interval) =>
  count < 2
    ? figure(count === 0 ? null : mean)
    : `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;

/** Writes what was measured into `folder`, as HTML, Markdown and JSON. Throws DiskFullError. */
export async function reportPaper(
  evaluation: PaperEvaluation,
  folder: string,
): Promise<{ readonly files: readonly string[] }> {
  const { about, gaps, measures, pictures } = evaluation;
  const means = about.arms.map((arm) => {
    const own = measures.filter((measure) => measure.arm === arm);
    const metrics = Object.keys(paperMetrics) as PaperMetric[];
    const values = metrics.map((metric) => {
      const { count, mean } = over(own, metric);
      return [metric, count === 0 ? null : mean] as const;
    });
    return { arm, subjects: own.length, values: Object.fromEntries(values) };
  });
  const differs = differences(evaluation);
  const result = { about, differs, gaps, means, measures, pictures: pictures.length };
  const sheets = await Promise.all(about.arms.map((arm) => sheetOf(evaluation, arm, folder)));
  return { files: writeReport(folder, paperReport(evaluation, sheets.flat()), result) };
}

/** Of a subject's list of 25: two places, what may stand in for other places, a property, a shape. */
const shownPrompts = [0, 5, 10, 15, 20, 24];

/** A row a subject: the first picture of some prompts, and of the bare class. */
function sheetOf({ about, pictures }: PaperEvaluation, arm: PaperArm, folder: string): Promise<Block[]> {
  const rows = about.subjects.map((subject) => {
    const own = pictures.filter((picture) => picture.subject === subject && picture.arm === arm);
    const firsts = [...shownPrompts, null].flatMap(
      (prompt) => own.find((picture) => picture.prompt === prompt) ?? [],
    );
    return { label: subject, pictures: firsts };
  });
  return protocolSheet(
    folder,
    `sheet-${arm}.png`,
    rows,
    `${armWords[arm]}, the first picture of some prompts.`,
  );
}

/** Exported for its test. */
export function paperReport(evaluation: PaperEvaluation, sheets: readonly Block[] = []): Report {
  const { about, gaps, measures } = evaluation;
  const both = about.arms.length > 1;
  return {
    title: "The paper's protocol",
    summary: `${about.subjects.length} of ${paperSubjects.length} subjects of Ruiz et al. 2023, 25 prompts each, ${about.pictures} pictures a prompt. Figures are means over subjects with 95 % bootstrap intervals; published figures are the paper's.`,
    sections: [
      { heading: 'Beside table 1', blocks: [firstTable(evaluation)] },
      {
        heading: 'Beside table 3: prior preservation',
        blocks: [thirdTable(evaluation), ...(both ? [pairedTable(evaluation)] : [])],
      },
      { heading: 'What differs from the paper', blocks: [lineTable(differences(evaluation))] },
      { heading: 'Gaps', blocks: [lineTable(gaps)] },
      ...about.arms.map((arm) => ({
        heading: `Subject by subject, ${armWords[arm].replace('here: ', '')}`,
        blocks: [
          subjectTable(
            about,
            measures.filter((measure) => measure.arm === arm),
          ),
        ],
      })),
      ...(sheets.length > 0 ? [{ heading: 'Pictures', blocks: sheets }] : []),
      { heading: 'How it was made', blocks: [settingsTable(evaluation)] },
    ],
  };
}

function firstTable({ about, measures }: PaperEvaluation): Table {
  const first = measures.filter(({ arm }) => arm === about.arms[0]);
  return {
    kind: 'table',
    columns: ['', 'subjects', 'DINO', 'CLIP-I', 'CLIP-T'],
    rows: [
      ...table1.map(([name, ...figures]) => [name, '30', ...figures]),
      [
        'here: pictures of the dataset among themselves',
        String(first.length),
        shown(over(first, 'photos DINO')),
        shown(over(first, 'photos CLIP-I')),
        '',
      ],
      ...about.arms.map((arm) => {
        const own = measures.filter((measure) => measure.arm === arm);
        const cells = (['DINO', 'CLIP-I', 'CLIP-T'] as const).map((metric) => shown(over(own, metric)));
        return [armWords[arm], String(own.length), ...cells];
      }),
    ],
    note: 'DINO above that of the real pictures among themselves means that pictures were copied, not that the subject was kept better.',
  };
}

const thirdTable = ({ about, measures }: PaperEvaluation): Table => ({
  kind: 'table',
  columns: ['', 'subjects', 'PRES (lower is better)', 'DIV (higher is better)', 'DINO', 'CLIP-I', 'CLIP-T'],
  rows: [
    ...table3.map(([name, ...figures]) => [name, '15', ...figures]),
    ...about.arms.map((arm) => {
      const own = measures.filter((measure) => measure.arm === arm);
      const cells = (['PRES', 'DIV', 'DINO', 'CLIP-I', 'CLIP-T'] as const).map((metric) =>
        shown(over(own, metric)),
      );
      return [armWords[arm], String(own.length), ...cells];
    }),
  ],
});

/** What prior preservation changes, subject by subject. */
function pairedTable({ measures }: PaperEvaluation): Table {
  const pairs = measures.flatMap((without) => {
    const kept = measures.find(({ arm, subject }) => arm === 'images' && subject === without.subject);
    return without.arm === 'none' && kept ? [{ kept, without }] : [];
  });
  return {
    kind: 'table',
    columns: ['without − with', 'subjects', 'difference', 'up', 'down', 'published'],
    rows: (['PRES', 'DIV', 'DINO', 'CLIP-I', 'CLIP-T'] as const).map((metric, i) => {
      const both = pairs.flatMap(({ kept, without }): [number, number][] => {
        const [from, to] = [kept.values[metric], without.values[metric]];
        return from === null || to === null ? [] : [[from, to]];
      });
      const { greater, smaller } = signCounts(both);
      const published = Number(table3[1]![i + 1]) - Number(table3[0]![i + 1]);
      return [
        metric,
        String(both.length),
        shown(bootstrap(both.map(([from, to]) => [to - from]))),
        String(greater),
        String(smaller),
        published.toFixed(3),
      ];
    }),
  };
}

const subjectTable = (
  { identifiers }: PaperEvaluation['about'],
  measures: readonly PaperMeasure[],
): Table => {
  const metrics = Object.keys(paperMetrics) as PaperMetric[];
  return {
    kind: 'table',
    columns: ['', 'class', 'identifier', 'photos', 'pictures', 'of the class', ...metrics],
    rows: measures.map(({ subject, values, photos, pictures, classPictures }) => [
      subject,
      paperSubjects.find(({ name }) => name === subject)!.className,
      identifiers[subject] ?? '–',
      String(photos),
      String(pictures),
      String(classPictures),
      ...metrics.map((metric) => figure(values[metric])),
    ]),
  };
};

function settingsTable({ about, measures }: PaperEvaluation): Table {
  const { seed, drawn, classPictures, withIdentifier, versions } = about;
  return {
    kind: 'table',
    columns: ['', ''],
    rows: [
      ...recipeRows(about),
      ['seed of the trainings', String(seed)],
      ['drawn by', drawn === null ? 'not known' : namedValues(drawn)],
      ['pictures of the bare class', String(classPictures)],
      ['CLIP-T compares with', withIdentifier ? 'the prompt as drawn' : 'the prompt without the identifier'],
      ...(Object.entries(encodersOf(measures)) as [PaperEncoderKind, string][]).map(([kind, words]) => [
        `encoder ${kind}`,
        words,
      ]),
      ['versions', namedValues(versions)],
    ],
  };
}

const encodersOf = (measures: readonly PaperMeasure[]): Partial<Record<PaperEncoderKind, string>> =>
  Object.assign({}, ...measures.map(({ encoders }) => encoders));

/** What keeps a row of ours from being the paper's. Exported for its test. */
export function differences({ about, gaps, measures }: PaperEvaluation): string[] {
  const { base, vae, preset, settings, arms, subjects, identifiers, pictures, drawing, withIdentifier } =
    about;
  const { classGuidanceScale } = effectiveSettings(preset, settings as Partial<TrainingSettings>);
  const encoders = encodersOf(measures);
  const measured = new Set(measures.map(({ subject }) => subject)).size;
  const lines = [
    `Base: ${base}. The paper names Imagen and Stable Diffusion, and no version of it; table 3 is of Imagen.`,
    'The paper states no sampler, steps or guidance of the pictures that are compared, no batch size and no optimiser: those here, of the preset and the base, are in the last table.',
    ...(arms.includes('images')
      ? [
          `Class images are drawn by ${classImageScheduler}, which adds no noise on the way, at guidance ${classGuidanceScale}; the paper: by an ancestral sampler, its steps and guidance not stated.`,
        ]
      : []),
    ...(Object.keys(identifiers).length > 0
      ? [
          "Identifiers are rare words of the base's tokenizer, one a subject, named in the tables below; the paper's are not published.",
        ]
      : []),
    encoders.dino === undefined
      ? 'DINO and PRES are not measured: no encoder was given.'
      : `DINO and PRES by ${encoders.dino}; the paper: ViT-S/16 (12 layers of 384), which DINO's own code gives ${preparationWords(published.dino)}.`,
    encoders.clip === undefined
      ? 'CLIP-I and CLIP-T are not measured: no encoder was given.'
      : `CLIP-I and CLIP-T by ${encoders.clip}; the paper does not say which CLIP it took.`,
    encoders.lpips === undefined
      ? 'DIV is not measured: no encoder was given.'
      : `DIV by ${encoders.lpips}; the paper does not say which network it took.`,
    withIdentifier
      ? 'CLIP-T compares with the prompt, identifier and all; the paper does not say.'
      : 'CLIP-T compares with the prompt without the identifier; the paper does not say.',
  ];
  if (measured < paperSubjects.length || subjects.length < paperSubjects.length)
    lines.push(`${measured} subjects were measured; table 1 is of 30, table 3 of 15 that are not named.`);
  if (preset !== 'paper') lines.push(`Learned by the preset ${preset}, not paper.`);
  if (vae !== null) lines.push(`The autoencoder is ${vae}, not that of the base.`);
  if (Object.keys(drawing).length > 0)
    lines.push(`Drawn with ${namedValues(drawing)}, whatever preset and base say.`);
  if (Object.keys(settings).length > 0)
    lines.push(`Settings other than the preset's: ${namedValues(settings)}.`);
  if (pictures !== 4) lines.push(`${pictures} pictures a prompt; the paper: 4.`);
  if (gaps.length > 0) lines.push(`${gaps.length} gaps, listed below.`);
  return lines;
}
