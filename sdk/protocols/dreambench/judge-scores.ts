/** From ratings to the figures of DreamBench++: means over pictures, then over runs, and the product of the two. */
import { mean } from '../../evaluation/oracle-reading';
import {
  type DreamBenchCategory,
  type DreamBenchPromptType,
  dreamBenchCategories,
  dreamBenchPromptTypes,
  promptTypeOf,
} from './dreambench-data';
import type { NoScore } from './judge';

/** CP: is it the subject? PF: does it show what the text says? */
export const judgeQuestions = ['CP', 'PF'] as const;
export type JudgeQuestion = (typeof judgeQuestions)[number];

export interface Rating {
  readonly question: JudgeQuestion;
  /** From 0 on. */
  readonly run: number;
  readonly category: DreamBenchCategory;
  /** The caption's index. */
  readonly prompt: number;
  /** 0 to 4; null where the judge gave none. */
  readonly score: number | null;
  readonly why: NoScore | null;
}

/** Means of runs, 0 to 1, to three decimals; null where nothing was rated. */
export interface RatedMean {
  readonly mean: number | null;
  /** Of the runs' means, over their number less one; null for a single run. */
  readonly sd: number | null;
  /** Ratings over all runs, and questions that got none. */
  readonly rated: number;
  readonly noScore: number;
}

export interface JudgeScores {
  readonly CP: RatedMean;
  readonly PF: RatedMean;
  /** Product of the two means as they are rounded, rounded; null without both. */
  readonly product: number | null;
  readonly byCategory: Readonly<Record<DreamBenchCategory, RatedMean>>;
  readonly byPromptType: Readonly<Record<DreamBenchPromptType, RatedMean>>;
  readonly noScore: Readonly<Record<NoScore, number>>;
}

export function judgeScores(ratings: readonly Rating[]): JudgeScores {
  const of = (question: JudgeQuestion) => wholeRuns(ratings.filter((rating) => rating.question === question));
  const [CP, PF] = [ratedMean(of('CP')), ratedMean(of('PF'))];
  const count = (why: NoScore) => ratings.filter((rating) => rating.why === why).length;
  return {
    CP,
    PF,
    product: CP.mean === null || PF.mean === null ? null : thousandths(CP.mean * PF.mean),
    byCategory: each(Object.keys(dreamBenchCategories) as DreamBenchCategory[], (one) =>
      ratedMean(of('CP').filter(({ category }) => category === one)),
    ),
    byPromptType: each(dreamBenchPromptTypes, (one) =>
      ratedMean(of('PF').filter(({ prompt }) => promptTypeOf(prompt) === one)),
    ),
    noScore: { refusal: count('refusal'), prose: count('prose'), 'time-out': count('time-out') },
  };
}

/** A run that was broken off is of other pictures than a whole one: it is left out, unless it is all there is. */
function wholeRuns(ratings: readonly Rating[]): readonly Rating[] {
  const counts = new Map<number, number>();
  for (const { run } of ratings) counts.set(run, (counts.get(run) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return ratings.filter(({ run }) => counts.get(run) === most);
}

/** Of each run the mean of its ratings over 4: what has no score is counted, and no part of a mean. */
function ratedMean(ratings: readonly Rating[]): RatedMean {
  const scores = (some: readonly Rating[]) => some.flatMap(({ score }) => (score === null ? [] : [score]));
  const runs = [...new Set(ratings.map(({ run }) => run))]
    .map((run) => scores(ratings.filter((rating) => rating.run === run)))
    .filter(({ length }) => length > 0)
    .map((own) => mean(own) / 4);
  const rated = scores(ratings).length;
  const noScore = ratings.length - rated;
  if (runs.length === 0) return { mean: null, sd: null, rated, noScore };
  const middle = mean(runs);
  const variance = runs.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (runs.length - 1);
  return {
    mean: thousandths(middle),
    sd: runs.length < 2 ? null : Number(Math.sqrt(variance).toFixed(4)),
    rated,
    noScore,
  };
}

const thousandths = (value: number) => Number(value.toFixed(3));

const each = <Name extends string, Value>(names: readonly Name[], of: (name: Name) => Value) =>
  Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, Value>;
