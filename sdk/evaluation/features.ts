import { InvalidOptionError } from '../errors';
import { mean, type OracleReading } from './oracle-reading';

/** Mean features of pictures of the whole world: what all features are measured from. */
export function featureCentre(readings: readonly OracleReading[]): Float64Array {
  const centre = new Float64Array(readings[0]?.features.length ?? 0);
  for (const { features } of readings) {
    for (let i = 0; i < centre.length; i++) centre[i]! += features[i]! / readings.length;
  }
  return centre;
}

/** Features as a direction from the centre: length 1 (or 0 for the centre itself). */
export function direction({ features }: OracleReading, centre: ArrayLike<number>): Float64Array {
  const vector = Float64Array.from(features, (value, i) => value - centre[i]!);
  const length = Math.sqrt(dot(vector, vector));
  return length === 0 ? vector : vector.map((value) => value / length);
}

/**
 * Mean cosine between every picture of one set and every picture of the other. Between pictures of the
 * subject's class (bare noun) and real pictures of the subject it is the paper's PRES, lower is better;
 * between generated and real pictures of the subject it stands in for DINO.
 */
export function meanCosine(
  a: readonly OracleReading[],
  b: readonly OracleReading[],
  centre: ArrayLike<number>,
): number {
  const others = b.map((reading) => direction(reading, centre));
  return mean(a.map((reading) => mean(others.map((other) => dot(direction(reading, centre), other)))));
}

/**
 * DIV over features: mean of 1 − cosine over the pairs within each group of pictures of one prompt,
 * averaged over the groups. Stands in for LPIPS; higher is better.
 */
export function featureDiversity(
  groups: readonly (readonly OracleReading[])[],
  centre: ArrayLike<number>,
): number {
  return meanOverPairs(
    groups.map((group) => group.map((reading) => direction(reading, centre))),
    (a, b) => 1 - dot(a, b),
  );
}

/**
 * The mean of `difference` over all pairs within a group, averaged over the groups.
 *
 * @throws InvalidOptionError if a group has no pair
 */
export function meanOverPairs<T>(
  groups: readonly (readonly T[])[],
  difference: (a: T, b: T) => number,
): number {
  return mean(
    groups.map((group) => {
      if (group.length < 2) {
        throw new InvalidOptionError(
          'pictures',
          `Diversity needs two or more pictures of every prompt, but a prompt has ${group.length}. Generate four of each.`,
        );
      }
      return mean(group.flatMap((a, i) => group.slice(i + 1).map((b) => difference(a, b))));
    }),
  );
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
