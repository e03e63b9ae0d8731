/** What of a protocol's data is not there or cannot be used: told before hours of work, and in its report. */
import type { RunOptions } from '../jobs/run-options';

/** As one warning; `there` is what is gone on with, as "3 of 30 subjects". */
export function tellGaps(gaps: readonly string[], there: string, run: RunOptions): void {
  const [first, ...others] = gaps;
  if (first === undefined) return;
  const more = others.length === 0 ? '' : `; and ${others.length} more gaps, which the report names`;
  run.onProgress?.({ kind: 'warning-found', message: `Going on with ${there}: ${first}${more}.` });
}
