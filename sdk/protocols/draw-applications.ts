/** A contact sheet for each of the paper's applications of a learned subject, gone on with wherever it stopped. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { makeFolders } from '../checkpoint/write-failure';
import { InvalidOptionError } from '../errors';
import { askedClauses, showsAsked } from '../evaluation/scene-prompts';
import { contactSheet } from '../images/contact-sheet';
import { encodePng } from '../images/png';
import { readImage } from '../images/read-image';
import { basePath, embeddedBase } from '../jobs/base-path';
import type { Engine } from '../jobs/engine';
import { oracleNote } from '../jobs/oracle-errors';
import type { RunOptions } from '../jobs/run-options';
import type { Block, Section } from '../reports/report';
import { fillPrompt, subjectWords } from '../subjects/prompt';
import { readSubject, type Subject } from '../subjects/subjects';
import { oracleIn } from '../work/scoring-encoders';
import { type ApplicationName, type ApplicationPrompt, applicationNames, applications } from './applications';
import { drawMissingFiles } from './draw-missing';
import { placeIn, writeReport } from './write-report';

export interface ApplicationsRequest {
  /** A subject's name in the engine's home. */
  readonly subject: string;
  /** Pictures and sheets are kept here, and gone on with. */
  readonly folder: string;
  /** Default: all. */
  readonly applications?: readonly ApplicationName[];
  /** Of each prompt, 1 to 16; default 4. */
  readonly pictures?: number;
  /** Of each prompt's first picture; picture i has `seed + i`. Default 0. */
  readonly seed?: number;
}

export interface DrawnApplication {
  readonly application: ApplicationName;
  readonly sheet: string;
  /** As the engine was asked, with `@name` for the subject. */
  readonly prompts: readonly { readonly prompt: string; readonly pictures: readonly DrawnPicture[] }[];
}

export interface DrawnPicture {
  readonly file: string;
  readonly seed: number;
  /** Whether it shows what its prompt asks for; the embedded world's oracle alone says so. */
  readonly asAsked?: boolean;
}

export interface DrawnApplications {
  readonly drawn: readonly DrawnApplication[];
  /** What the subject's base has neither pictures nor words for. */
  readonly leftOut: readonly ApplicationName[];
  /** `report.html`, `report.md` and `result.json`. */
  readonly files: readonly string[];
}

/**
 * `onSheet` is told each as it is done. On the embedded base what its world cannot express is left out. Rejects with
 * UnknownSubjectError, InvalidOptionError (among others where the folder holds pictures of another subject), and with
 * what `generate` of the engine does; pictures that were drawn stay.
 */
export async function drawApplications(
  engine: Engine,
  request: ApplicationsRequest,
  onSheet: (one: DrawnApplication) => void,
  run: RunOptions = {},
): Promise<DrawnApplications> {
  const { folder, applications: wanted = applicationNames, pictures = 4, seed = 0 } = request;
  const subject = readSubject(engine.home, request.subject);
  if (!Number.isSafeInteger(pictures) || pictures < 1 || pictures > 16)
    throw new InvalidOptionError('pictures', `pictures is ${pictures}: give a whole number from 1 to 16.`);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new InvalidOptionError('seed', `seed is ${seed}: give a whole number from 0 on.`);
  makeFolders(folder);
  holdFolder(folder, subject);

  const seeds = Array.from({ length: pictures }, (_, i) => seed + i);
  const drawn: DrawnApplication[] = [];
  const leftOut: ApplicationName[] = [];
  for (const application of wanted) {
    const prompts = promptsFor(subject, application);
    if (prompts.length === 0) {
      leftOut.push(application);
      continue;
    }
    const asked = prompts.map(({ text }) => ({
      text,
      request: { prompt: text.replaceAll('{subject}', `@${subject.name}`) },
      pictures: seeds.map((one) => ({
        seed: one,
        file: join(folder, application, `${fileName(text)}-${one}.png`),
      })),
    }));
    await drawMissingFiles(engine, asked, run);
    const rows = [];
    for (const { text, request, pictures: own } of asked)
      rows.push({ prompt: request.prompt, pictures: await readBy(engine, subject, text, own, run) });
    const one = { application, sheet: await writeSheet(folder, application, rows), prompts: rows };
    drawn.push(one);
    onSheet(one);
  }
  const files = reportApplications(subject, folder, { drawn, leftOut });
  return { drawn, leftOut, files };
}

/** Those that the subject's base may be asked for. */
function promptsFor({ base }: Subject, application: ApplicationName): ApplicationPrompt[] {
  return applications[application].prompts.filter(({ embedded }) => embedded || base.path !== embeddedBase);
}

const heldBy = z.object({ id: z.string(), name: z.string(), weights: z.array(z.string()) });
const holderFile = 'subject.json';

/** Pictures that are there are the subject's, learned as it is now. Throws InvalidOptionError where they are not. */
function holdFolder(folder: string, { id, name, files }: Subject): void {
  const file = join(folder, holderFile);
  const own = { id, name, weights: files.map(({ sha256 }) => sha256) };
  if (!existsSync(file)) {
    writeFileAtomically(file, [Buffer.from(`${JSON.stringify(own, null, 1)}\n`)]);
    return;
  }
  const there = heldBy.safeParse(parsed(readFileSync(file, 'utf8'))).data;
  if (JSON.stringify(there) === JSON.stringify(own)) return;
  throw new InvalidOptionError(
    'folder',
    `${folder} holds pictures of ${there === undefined ? 'something else' : `another subject or other weights, @${there.name}`}, and @${name} would be mixed with them: name another folder, or empty this one.`,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const fileName = (text: string): string =>
  text
    .replace(/ ?\{subject\}/, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-');

/** With what the oracle reads on them, where the subject's base has one. */
async function readBy(
  engine: Engine,
  subject: Subject,
  text: string,
  pictures: readonly DrawnPicture[],
  run: RunOptions,
): Promise<readonly DrawnPicture[]> {
  const encoder = oracleIn(basePath(subject.base.path));
  if (encoder === undefined) return pictures;
  const asked = askedClauses(fillPrompt(text, subject), subjectWords(subject));
  const files = pictures.map(({ file }) => file);
  const { clauses = [] } = await engine.embed({ encoder, pictures: files, texts: [] }, run);
  return pictures.map((picture, i) => {
    const asAsked = showsAsked(asked, clauses[i] ?? {});
    return asAsked === undefined ? picture : { ...picture, asAsked };
  });
}

const captionOf = ({ seed, asAsked }: DrawnPicture) =>
  `seed ${seed}${asAsked === false ? ', not as asked' : ''}`;

/** A row a prompt, its words at the left. */
async function writeSheet(
  folder: string,
  application: ApplicationName,
  prompts: DrawnApplication['prompts'],
): Promise<string> {
  const rows = [];
  for (const { prompt, pictures } of prompts) {
    const images = await Promise.all(pictures.map(({ file }) => readImage(file)));
    rows.push({ label: prompt, images, captions: pictures.map(captionOf) });
  }
  const isSmall = rows.every(({ images }) =>
    images.every(({ width, height }) => Math.max(width, height) <= 64),
  );
  const sheet = await contactSheet(rows, isSmall ? { cell: 128, scaling: 'nearest' } : { cell: 192 });
  const file = join(folder, `${application}.png`);
  writeFileAtomically(file, [await encodePng(sheet)]);
  return file;
}

const counted = (pictures: number) => (pictures === 1 ? 'one picture' : `${pictures} pictures`);

const sentence = (application: ApplicationName): string => {
  const { words } = applications[application];
  return `${words[0]!.toUpperCase()}${words.slice(1)}.`;
};

/** How many pictures are as they were asked for, where something tells. */
function shownOf(prompts: DrawnApplication['prompts']): Block[] {
  const told = prompts.flatMap(({ pictures }) => pictures.flatMap(({ asAsked }) => asAsked ?? []));
  if (told.length === 0) return [];
  const text = `${told.filter(Boolean).length} of ${told.length} pictures show what was asked for, by the embedded world's oracle. ${oracleNote()}`;
  return [{ kind: 'text', text }];
}

/** Prompts of these that the subject's base has no words for: what a base that knows photographs may be asked. */
function promptSections(asked: readonly ApplicationName[], subject: Subject): Section[] {
  const rows = asked.flatMap((application) => {
    const drawn = promptsFor(subject, application);
    const others = applications[application].prompts.filter((prompt) => !drawn.includes(prompt));
    return others.map(({ text }, i) => [
      i === 0 ? application : '',
      { text: text.replaceAll('{subject}', `@${subject.name}`), code: true as const },
    ]);
  });
  if (rows.length === 0) return [];
  return [
    { heading: 'For a base of photographs', blocks: [{ kind: 'table', columns: ['', 'prompt'], rows }] },
  ];
}

function reportApplications(
  subject: Subject,
  folder: string,
  { drawn, leftOut }: Pick<DrawnApplications, 'drawn' | 'leftOut'>,
): string[] {
  const sections = drawn.map(({ application, sheet, prompts }) => ({
    heading: application,
    blocks: [
      { kind: 'text', text: sentence(application) },
      ...shownOf(prompts),
      {
        kind: 'picture',
        png: readFileSync(sheet),
        file: `${application}.png`,
        caption: `${prompts.length} of ${applications[application].prompts.length} prompts, ${counted(prompts[0]!.pictures.length)} each; below each its seed`,
      },
    ] satisfies Block[],
  }));
  const without =
    leftOut.length === 0 ? '' : ` The base has neither pictures nor words for ${leftOut.join(' and ')}.`;
  const report = {
    title: `What can be done with @${subject.name}`,
    summary: `The applications of the paper, drawn as they came, none picked.${without}`,
    sections: [
      ...sections,
      ...promptSections([...drawn.map(({ application }) => application), ...leftOut], subject),
    ],
  };
  const { id, name, className, base, steps } = subject;
  const places = drawn.map((one) => ({
    ...one,
    sheet: placeIn(folder, one.sheet),
    prompts: one.prompts.map(({ prompt, pictures }) => ({
      prompt,
      pictures: pictures.map((picture) => ({ ...picture, file: placeIn(folder, picture.file) })),
    })),
  }));
  return writeReport(folder, report, {
    subject: { id, name, className, base, steps },
    drawn: places,
    leftOut,
  });
}
