/** Pictures of a protocol: files that a row tells of, drawn where one of the two is not there. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../jobs/engine';
import type { GenerateRequest } from '../jobs/generation';
import type { RunOptions } from '../jobs/run-options';
import type { JsonLines } from './json-lines';

export interface KeptPicture {
  readonly seed: number;
  /** PNG, from the folder of the run. */
  readonly file: string;
}

/** How pictures are drawn where the subject's recipe says nothing, or something else. */
export type Drawing = Pick<
  GenerateRequest,
  'steps' | 'guidanceScale' | 'scheduler' | 'width' | 'height' | 'batch'
>;

export const isDrawn = <Row extends KeptPicture>(folder: string, rows: readonly Row[], row: Row): boolean =>
  rows.some(({ file, seed }) => file === row.file && seed === row.seed) && existsSync(join(folder, row.file));

/** `wanted` are pictures of one prompt with seeds that follow each other. Rejects with what `generate` does. */
export async function drawMissing<Row extends KeptPicture>(
  engine: Engine,
  folder: string,
  kept: JsonLines<Row>,
  wanted: readonly Row[],
  request: Omit<GenerateRequest, 'seed' | 'count'>,
  run: RunOptions,
): Promise<void> {
  const missing = wanted.filter((row) => !isDrawn(folder, kept.rows, row));
  const [first, last] = [missing[0], missing.at(-1)];
  if (first === undefined || last === undefined) return;
  const images = await engine.generate(
    { ...request, seed: first.seed, count: last.seed - first.seed + 1 },
    run,
  );
  for (const row of missing) {
    await images.find(({ seed }) => seed === row.seed)!.save(join(folder, row.file));
    if (!kept.rows.some(({ file, seed }) => file === row.file && seed === row.seed)) kept.append(row);
  }
}
