/** Pictures of a protocol, drawn where they are not there: as files, or as files that a row tells of. */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../jobs/engine';
import type { GeneratedImage, GenerateRequest } from '../jobs/generation';
import type { RunOptions } from '../jobs/run-options';
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

export const isDrawn = <Row extends KeptPicture>(folder: string, rows: readonly Row[], row: Row): boolean =>
  rows.some(({ file, seed }) => file === row.file && seed === row.seed) && isWhole(join(folder, row.file));

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

/** `wanted` are pictures of one prompt. Rejects with what `generate` does; what was drawn by then is kept. */
export async function drawMissing<Row extends KeptPicture>(
  engine: Engine,
  folder: string,
  kept: JsonLines<Row>,
  wanted: readonly Row[],
  request: Omit<GenerateRequest, 'seed' | 'count'>,
  run: RunOptions,
): Promise<void> {
  const missing = wanted.filter((row) => !isDrawn(folder, kept.rows, row));
  for (const rows of inSequence(missing)) {
    await drawSequence(engine, folder, rows, request, run, (row) => {
      if (!kept.rows.some(({ file, seed }) => file === row.file && seed === row.seed)) kept.append(row);
    });
  }
}

/** Files that no row tells of: a file is written whole or not at all, so that one that is there is done. Rejects as above. */
export async function drawMissingFiles(
  engine: Engine,
  wanted: readonly KeptPicture[],
  request: Omit<GenerateRequest, 'seed' | 'count'>,
  run: RunOptions,
): Promise<void> {
  const missing = wanted.filter(({ file }) => !isWhole(file));
  for (const pictures of inSequence(missing)) await drawSequence(engine, '', pictures, request, run);
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
  const onImage = (image: GeneratedImage) => {
    const picture = pictures.find(({ seed }) => seed === image.seed)!;
    saving = saving.then(async () => {
      await image.save(join(folder, picture.file));
      onSaved(picture);
    });
    // Told below, once no more are drawn.
    saving.catch(() => {});
  };
  try {
    await engine.generate(
      { ...request, seed: pictures[0]!.seed, count: pictures.length },
      { ...run, onImage },
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
