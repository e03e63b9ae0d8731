/** What a judge's answers come to: a score each, and the figures that scores make. */
import { describe, expect, test } from 'vitest';
import { readScore } from '../../sdk/protocols/dreambench/judge';
import { judgeScores, type Rating } from '../../sdk/protocols/dreambench/judge-scores';

test.each([
  ['Score: 3', 3],
  ['Analysis: it is all there.\nScore: 4', 4],
  ['**Score:** 2', 2],
  ['score: 0', 0],
  ['Score: Good 3', 3],
  ['I would give it a three.', null],
  ['Score: 5', null],
  ['Score: 10', null],
  ['Score: 3.5', null],
  ['Score: 3\nScore: 4', null],
  ['Score: [0-4]', null],
  ['Score: 0-4', null],
  ['Score: 0 to 4: 3', null],
  ['Score: 4/10', null],
  ['Score: 2 out of 10', null],
  ['Score: 3/4', 3],
  ['Score: 3 out of 4.', 3],
  ['Score: 3 (out of 4)', 3],
  ['Score: 3 (out of 5)', null],
  ['Score: 3 of 5', null],
  ['**Score:** 3** / 5', null],
  ['Score: 3 points out of 5', null],
  ['Score: 3 (scale 0-10)', null],
  ['Score: 3 (scale: 0 to 4)', 3],
  ['Score: 3 on a scale from 1 to 5', null],
  ['Score: 3 on a 5-point scale', null],
  ['Score: 3 (0–10)', null],
  ['Score: 3 [0-4]', 3],
  ['Score: 3 – most of it, but 2 of 5 legs are missing.', 3],
  ['Score: 3,5', null],
  ['Subscore: 1', null],
  ['Subscore: 1\nScore: 2', 2],
  ['Score: 3 – all of it.', 3],
  ['Score: 3 to me', 3],
  ['', null],
])('in %j the score is %j', (answer, score) => {
  expect(readScore(answer)).toBe(score);
});

describe('from ratings to figures', () => {
  const rating = (more: Partial<Rating>): Rating => ({
    question: 'CP',
    run: 0,
    category: 'animal',
    prompt: 0,
    score: 4,
    why: null,
    ...more,
  });

  test('the product is of the means as they are rounded', () => {
    // 12/28 = 0.42857 → 0.429 and 21/28 = 0.75: 0.429 · 0.75 = 0.32175 → 0.322; unrounded it were 0.32143 → 0.321.
    const CP = [4, 4, 4, 0, 0, 0, 0].map((score) => rating({ score }));
    const PF = [4, 4, 4, 4, 4, 1, 0].map((score) => rating({ question: 'PF', score }));
    const scores = judgeScores([...CP, ...PF]);
    expect(scores).toMatchObject({ CP: { mean: 0.429, sd: null }, PF: { mean: 0.75 }, product: 0.322 });
  });

  test('runs are means of their own, with the deviation of a sample; no score is counted and is no 0', () => {
    // Runs of CP: 4, 2 → 0.75; 3 and no score → 0.75; 1, 1 → 0.25. Mean 0.58333, sd √(2·(1/6)² + (1/3)²)/√2 = 0.28868.
    const scores = judgeScores([
      rating({ score: 4 }),
      rating({ score: 2, prompt: 5 }),
      rating({ run: 1, score: 3, category: 'style' }),
      rating({ run: 1, score: null, why: 'refusal' }),
      rating({ run: 2, score: 1 }),
      rating({ run: 2, score: 1, category: 'style' }),
      rating({ question: 'PF', prompt: 3, score: 4 }),
      rating({ question: 'PF', prompt: 4, score: 2 }),
      rating({ question: 'PF', prompt: 6, score: 1 }),
      rating({ question: 'PF', prompt: 7, score: null, why: 'prose' }),
    ]);
    expect(scores.CP).toEqual({ mean: 0.583, sd: 0.2887, rated: 5, noScore: 1 });
    expect(scores.byCategory.style).toEqual({ mean: 0.5, sd: 0.3536, rated: 2, noScore: 0 });
    expect(scores.byCategory.human).toEqual({ mean: null, sd: null, rated: 0, noScore: 0 });
    expect(scores.byPromptType.photorealistic).toMatchObject({ mean: 1 });
    expect(scores.byPromptType.style).toMatchObject({ mean: 0.375, rated: 2 });
    expect(scores.byPromptType.imaginative).toEqual({ mean: null, sd: null, rated: 0, noScore: 1 });
    expect(scores.noScore).toEqual({ refusal: 1, prose: 1, 'time-out': 0 });
    expect(judgeScores([]).product).toBeNull();
  });
});

test('a run that was broken off is part of no mean', () => {
  const rated = (run: number, scores: readonly number[]) =>
    scores.map(
      (score, prompt): Rating => ({ question: 'CP', run, category: 'animal', prompt, score, why: null }),
    );
  // The second run came as far as the one picture that is no good.
  const scores = judgeScores([...rated(0, [0, 4, 4, 4]), ...rated(1, [0])]);
  expect(scores.CP).toEqual({ mean: 0.75, sd: null, rated: 4, noScore: 0 });
  expect(judgeScores(rated(0, [2])).CP.mean).toBe(0.5);
});
