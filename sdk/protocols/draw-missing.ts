/** Pictures of a protocol, drawn where they are not there: as files, or as files that a row tells of. */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../jobs/engine';
import type { GeneratedImage, GenerateRequest } from '../jobs/generation';
import { readPicture } from '../jobs/made-picture';
import type { RunOptions } from '../jobs/run-options';
import type { MadePicture } from '../work/picture-record';
import { createProgressMeter } from '../work/progress';
import type { JsonLines } from './json-lines';

export interface KeptPicture {
  readonly seed: number;
  /** PNG; of a row, from the folder of the run. */
  readonly file: string;
}

/** How pictures are drawn where the subject's recipe says nothing, or something else. */
export type Drawing = Pick<
  GenerateRequest,
  'steps' | 'guidanceScale' | 'scheduler' | 'width' | 'height' | 'batch'
>;

/** How the first of drawn pictures says itself that it was drawn; null where there is none, or it says nothing. */
export function drawnAs(folder: string, pictures: readonly KeptPicture[]): MadePicture['settings'] | null {
  const [first] = pictures;
  const settings = first && readPicture(join(folder, first.file))?.settings;
  if (!settings) return null;
  const said = ['steps', 'guidanceScale', 'scheduler', 'width', 'height'] as const;
  return Object.fromEntries(
    said.flatMap((name) => (settings[name] === undefined ? [] : [[name, settings[name]]])),
  );
}

const isTold = (rows: readonly KeptPicture[], row: KeptPicture): boolean =>
  rows.some(({ file, seed }) => file === row.file && seed === row.seed);

export const isDrawn = (folder: string, rows: readonly KeptPicture[], row: KeptPicture): boolean =>
  isTold(rows, row) && isWhole(join(folder, row.file));

/** How a PNG ends; one that was cut off is drawn again. */
const pngEnd = Buffer.from('49454e44ae426082', 'hex');

function isWhole(file: string): boolean {
  if (!existsSync(file)) return false;
  const handle = openSync(file, 'r');
  try {
    const end = Buffer.alloc(pngEnd.length);
    readSync(handle, end, 0, end.length, Math.max(0, fstatSync(handle).size - end.length));
    return end.equals(pngEnd);
  } finally {
    closeSync(handle);
  }
}

/** So many pictures are asked for at once, whose bytes are all held until the last is drawn. */
const mostAtOnce = 8;

/** Pictures of one prompt. */
export interface WantedPictures<Picture extends KeptPicture = KeptPicture> {
  readonly request: Omit<GenerateRequest, 'seed' | 'count'>;
  readonly pictures: readonly Picture[];
}

/**
 * What is not there yet, its steps told as those of all of it. Rejects with what `generate` does; what was drawn by then is
 * kept.
 */
export async function drawMissing<Row extends KeptPicture>(
  engine: Engine,
  folder: string,
  kept: JsonLines<Row>,
  wanted: readonly WantedPictures<Row>[],
  run: RunOptions,
): Promise<void> {
  const isThere = (row: Row) => isDrawn(folder, kept.rows, row);
  await drawAll(engine, folder, missingOf(wanted, isThere), run, (row) => {
    if (!isTold(kept.rows, row)) kept.append(row);
  });
}

/** Files that no row tells of; one that was cut off is drawn again. Rejects as above. */
export async function drawMissingFiles(
  engine: Engine,
  wanted: readonly WantedPictures[],
  run: RunOptions,
): Promise<void> {
  await drawAll(
    engine,
    '',
    missingOf(wanted, ({ file }) => isWhole(file)),
    run,
  );
}

const missingOf = <Picture extends KeptPicture>(
  wanted: readonly WantedPictures<Picture>[],
  isThere: (picture: Picture) => boolean,
): WantedPictures<Picture>[] =>
  wanted.flatMap(({ request, pictures }) =>
    inSequence(pictures.filter((one) => !isThere(one))).map((group) => ({ request, pictures: group })),
  );

async function drawAll<Picture extends KeptPicture>(
  engine: Engine,
  folder: string,
  groups: readonly WantedPictures<Picture>[],
  run: RunOptions,
  onSaved?: (picture: Picture) => void,
): Promise<void> {
  const runOf = toldOfAll(
    groups.map(({ pictures }) => pictures.length),
    run,
  );
  for (const [i, { request, pictures }] of groups.entries())
    await drawSequence(engine, folder, pictures, request, runOf(i), onSaved);
}

/** For each call that draws so many pictures a run that tells its steps as steps of all calls. */
function toldOfAll(counts: readonly number[], run: RunOptions): (call: number) => RunOptions {
  const { onProgress } = run;
  if (onProgress === undefined) return () => run;
  const sum = (some: readonly number[]) => some.reduce((all, count) => all + count, 0);
  const meter = createProgressMeter(() => performance.now());
  let told = -1;
  return (call) => ({
    ...run,
    onProgress(event) {
      // A model is loaded once; that the next call finds it there is no news.
      if (event.kind === 'step-end' && event.phase === 'load' && told >= 0) return;
      if (event.kind !== 'step-end' || event.phase !== 'sample') return onProgress(event);
      const ofPicture = event.steps / counts[call]!;
      const step = Math.round(ofPicture * sum(counts.slice(0, call))) + event.step;
      if (step <= told) return;
      told = step;
      const steps = Math.max(step, Math.round(ofPicture * sum(counts)));
      onProgress(meter({ phase: 'sample', step, steps, imagesPerStep: 1 / ofPicture }));
    },
  });
}

async function drawSequence<Picture extends KeptPicture>(
  engine: Engine,
  folder: string,
  pictures: readonly Picture[],
  request: Omit<GenerateRequest, 'seed' | 'count'>,
  run: RunOptions,
  onSaved: (picture: Picture) => void = () => {},
): Promise<void> {
  // One after the other, so that rows are in the order of what they tell of.
  let saving = Promise.resolve();
  // What cannot be kept is not drawn.
  const unsaved = new AbortController();
  const onImage = (image: GeneratedImage) => {
    const picture = pictures.find(({ seed }) => seed === image.seed)!;
    saving = saving.then(async () => {
      await image.save(join(folder, picture.file));
      onSaved(picture);
    });
    // Told below, once no more are drawn.
    saving.catch(() => unsaved.abort());
  };
  try {
    await engine.generate(
      { ...request, seed: pictures[0]!.seed, count: pictures.length },
      { ...run, onImage, signal: AbortSignal.any([unsaved.signal, ...(run.signal ? [run.signal] : [])]) },
    );
  } finally {
    await saving;
  }
}

/** In groups whose seeds follow each other. */
function inSequence<Row extends KeptPicture>(rows: readonly Row[]): Row[][] {
  const groups: Row[][] = [];
  for (const row of rows) {
    const group = groups.at(-1);
    if (group !== undefined && group.length < mostAtOnce && group.at(-1)!.seed + 1 === row.seed)
      group.push(row);
    else groups.push([row]);
  }
  return groups;
}
