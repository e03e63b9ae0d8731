/** DreamBench++ as a report: the published rows stand beside ours only where they may be compared. */
import type { Block, Report, Table } from '../../reports/report';
import { lineTable, namedValues } from '../../reports/tables';
import type { PresetName } from '../../training/presets';
import { protocolSheet } from '../protocol-sheet';
import { recipeRows } from '../recipe-rows';
import { writeReport } from '../write-report';
import {
  dreamBenchCaptions,
  dreamBenchCategories,
  dreamBenchPromptTypes,
  dreamBenchReferences,
} from './dreambench-data';
import type { DreamBenchEvaluation } from './dreambench-plus';
import { judgeQuestions, type RatedMean } from './judge-scores';
import { publishedJudge } from './openai-judge';

interface PublishedRow {
  readonly name: string;
  readonly base: string;
  readonly line: string;
  readonly CP: string;
  readonly PF: string;
  readonly product: string;
  /** CP of animal, human, object, style; PF of photorealistic, style, imaginative. */
  readonly parts: readonly string[];
  /** What it was learned with; null: with the base's own. */
  readonly autoencoder: PublishedAutoencoder | null;
}

interface PublishedAutoencoder {
  readonly name: string;
  /** sha256 of its weights, in each form in which they are published. */
  readonly hashes: readonly string[];
}

const halfPrecisionAutoencoder: PublishedAutoencoder = {
  name: 'madebyollin/sdxl-vae-fp16-fix',
  hashes: [
    // diffusion_pytorch_model.safetensors
    '1b909373b28f2137098b0fd9dbc6f97f8410854f31f84ddc9fa04b077b0ace2c',
    // sdxl_vae.safetensors, the same in the original code's names
    '235745af8d86bf4a4c1b5b4f529868b37019a10f7c0b2e79ad0abca3a22bc6e1',
  ],
};

/** The leaderboard's two rows of DreamBooth, by the preset that repeats each. */
const published: Readonly<Partial<Record<PresetName, PublishedRow>>> = {
  'dreambench-plus-sd15': {
    name: 'DreamBooth',
    base: 'Stable Diffusion 1.5',
    line: 'SD 1',
    CP: '0.494',
    PF: '0.721',
    product: '0.356',
    parts: ['0.640', '0.199', '0.488', '0.476', '0.789', '0.775', '0.504'],
    autoencoder: null,
  },
  'dreambench-plus-sdxl-lora': {
    name: 'DreamBooth LoRA',
    base: 'Stable Diffusion XL 1.0',
    line: 'SDXL',
    CP: '0.598',
    PF: '0.865',
    product: '0.517',
    parts: ['0.751', '0.311', '0.543', '0.718', '0.898', '0.895', '0.754'],
    autoencoder: halfPrecisionAutoencoder,
  },
};

const publishedRuns = 3;
const publishedTemperature = 1;
/** Who serves the published judge; any other endpoint may give its name to what it likes. */
const publishedHosts = /(^|\.)(openai\.com|openai\.azure\.com)$/;

/** Writes what was rated into `folder`, as HTML, Markdown and JSON. Throws DiskFullError. */
export async function reportDreamBench(
  evaluation: DreamBenchEvaluation,
  folder: string,
): Promise<{ readonly files: readonly string[] }> {
  const { about, gaps, scores, spent, stopped, pictures, answers } = evaluation;
  const incomparable = incomparabilities(evaluation);
  const counts = { pictures: pictures.length, answers: answers.length };
  const result = {
    about,
    scores,
    incomparable,
    remarks: remarks(evaluation),
    gaps,
    spent,
    stopped,
    ...counts,
    ratings: answers.map(rating),
  };
  const sheets = await sheetOf(evaluation, folder);
  return { files: writeReport(folder, dreamBenchReport(evaluation, sheets), result) };
}

/** One of each kind of prompt: photorealistic, of a style, imaginative. */
const shownCaptions = [0, 4, 7];

/** A row a reference: a picture of each kind of prompt. */
function sheetOf({ pictures }: DreamBenchEvaluation, folder: string): Promise<Block[]> {
  const references = [...new Set(pictures.map(({ reference }) => reference))];
  const rows = references.map((reference) => ({
    label: reference,
    pictures: pictures
      .filter((picture) => picture.reference === reference && shownCaptions.includes(picture.prompt))
      .map(({ file, caption }) => ({ file, text: caption })),
  }));
  return protocolSheet(folder, 'sheet.png', rows, 'A picture of each kind of prompt.');
}

const rating = ({
  reference,
  prompt,
  question,
  run,
  score,
  why,
}: DreamBenchEvaluation['answers'][number]) => ({
  reference,
  prompt,
  question,
  run,
  score,
  why,
});

/** Exported for its test. */
export function dreamBenchReport(evaluation: DreamBenchEvaluation, sheets: readonly Block[] = []): Report {
  const { about, gaps, pictures } = evaluation;
  const judge = about.judge === null ? 'nobody has judged' : `judged by ${about.judge.model}`;
  return {
    title: 'DreamBench++',
    summary: `${about.references} of ${dreamBenchReferences} references, each learned from one picture, ${pictures.length} pictures; ${judge}. CP: is it the subject? PF: does it show what the text says? Both from 0 to 1.`,
    sections: [
      { heading: 'Scores', blocks: [scoreTable(evaluation)] },
      { heading: 'By category and kind of prompt', blocks: [partTable(evaluation)] },
      {
        heading: 'What keeps these from being the published figures',
        blocks: [
          lineTable(incomparabilities(evaluation)),
          ...(besides(evaluation) ? [] : [{ kind: 'text', text: remarks(evaluation) } as const]),
        ],
      },
      { heading: 'Without a score', blocks: [noScoreTable(evaluation)] },
      { heading: 'Gaps', blocks: [lineTable(gaps)] },
      ...(sheets.length > 0 ? [{ heading: 'Pictures', blocks: sheets }] : []),
      { heading: 'How it was made', blocks: [madeTable(evaluation)] },
    ],
  };
}

/** Why the published row may not stand beside ours; empty: it may. Exported for its test. */
export function incomparabilities({ about, answers, pictures, stopped }: DreamBenchEvaluation): string[] {
  const found: string[] = [];
  if (about.judge === null) return ['Nobody has judged.'];
  const { endpoint, model, runs, temperature } = about.judge;
  const { host, hostname } = new URL(endpoint);
  const answered = [...new Set(answers.flatMap((answer) => answer.model ?? []))];
  const others = answered.filter((name) => name !== publishedJudge);
  if (model !== publishedJudge) found.push(`The judge is ${model}; published: ${publishedJudge}.`);
  else if (others.length > 0)
    found.push(`The endpoint says that ${others.join(', ')} answered; published: ${publishedJudge}.`);
  else if (!publishedHosts.test(hostname))
    found.push(`Judged by ${host}, which may call any model ${publishedJudge}; published: by OpenAI's.`);
  if (temperature !== publishedTemperature)
    found.push(`The judge answers at temperature ${temperature}; published: ${publishedTemperature}.`);
  if (runs !== publishedRuns)
    found.push(
      `Figures are means of ${runs} ${runs === 1 ? 'run' : 'runs'}; published: of ${publishedRuns}.`,
    );
  const row = published[about.preset];
  if (row === undefined)
    found.push(`Learned by the preset ${about.preset}; published: ${Object.keys(published).join(' and ')}.`);
  else if (about.line !== row.line)
    found.push(
      `The base, ${about.base}, is ${about.line ?? 'of no line that is known'}; published: ${row.base}.`,
    );
  if (row !== undefined) found.push(...otherAutoencoder(about, row));
  if (Object.keys(about.settings).length > 0)
    found.push(`Settings other than the preset's: ${namedValues(about.settings)}.`);
  if (!about.complete) found.push('References are missing, left out, or not those that were published.');
  const whole = dreamBenchReferences * dreamBenchCaptions;
  const rated = ratedThroughout(answers, runs);
  if (pictures.length !== whole || rated !== whole)
    found.push(
      `${rated} pictures have both scores in every run; published: ${whole}, which is ${dreamBenchReferences} × ${dreamBenchCaptions}.${stopped === null ? '' : ` It ended early: ${stopped}.`}`,
    );
  const without = answers.filter(({ score }) => score === null).length;
  if (without > 0) found.push(`${without} of ${answers.length} questions have no score.`);
  return found;
}

/** A sentence, or none. What it was drawn with is settled by the protocol. */
function otherAutoencoder(
  { vae, vaeHash }: DreamBenchEvaluation['about'],
  { autoencoder }: PublishedRow,
): string[] {
  if (autoencoder === null)
    return vae === null
      ? []
      : [`Learned and drawn with the autoencoder ${vae}; published: with that of the base.`];
  const { name, hashes } = autoencoder;
  if (vae === null) return [`Learned with the autoencoder of the base; published: with ${name} (--vae).`];
  return vaeHash !== null && hashes.includes(vaeHash)
    ? []
    : [
        `Learned with the autoencoder ${vae}, whose file is not known as one of ${name}; published: with that.`,
      ];
}

/** How many pictures have a score for both questions in each run. */
function ratedThroughout(answers: DreamBenchEvaluation['answers'], runs: number): number {
  const counts = new Map<string, number>();
  for (const { reference, prompt, score } of answers) {
    if (score === null) continue;
    const picture = `${reference} ${prompt}`;
    counts.set(picture, (counts.get(picture) ?? 0) + 1);
  }
  return [...counts.values()].filter((count) => count === runs * judgeQuestions.length).length;
}

const ownWords =
  "The judge's instructions are this package's own words, in the structure and by the criteria and scale of the published ones.";

/** What is to be known even where rows stand side by side. */
function remarks({ about }: DreamBenchEvaluation): string {
  const row = published[about.preset];
  return [
    ownWords,
    'Each picture is drawn from its own noise of seed 42; published: all from one generator that began with it, in half precision.',
    row === undefined || row.line !== about.line
      ? ''
      : `The published row was learned on ${row.base}; here it is ${about.base}, which is taken for that on the caller's word, as pictures and captions are for those that were published.`,
    'Both recipes learn from one picture, without an identifier and without prior preservation: they are not the paper’s DreamBooth.',
  ]
    .filter((line) => line !== '')
    .join(' ');
}

const figure = ({ mean, sd }: RatedMean) =>
  mean === null ? 'not measured' : `${mean.toFixed(3)}${sd === null ? '' : ` ± ${sd.toFixed(4)}`}`;

/** Said in the row itself: what stands there is not all that keeps the two apart. */
const publishedWords = 'published, by the judge instructed in other words:';

/** The published row of the preset, where it may stand beside ours. */
const besides = (evaluation: DreamBenchEvaluation): PublishedRow | undefined =>
  incomparabilities(evaluation).length === 0 ? published[evaluation.about.preset] : undefined;

function scoreTable(evaluation: DreamBenchEvaluation): Table {
  const { CP, PF, product } = evaluation.scores;
  const row = besides(evaluation);
  return {
    kind: 'table',
    columns: ['', 'CP', 'PF', 'CP·PF'],
    rows: [
      ['here', figure(CP), figure(PF), product === null ? 'not measured' : product.toFixed(3)],
      ...(row ? [[`${publishedWords} ${row.name}, ${row.base}`, row.CP, row.PF, row.product]] : []),
    ],
    note: `Means over pictures, then over whole runs, ± standard deviation of the runs; CP·PF is the product of the two as they are rounded. ${row ? remarks(evaluation) : 'No published row stands here: the section below says why.'}`,
  };
}

function partTable(evaluation: DreamBenchEvaluation): Table {
  const { byCategory, byPromptType } = evaluation.scores;
  const categories = Object.keys(dreamBenchCategories) as (keyof typeof dreamBenchCategories)[];
  const row = besides(evaluation);
  return {
    kind: 'table',
    columns: [
      '',
      ...categories.map((name) => `CP ${name}`),
      ...dreamBenchPromptTypes.map((name) => `PF ${name}`),
    ],
    rows: [
      [
        'here',
        ...categories.map((name) => figure(byCategory[name])),
        ...dreamBenchPromptTypes.map((name) => figure(byPromptType[name])),
      ],
      ...(row ? [[`${publishedWords} ${row.name}`, ...row.parts]] : []),
    ],
    ...(row && { note: ownWords }),
  };
}

const noScoreTable = ({ answers, scores }: DreamBenchEvaluation): Table => ({
  kind: 'table',
  columns: ['', 'questions'],
  rows: [
    ['rated', String(answers.filter(({ score }) => score !== null).length)],
    ['the judge refused', String(scores.noScore.refusal)],
    ['no one score in the answer', String(scores.noScore.prose)],
    ['no answer in time', String(scores.noScore['time-out'])],
  ],
  note: 'What has no score is part of no mean.',
});

function madeTable({ about, spent }: DreamBenchEvaluation): Table {
  const { drawing, drawn, seed, judge, versions } = about;
  return {
    kind: 'table',
    columns: ['', ''],
    rows: [
      ...recipeRows(about),
      ['drawn by', namedValues({ ...drawing, ...drawn, seed })],
      ['judge', judge === null ? 'none' : namedValues(judge)],
      [
        'cost of judging, by all judges in this folder',
        spent === null ? 'not known' : `$${spent.toFixed(2)}`,
      ],
      ['versions', namedValues(versions)],
    ],
  };
}
