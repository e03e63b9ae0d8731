import type { CaptionClauses } from '../toybox/captions';
import { ACCESSORIES, CLASSES, COLOURS, CONTEXTS, PATTERNS } from '../toybox/scene';
import { mean, type OracleReading } from './oracle-reading';

/** What was asked of a picture, and what the oracle sees on it. */
export interface JudgedPicture {
  readonly clauses: CaptionClauses;
  readonly reading: OracleReading;
}

const LISTS = {
  class: CLASSES,
  context: CONTEXTS,
  accessory: ACCESSORIES,
  colour: COLOURS,
  pattern: PATTERNS,
} as const;

/** A clause that the oracle can check. */
export type CheckedClause = keyof typeof LISTS;

/** Whether a picture shows what the clause says; `undefined` if the prompt says nothing of it. */
export function follows(picture: JudgedPicture, clause: CheckedClause): boolean | undefined {
  const wanted = picture.clauses[clause];
  if (wanted === undefined) return undefined;
  return (LISTS[clause] as readonly string[])[picture.reading[clause]] === wanted;
}

/**
 * Prompt following of one picture: 1 if context, accessory, colour and pattern are all as asked (those
 * that were asked), else 0. The class counts towards the concept, not here.
 */
export function promptScore(picture: JudgedPicture): number {
  const clauses = ['context', 'accessory', 'colour', 'pattern'] as const;
  return clauses.some((clause) => follows(picture, clause) === false) ? 0 : 1;
}

/** The share of the pictures that follow the clause, among those asked for it; NaN if none was. */
export function accuracy(pictures: readonly JudgedPicture[], clause: CheckedClause): number {
  const asked = pictures.map((picture) => follows(picture, clause)).filter((hit) => hit !== undefined);
  return mean(asked.map((hit) => (hit ? 1 : 0)));
}

/**
 * How often a picture falls back to a background of the training photos: the share, among pictures
 * asked for any other context, that show one of `trained` (indices of contexts).
 */
export function backgroundLeak(pictures: readonly JudgedPicture[], trained: readonly number[]): number {
  const elsewhere = pictures.filter(
    ({ clauses }) => clauses.context !== undefined && !trained.includes(CONTEXTS.indexOf(clauses.context)),
  );
  return mean(elsewhere.map(({ reading }) => (trained.includes(reading.context) ? 1 : 0)));
}
