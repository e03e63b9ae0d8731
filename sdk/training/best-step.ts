/** Which of a training's scored steps is best, and whether it has come too far. */

export interface ScoredStep {
  readonly step: number;
  /** Higher is better. */
  readonly score: number;
}

/** The first of the highest; undefined where none is above 0, which tells no step from another. */
export const bestStep = (scored: readonly ScoredStep[]): ScoredStep | undefined =>
  scored.reduce<ScoredStep | undefined>(
    (best, one) => (one.score > (best?.score ?? 0) ? one : best),
    undefined,
  );

/**
 * Whether the score has not grown for two samples in a row, of three at least: one that is no better may be chance.
 * Decided by the scores alone, so that a resumed run ends where the straight one does.
 */
export function hasPeaked(scored: readonly ScoredStep[]): boolean {
  const best = bestStep(scored);
  return best !== undefined && scored.length >= 3 && !scored.slice(-2).includes(best);
}
