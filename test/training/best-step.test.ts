import { expect, test } from 'vitest';
import { bestStep, hasPeaked } from '../../sdk/training/best-step';

const scored = (...scores: number[]) => scores.map((score, i) => ({ step: 100 * (i + 1), score }));

test('the first of the highest is best; what is no number is none, and nothing is better than nothing', () => {
  expect(bestStep(scored(0.2, 0.5, 0.5, 0.1))).toEqual({ step: 200, score: 0.5 });
  expect(bestStep(scored(Number.NaN, 0.1))).toEqual({ step: 200, score: 0.1 });
  expect(bestStep(scored(0, 0))).toBeUndefined();
  expect(bestStep(scored(Number.NaN))).toBeUndefined();
  expect(bestStep([])).toBeUndefined();
});

test.each([
  [[0.5, 0.4], false],
  [[0.5, 0.4, 0.3], true],
  [[0.5, 0.5, 0.5], true],
  [[0.3, 0.4, 0.5], false],
  [[0.3, 0.5, 0.4], false],
  [[0.3, 0.5, 0.4, 0.5], true],
  [[0.3, 0.5, 0.4, 0.6], false],
  [[0, 0, 0, 0], false],
  [[Number.NaN, Number.NaN, Number.NaN], false],
])('scores %j have peaked: %s', (scores, peaked) => {
  expect(hasPeaked(scored(...scores))).toBe(peaked);
});
