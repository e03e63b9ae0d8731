import { describe, expect, test } from 'vitest';
import { direction, featureCentre, featureDiversity, meanCosine } from '../../sdk/evaluation/features';
import { eigenvalues, frechetDistance } from '../../sdk/evaluation/frechet';
import {
  conceptScore,
  createSubjectReference,
  identityDistance,
  identityOf,
  leak,
  ungatedConceptScore,
} from '../../sdk/evaluation/identity';
import { believedScene } from '../../sdk/evaluation/oracle-reading';
import { copySimilarity, pixelDiversity, rmsDifference } from '../../sdk/evaluation/pixels';
import { accuracy, backgroundLeak, follows, promptScore } from '../../sdk/evaluation/prompt-following';
import { type GeneratedPicture, reportSubject } from '../../sdk/evaluation/subject-report';
import { reading } from './reading';

// The subject's own pictures lie 0.1 to either side of 0.5 on the first axis: mean 0.5, dr = 0.1.
const real = [reading({ at: [0.4] }), reading({ at: [0.6] })];
// Others lie 0.5 away on the first axis and on the second: d0 = 0.5.
const others = [reading({ at: [1] }), reading({ at: [0.5, 0.5] })];
const reference = createSubjectReference(0, real, others);

describe('identity', () => {
  test('is nine colour numbers and half the pattern', () => {
    const at = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    const { length, ...vector } = identityOf(reading({ at, patternProbabilities: [0.5, 0.25, 0.25, 0] }));
    expect(length).toBe(13);
    expect(Object.values(vector)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 0.25, 0.125, 0.125, 0]);
  });

  test('is anchored at chance and at real pictures', () => {
    expect(reference.identity[0]).toBeCloseTo(0.5);
    expect(reference.ceiling).toBeCloseTo(0.1);
    expect(reference.chance).toBeCloseTo(0.5);
  });

  test('another pattern for certain is √½ away', () => {
    const other = reading({ at: [0.5], patternProbabilities: [0, 1, 0, 0] });
    expect(identityDistance(other, reference)).toBeCloseTo(Math.SQRT1_2);
  });

  test.each([
    [0.5, 1],
    [0.6, 1],
    [0.7, 0.75],
    [0.8, 0.5],
    [1, 0],
    [2, 0],
  ])('a picture at %f scores %f', (x, score) => {
    expect(conceptScore(reading({ at: [x] }), reference)).toBeCloseTo(score);
  });

  test('the wrong class scores nothing, unless it is not asked', () => {
    const wrong = reading({ at: [0.5], class: 3 });
    expect(conceptScore(wrong, reference)).toBe(0);
    expect(ungatedConceptScore(wrong, reference)).toBe(1);
  });

  test('leak counts what is nearer than dr + ¼ (d0 − dr) = 0.2', () => {
    const at = [0.5, 0.69, 0.71, 1].map((x) => reading({ at: [x] }));
    expect(leak(at, reference)).toBe(0.5);
  });

  test('a reference that cannot tell is refused, with the numbers', () => {
    expect(() => createSubjectReference(0, real, real)).toThrow(/at 0\.100 from the subject.*at 0\.100/);
    expect(() => createSubjectReference(0, [], others)).toThrow(/0 and 2/);
  });
});

describe('prompt following', () => {
  const inSnow = reading({ context: 0, accessory: 1, colour: 4, pattern: 1 });

  test('judges only what was asked', () => {
    expect(promptScore({ clauses: { class: 'dog' }, reading: inSnow })).toBe(1);
    expect(promptScore({ clauses: { context: 'snow', accessory: 'hat' }, reading: inSnow })).toBe(1);
    expect(promptScore({ clauses: { context: 'snow', accessory: 'scarf' }, reading: inSnow })).toBe(0);
    expect(promptScore({ clauses: { context: 'beach' }, reading: inSnow })).toBe(0);
    expect(promptScore({ clauses: { colour: 'blue', pattern: 'striped' }, reading: inSnow })).toBe(1);
    expect(promptScore({ clauses: { colour: 'red' }, reading: inSnow })).toBe(0);
    expect(follows({ clauses: {}, reading: inSnow }, 'context')).toBeUndefined();
  });

  test('accuracies are among the pictures asked', () => {
    const pictures = [
      { clauses: { context: 'snow' }, reading: inSnow },
      { clauses: { context: 'water' }, reading: inSnow },
      { clauses: {}, reading: inSnow },
    ] as const;
    expect(accuracy(pictures, 'context')).toBe(0.5);
    expect(accuracy(pictures, 'accessory')).toBeNaN();
  });

  test('the background leak leaves out the contexts of the photos', () => {
    const [grass, street] = [4, 3];
    const pictures = [
      { clauses: { context: 'grass' }, reading: reading({ context: grass }) },
      { clauses: { context: 'snow' }, reading: reading({ context: street }) },
      { clauses: { context: 'snow' }, reading: reading({ context: 0 }) },
    ] as const;
    expect(backgroundLeak(pictures, [grass, street])).toBe(0.5);
  });
});

describe('features', () => {
  const [east, north, west] = [
    [3, 1],
    [1, 4],
    [-1, 1],
  ].map((feature) => reading({ feature }));
  const centre = [1, 1];

  test('the centre is the mean, directions have length 1', () => {
    expect([...featureCentre([east!, north!, west!])].map((v) => Math.round(v * 100) / 100)).toEqual([1, 2]);
    expect([...direction(east!, centre)]).toEqual([1, 0]);
    expect([...direction(reading({ feature: [1, 1] }), centre)]).toEqual([0, 0]);
  });

  test('mean cosine is over all pairs: (1 + 0 + 0 + 0 − 1 + 0) / 6 …', () => {
    expect(meanCosine([east!, north!], [east!, north!], centre)).toBe(0.5);
    expect(meanCosine([east!], [west!], centre)).toBe(-1);
    expect(meanCosine([east!, north!, west!], [east!, north!], centre)).toBeCloseTo(1 / 6);
  });

  test('diversity is over pairs within a prompt: mean of (1, 2, 1) and of (0)', () => {
    expect(featureDiversity([[east!, north!, west!]], centre)).toBeCloseTo(4 / 3);
    expect(
      featureDiversity(
        [
          [east!, north!, west!],
          [east!, east!],
        ],
        centre,
      ),
    ).toBeCloseTo(2 / 3);
    expect(() => featureDiversity([[east!]], centre)).toThrow(/a prompt has 1/);
  });
});

describe('the Fréchet distance', () => {
  test('eigenvalues of a matrix known by hand', () => {
    const values = eigenvalues([
      [2, 1, 0],
      [1, 2, 0],
      [0, 0, 5],
    ]);
    expect(values.sort().map((v) => Number(v.toFixed(10)))).toEqual([1, 3, 5]);
  });

  test('in one dimension it is (m1 − m2)² + (s1 − s2)²', () => {
    // Means 0 and 5, standard deviations 1 and 3.
    expect(frechetDistance([[-1], [1]], [[2], [8]])).toBeCloseTo(25 + 4);
  });

  test('with covariances that commute, axes add up: 0 + (1 − 2)² + (1 − 3)²', () => {
    const cross = (x: number, y: number) =>
      [
        [x, 0],
        [-x, 0],
        [0, y],
        [0, -y],
      ].map((v) => v.map((value) => value * Math.SQRT2));
    expect(frechetDistance(cross(1, 1), cross(2, 3))).toBeCloseTo(5);
    expect(frechetDistance(cross(2, 3), cross(2, 3))).toBeCloseTo(0);
  });

  test('perpendicular lines share nothing: tr C1 + tr C2', () => {
    expect(
      frechetDistance(
        [
          [-1, 0],
          [1, 0],
        ],
        [
          [0, -2],
          [0, 2],
        ],
      ),
    ).toBeCloseTo(5);
  });
});

describe('pixels', () => {
  const [black, grey, white] = [0, 51, 255].map((value) => new Uint8Array(12).fill(value));

  test('differences are root mean squares in 0 … 1', () => {
    expect(rmsDifference(black!, white!)).toBe(1);
    expect(rmsDifference(black!, grey!)).toBeCloseTo(0.2);
    expect(pixelDiversity([[black!, grey!, white!]])).toBeCloseTo((0.2 + 1 + 0.8) / 3);
  });

  test('a copy is judged by the photo most like it', () => {
    expect(copySimilarity(grey!, [white!, black!])).toBeCloseTo(0.8);
    expect(copySimilarity(grey!, [white!, grey!])).toBe(1);
  });
});

test('the report multiplies means for CP·PF, and pictures for the joint score', () => {
  const pixels = new Uint8Array(3);
  const picture = (x: number, context: number): GeneratedPicture => ({
    clauses: { class: 'cat', context: 'snow' },
    reading: reading({ at: [x], context, feature: [2, 1] }),
    pixels,
  });
  // Right subject on the wrong ground, and the right ground under somebody else.
  const report = reportSubject({
    reference,
    prompts: [[picture(0.5, 3), picture(1, 0)]],
    prior: [reading({ at: [0.5], feature: [2, 1] }), reading({ at: [0.5], feature: [2, 1] })],
    basePrior: [reading({ at: [0.9], feature: [2, 1] })],
    real,
    photos: [new Uint8Array(3).fill(51)],
    photoContexts: [3, 4],
    centre: [0, 1],
  });
  expect(report).toMatchObject({
    CP: 0.5,
    PF: 0.5,
    CP·PF: 0.25,
    joint: 0,
    LEAK: 1,
    priorDIV: 0,
    DIV: 0,
    pixelDIV: 0,
  });
  expect(report.COPY).toBeCloseTo(0.8);
  expect(report.backgroundLeak).toBe(0.5);
  expect(report['PRIOR-FD']).toBe(0);
  // The real pictures' feature is (1, 0) against the centre (0, 1): 45° below the prior's (1, 0) direction.
  expect(report.PRES).toBeCloseTo(Math.SQRT1_2);
  expect(report.contextAccuracy).toBe(0.5);
  expect(report.classAccuracy).toBe(1);
  expect(report.accessoryAccuracy).toBeNaN();
});

test('a reading becomes the scene it believes in, its numbers kept within 0 … 1', () => {
  const scene = believedScene(
    reading({ class: 3, context: 6, accessory: 2, at: [1.2, -0.1, 0.3, 0, 0, 0, 0, 0, 0, 0.1, 0.2, 0.9] }),
  );
  expect(scene).toMatchObject({ class: 'fish', context: 'water', accessory: 'scarf' });
  expect(scene.appearance.c1).toEqual([1, 0, 0.3]);
  expect(scene.appearance.shape).toEqual([0.1, 0.2, 0.9]);
});
