import { InvalidOptionError } from '../errors';
import { mean, type OracleReading } from './oracle-reading';

/** A subject as the metrics know it: who it is, and what counts as chance and as perfect. */
export interface SubjectReference {
  /** Index of the subject's class. */
  readonly class: number;
  /** Mean identity of real pictures of the subject. */
  readonly identity: readonly number[];
  /** d0: mean distance of other individuals of the class. A concept score of 0. */
  readonly chance: number;
  /** dr: mean distance of the real pictures themselves. A concept score of 1. */
  readonly ceiling: number;
}

/**
 * Where a picture lies in the space of identities: c1, c2, c3 and half the pattern's probabilities,
 * thirteen numbers. Shape is left out, since pose disturbs it most.
 */
export function identityOf(reading: OracleReading): number[] {
  return [...reading.appearance.slice(0, 9), ...reading.patternProbabilities.map((p) => p / 2)];
}

function euclidean(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}

/** The distance of a picture from the subject, in the space of identities. */
export function identityDistance(reading: OracleReading, reference: SubjectReference): number {
  return euclidean(identityOf(reading), reference.identity);
}

/**
 * Anchors a subject's scores.
 *
 * @param real pictures of the subject, passed through the autoencoder as generated ones are
 * @param others pictures of random individuals of the same class, passed through it too
 * @throws InvalidOptionError if there are none, or if others are as near to the subject as itself
 */
export function createSubjectReference(
  classIndex: number,
  real: readonly OracleReading[],
  others: readonly OracleReading[],
): SubjectReference {
  if (real.length === 0 || others.length === 0) {
    throw new InvalidOptionError(
      'reference',
      `A subject reference needs pictures of the subject and of others of its class, but got ${real.length} and ${others.length}. Render more.`,
    );
  }
  const identities = real.map(identityOf);
  const identity = identities[0]!.map((_, i) => mean(identities.map((each) => each[i]!)));
  const distances = (readings: readonly OracleReading[]) =>
    mean(readings.map((reading) => euclidean(identityOf(reading), identity)));
  const [chance, ceiling] = [distances(others), distances(real)];
  if (chance <= ceiling) {
    throw new InvalidOptionError(
      'reference',
      `Others of the class lie at ${chance.toFixed(3)} from the subject, its own pictures at ${ceiling.toFixed(3)}: the oracle cannot tell them apart. Use more pictures of both, or a better trained oracle.`,
    );
  }
  return { class: classIndex, identity, chance, ceiling };
}

/**
 * Concept preservation of one picture: 0 for another individual of the class or for another class,
 * 1 for what real pictures of the subject reach.
 */
export function conceptScore(reading: OracleReading, reference: SubjectReference): number {
  return reading.class === reference.class ? ungatedConceptScore(reading, reference) : 0;
}

/** The same without asking for the class: what of the identity came through, whatever it is on. */
export function ungatedConceptScore(reading: OracleReading, reference: SubjectReference): number {
  const { chance, ceiling } = reference;
  const score = (chance - identityDistance(reading, reference)) / (chance - ceiling);
  return Math.max(0, Math.min(1, score));
}

/** LEAK: the share of pictures of the bare class noun on which the subject itself appears. */
export function leak(readings: readonly OracleReading[], reference: SubjectReference): number {
  const { chance, ceiling } = reference;
  const limit = ceiling + (chance - ceiling) / 4;
  return mean(readings.map((reading) => (identityDistance(reading, reference) < limit ? 1 : 0)));
}
