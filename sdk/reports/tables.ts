/** What reports of several kinds write alike. */
import type { Table } from './report';

/** A row for each sentence. */
export const lineTable = (lines: readonly string[]): Table => ({
  kind: 'table',
  columns: [''],
  rows: (lines.length === 0 ? ['none'] : lines).map((line) => [line]),
});

/** "steps=5, prior=none, targetModules=to_q|to_k"; "none" without any. */
export const namedValues = (values: object, none = 'none'): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join('|') : value}`)
    .join(', ') || none;
