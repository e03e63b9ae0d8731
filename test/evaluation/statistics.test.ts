import { expect, test } from 'vitest';
import { bootstrap, signCounts } from '../../sdk/evaluation/statistics';

test('equal values leave no doubt', () => {
  expect(bootstrap([[0.25, 0.25], [0.25], [0.25]])).toEqual({ mean: 0.25, low: 0.25, high: 0.25, count: 4 });
});

test('of two subjects a quarter of the repetitions is the one twice, a quarter the other', () => {
  // 2.5 % lie within the lowest quarter, 97.5 % within the highest: the interval is both ends.
  expect(bootstrap([[0], [1]])).toEqual({ mean: 0.5, low: 0, high: 1, count: 2 });
});

test('of twenty coins the interval is that of the binomial distribution', () => {
  // B(20, 1/2): P(X ≤ 5) = 0.0207 and P(X ≤ 6) = 0.0577, so that 2.5 % lie at 6 of 20; likewise 14 from above.
  const coins = Array.from({ length: 20 }, (_, i) => [i % 2]);
  expect(bootstrap(coins)).toEqual({ mean: 0.5, low: 0.3, high: 0.7, count: 20 });
});

test('a subject is drawn with all its runs: seeds of one subject are no further subjects', () => {
  const { low, high } = bootstrap([
    [0, 1],
    [0, 1],
    [0, 1],
  ]);
  expect([low, high]).toEqual([0.5, 0.5]);
  // As six subjects they would say less: (1/2)⁶ of the repetitions have none, so that the interval is wide.
  const apart = bootstrap([0, 1, 0, 1, 0, 1].map((value) => [value]));
  expect([apart.low, apart.high]).toEqual([1 / 6, 5 / 6]);
});

test('the same for the same values, NaN for none, and groups without values count for nothing', () => {
  const values = [[0.1, 0.4], [0.7], [0.2]];
  expect(bootstrap(values)).toEqual(bootstrap(values));
  expect(bootstrap([...values, []])).toEqual(bootstrap(values));
  for (const none of [[], [[], []]])
    expect(bootstrap(none)).toEqual({ mean: Number.NaN, low: Number.NaN, high: Number.NaN, count: 0 });
});

test('signs are counted from the first of a pair to the second', () => {
  const pairs = [
    [0.1, 0.2],
    [0.3, 0.1],
    [0.5, 0.5],
    [0, 1],
  ] as const;
  expect(signCounts(pairs)).toEqual({ greater: 2, smaller: 1, equal: 1 });
  expect(signCounts([])).toEqual({ greater: 0, smaller: 0, equal: 0 });
});
