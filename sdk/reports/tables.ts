/** What reports of several kinds write alike. */
import type { Table } from './report';

/** A row for each sentence. */
export const lineTable = (lines: readonly string[]): Table => ({
  kind: 'table',
  columns: [''],
  rows: (lines.length === 0 ? ['none'] : lines).map((line) => [line]),
});

/** "steps=5, prior=none"; "none" without any. */
export const namedValues = (values: object): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ') || 'none';
