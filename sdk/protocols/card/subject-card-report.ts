/** The card of a subject as lines, and as a report with every picture beside the photo most like it. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type ContactSheetRow, contactSheet } from '../../images/contact-sheet';
import { writePng } from '../../images/png';
import { readImage } from '../../images/read-image';
import { packageVersions } from '../../jobs/versions';
import type { Block, LineChart, Report, Section, Table } from '../../reports/report';
import type { SampleScores } from '../../work/sample-scores';
import { placeIn, writeReport } from '../write-report';
import type { Measured } from './card-figures';
import { courseScenes } from './card-pictures';
import type { SubjectCard } from './subject-card';

const sheetFile = 'contact-sheet.png';

/** Writes the card into `folder`, as HTML, Markdown and JSON, with a contact sheet. Returns the paths. Throws DiskFullError. */
export async function reportSubject(card: SubjectCard, folder: string): Promise<readonly string[]> {
  const target = resolve(folder);
  const sheet = join(target, sheetFile);
  await writePng(sheet, await nearestSheet(card));
  const result = { versions: packageVersions(), ...withPlaces(card, target) };
  return [...writeReport(target, reportOf(card, target), result), sheet];
}

/** The figures, a line each: name, value, and where it lies between what comes of itself and what can be reached. */
export function cardLines({
  figures,
  instruments,
  oracle,
  course,
  best,
  notMeasured,
}: SubjectCard): string[] {
  const { identity, promptFollowing, leakage } = figures;
  const line = (name: string, value: string, words: string) => `${name.padEnd(18)}${value.padEnd(8)}${words}`;
  // As the course has it: by its share where that is known.
  const part = (value: number | null, { anchors }: Measured) =>
    value === null || anchors === null ? shown(value) : percent(value);
  return [
    line('identity', shown(identity.value), anchored(identity, 'anyone of its class', 'its own photos')),
    line(
      'prompt following',
      shown(promptFollowing.value),
      anchored(promptFollowing, 'whatever is asked', 'the base'),
    ),
    line('class leakage', shown(leakage.value), anchored(leakage, 'as in the base', 'the subject itself')),
    line('diversity', shown(figures.diversity), `between pictures of one scene, by ${instruments.diversity}`),
    line(
      'of the class',
      shown(figures.classDiversity),
      `between pictures of the bare class; in the base ${shown(figures.baseClassDiversity)}`,
    ),
    line(
      'nearest photo',
      shown(figures.nearestLikeness),
      `mean likeness by ${instruments.likeness}; a photo to the next ${shown(figures.photoLikeness)}`,
    ),
    line('nearly a photo', figures.copies === null ? '–' : percent(figures.copies), 'of the pictures'),
    ...course.map(({ steps, score, identity: is, promptFollowing: follows }) =>
      line(
        `step ${steps}`,
        shown(score),
        `identity ${part(is, identity)}, prompt following ${part(follows, promptFollowing)}${steps === best ? ', the best (a tenth is chance)' : ''}`,
      ),
    ),
    ...(oracle === null ? [] : [oracle]),
    ...notMeasured,
  ];
}

function reportOf(card: SubjectCard, folder: string): Report {
  const { subject, advice, notMeasured } = card;
  const { name, className, steps, base, photos } = subject;
  return {
    title: `How well @${name} was learned`,
    summary: `A ${className}, learned from ${photos.length === 1 ? 'one photo' : `${photos.length} photos`} in ${steps} steps on ${base}. Figures are of a few pictures, by the encoders that are named; they compare with each other and with no published table.`,
    sections: [
      {
        heading: 'What to do next',
        blocks: [
          advice.length === 0
            ? { kind: 'text', text: 'Nothing can be advised by what was measured.' }
            : {
                kind: 'table',
                columns: ['', 'what was seen', 'next'],
                rows: advice.map(({ finding, words, command }) => [
                  finding.replaceAll('-', ' '),
                  words,
                  { text: command, code: true },
                ]),
              },
          ...notMeasured.map((text): Block => ({ kind: 'text', text })),
        ],
      },
      { heading: 'Figures', blocks: [figureTable(card)] },
      ...(card.course.length > 0 ? [courseSection(card)] : []),
      ...trainingSections(card),
      { heading: 'Pictures and the photos most like them', blocks: pictureBlocks(card, folder) },
    ],
  };
}

function figureTable({ figures, instruments, oracle }: SubjectCard): Table {
  const { identity, promptFollowing, leakage } = figures;
  const row = (name: string, { value, anchors, share }: Measured, by: string | null) => [
    name,
    shown(value),
    shown(anchors?.floor ?? null),
    shown(anchors?.ceiling ?? null),
    share === null ? '–' : percent(share),
    by ?? 'not measured',
  ];
  const plain = (name: string, value: number | null, reached: number | null, by: string) => [
    name,
    shown(value),
    '',
    shown(reached),
    '',
    by,
  ];
  return {
    kind: 'table',
    columns: ['', 'measured', 'comes of itself', 'can be reached', 'share', 'by'],
    rows: [
      row('identity', identity, instruments.identity),
      row('prompt following', promptFollowing, instruments.promptFollowing),
      row('class leakage (PRES), lower is better', leakage, instruments.identity),
      plain('diversity', figures.diversity, null, instruments.diversity),
      plain(
        'diversity of the bare class',
        figures.classDiversity,
        figures.baseClassDiversity,
        instruments.diversity,
      ),
      plain(
        'likeness to the nearest photo',
        figures.nearestLikeness,
        figures.photoLikeness,
        instruments.likeness,
      ),
      plain('share of pictures that are nearly a photo', figures.copies, null, instruments.likeness),
      plain('identity × prompt following, by their shares', figures.score, 1, ''),
    ],
    note: `Identity comes of itself as anyone of its class has it in the base, and can be as high as among the photos; prompts are followed of themselves as the photos do, and as well as the base follows them; the likeness of a picture to a photo can be as high as a photo has it to the next.${oracle === null ? '' : ` ${oracle}`}`,
  };
}

function courseSection({ course, best, subject, figures }: SubjectCard): Section {
  const line = (name: string, of: (point: SubjectCard['course'][number]) => number | null) => ({
    name,
    points: course.flatMap((point): [number, number][] => {
      const value = of(point);
      return value === null ? [] : [[point.steps, value]];
    }),
  });
  const isAgainstOne = figures.identity.value !== null && figures.identity.anchors === null;
  const chart: LineChart = {
    kind: 'chart',
    title: `By the first ${courseScenes} scenes, one picture each: a difference of a tenth is chance.`,
    x: 'steps',
    y: isAgainstOne ? 'as measured, against one photo' : 'share of what can be reached',
    series: [
      line('identity × prompt following', ({ score }) => score),
      line('identity', ({ identity }) => identity),
      line('prompt following', ({ promptFollowing }) => promptFollowing),
    ].filter(({ points }) => points.length > 0),
    ...(best === null ? {} : { mark: { x: best, name: `best: ${best}` } }),
  };
  const blocks: Block[] =
    chart.series.length > 0
      ? [chart]
      : [
          {
            kind: 'text',
            text: `Weights were kept on the way to step ${subject.steps}, and nothing here tells which are better.`,
          },
        ];
  return { heading: 'Over the steps', blocks };
}

/** Loss, and identity and prompt following of the samples, with the step whose weights it has. */
function trainingSections({ training, subject }: SubjectCard): Section[] {
  if (training === null) return [];
  const { window, losses, scores } = training;
  const mark = { x: subject.steps, name: `its weights: ${subject.steps}` };
  const line = (name: string, of: (one: SampleScores) => number) => ({
    name,
    points: scores.map((one): [number, number] => [one.step, of(one)]),
  });
  const loss: LineChart = {
    kind: 'chart',
    title: window === 1 ? 'Loss of each step' : `Loss, the mean of ${window} steps each`,
    x: 'steps',
    y: 'loss',
    series: [{ name: 'loss', points: losses.map((one): [number, number] => [one.step, one.loss]) }],
    mark,
  };
  const samples: LineChart = {
    kind: 'chart',
    title: 'Samples, by which it was decided',
    x: 'steps',
    y: 'score',
    series: [
      line('identity × prompt following', ({ score }) => score),
      line('identity', ({ identity }) => identity),
      line('prompt following', ({ promptFollowing }) => promptFollowing),
    ],
    mark,
  };
  return [{ heading: 'While it was learned', blocks: [loss, ...(scores.length > 0 ? [samples] : [])] }];
}

function pictureBlocks({ scenes, subject, class: ofClass }: SubjectCard, folder: string): Block[] {
  const rows = scenes.flatMap(({ prompt, pictures }) =>
    pictures.map(({ file, seed, identity, promptFollowing, nearest }) => [
      placeIn(folder, file),
      prompt,
      String(seed),
      shown(identity),
      shown(promptFollowing),
      subject.photos.find(({ file }) => file === nearest.photo)!.name,
      shown(nearest.likeness),
    ]),
  );
  return [
    {
      kind: 'picture',
      png: readFileSync(join(folder, sheetFile)),
      file: sheetFile,
      caption: `Each picture, then the photo of @${subject.name} most like it${ofClass.length > 0 ? `; below, the bare class by the subject's weights` : ''}.`,
    },
    {
      kind: 'table',
      columns: ['picture', 'prompt', 'seed', 'identity', 'prompt following', 'nearest photo', 'likeness'],
      rows,
    },
  ];
}

/** Each picture before the photo most like it. */
async function nearestSheet({ scenes, class: ofClass, subject }: SubjectCard) {
  const rows: ContactSheetRow[] = [];
  for (const { prompt, pictures } of scenes) {
    const pairs = pictures.flatMap(({ file, nearest }) => [file, nearest.photo]);
    rows.push({
      label: prompt,
      images: await Promise.all(pairs.map((file) => readImage(file))),
      captions: pictures.flatMap(({ nearest }) => ['', `nearest photo: ${shown(nearest.likeness)}`]),
    });
  }
  // No row is longer than the others, or all would be shown smaller.
  const wide = Math.max(...rows.map(({ images }) => images.length));
  for (let first = 0; first < ofClass.length; first += wide)
    rows.push({
      label: first === 0 ? `"${subject.className}" alone` : '',
      images: await Promise.all(ofClass.slice(first, first + wide).map(({ file }) => readImage(file))),
    });
  const small = rows.every(({ images }) => images.every(({ width, height }) => width * height <= 128 ** 2));
  return contactSheet(rows, { scaling: small ? 'nearest' : 'lanczos' });
}

/** The same with files as the report beside them finds them. */
const withPlaces = (card: SubjectCard, folder: string): SubjectCard => {
  const place = <Picture extends { readonly file: string }>(picture: Picture): Picture => ({
    ...picture,
    file: placeIn(folder, picture.file),
  });
  return {
    ...card,
    scenes: card.scenes.map((scene) => ({
      ...scene,
      pictures: scene.pictures.map(place),
      base: scene.base.map(place),
    })),
    class: card.class.map(place),
  };
};

const shown = (value: number | null) => (value === null ? '–' : value.toFixed(2));
const percent = (share: number) => `${Math.round(100 * share)} %`;

const anchored = ({ anchors, share }: Measured, floor: string, ceiling: string) =>
  anchors === null
    ? 'not measured between two ends'
    : `${floor} ${shown(anchors.floor)}, ${ceiling} ${shown(anchors.ceiling)}${share === null ? '; the two cannot be told apart' : `: ${percent(share)} of the way`}`;
