/** What a handful of runs allows to be said. */
import { createRandom } from '../random';
import { mean } from './oracle-reading';

/** A mean and its 95 % interval. */
export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** How many values. */
  readonly count: number;
}

const resamples = 10_000;

/**
 * The percentile bootstrap (Efron 1979) of a mean, 95 %: `groups` are drawn with replacement, each with all its values,
 * since the runs of one subject are more alike than those of two. Always the same for the same values; NaN for none.
 */
export function bootstrap(groups: readonly (readonly number[])[]): Interval {
  const some = groups.filter((group) => group.length > 0);
  const count = some.flat().length;
  if (count === 0) return { mean: Number.NaN, low: Number.NaN, high: Number.NaN, count };
  const random = createRandom(95);
  const sums = some.map((group) => group.reduce((sum, value) => sum + value, 0));
  const means = Float64Array.from({ length: resamples }, () => {
    let [sum, values] = [0, 0];
    for (let i = 0; i < some.length; i++) {
      const drawn = random.integer(some.length);
      sum += sums[drawn]!;
      values += some[drawn]!.length;
    }
    return sum / values;
  }).sort();
  const at = (share: number) => means[Math.round(share * (resamples - 1))]!;
  return { mean: mean(some.flat()), low: at(0.025), high: at(0.975), count };
}

/** Of pairs, in how many the second is greater, smaller, the same. */
export interface SignCounts {
  readonly greater: number;
  readonly smaller: number;
  readonly equal: number;
}

export function signCounts(pairs: readonly (readonly [number, number])[]): SignCounts {
  const signs = pairs.map(([a, b]) => Math.sign(b - a));
  const count = (sign: number) => signs.filter((one) => one === sign).length;
  return { greater: count(1), smaller: count(-1), equal: count(0) };
}
