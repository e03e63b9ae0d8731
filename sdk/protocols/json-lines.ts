/** Rows of a run on disk, a JSON object a line, so that what was broken off goes on where it was. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeFailure } from '../checkpoint/write-failure';

export interface JsonLines<Row> {
  /** Those that were there, then those appended. */
  readonly rows: readonly Row[];
  /** Throws DiskFullError, UnwritablePathError. */
  append(row: Row): void;
}

/** A line that was broken off in the middle is left out: its row is made again. */
export function openJsonLines<Row>(file: string): JsonLines<Row> {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const rows = text.split('\n').flatMap((line): Row[] => {
    try {
      return line === '' ? [] : [JSON.parse(line)];
    } catch {
      return [];
    }
  });
  // The next row must not end up in the rest of a broken one.
  let start = text === '' || text.endsWith('\n') ? '' : '\n';
  return {
    rows,
    append(row) {
      try {
        appendFileSync(file, `${start}${JSON.stringify(row)}\n`);
      } catch (cause) {
        throw writeFailure(file, cause);
      }
      start = '';
      rows.push(row);
    },
  };
}
