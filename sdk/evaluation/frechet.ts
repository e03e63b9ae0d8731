import { dot } from './features';

/**
 * The Fréchet distance of two sets of vectors, each taken for a normal distribution (Heusel et al. 2017):
 *
 *     |m1 − m2|² + tr C1 + tr C2 − 2 tr (C1^½ C2 C1^½)^½
 *
 * With A the centred vectors over √n as columns, C = A Aᵀ, and the last trace is the sum of the singular
 * values of A1ᵀ A2. That matrix is as small as the sets, so no root of a large covariance is needed, and
 * fewer vectors than dimensions do no harm.
 */
export function frechetDistance(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number {
  const [first, second] = [centred(a), centred(b)];
  const apart = first.mean.map((value, i) => value - second.mean[i]!);
  const cross = first.vectors.map((u) => second.vectors.map((v) => dot(u, v)));
  // Singular values of a matrix are the roots of the eigenvalues of (its transpose times itself).
  const gram = second.vectors.map((_, i) =>
    second.vectors.map((__, j) => cross.reduce((sum, row) => sum + row[i]! * row[j]!, 0)),
  );
  const singular = eigenvalues(gram).map((value) => Math.sqrt(Math.max(0, value)));
  const spread = (vectors: readonly Float64Array[]) => vectors.reduce((sum, v) => sum + dot(v, v), 0);
  const shared = singular.reduce((sum, value) => sum + value, 0);
  return Math.max(0, dot(apart, apart) + spread(first.vectors) + spread(second.vectors) - 2 * shared);
}

/** Eigenvalues of a symmetric matrix, in no order, by cyclic Jacobi rotations. */
export function eigenvalues(matrix: readonly (readonly number[])[]): number[] {
  const m = matrix.map((row) => Float64Array.from(row));
  const size = m.length;
  const total = m.reduce((sum, row) => sum + dot(row, row), 0);
  for (let sweep = 0; sweep < 50; sweep++) {
    let off = 0;
    for (let p = 0; p < size; p++) for (let q = 0; q < p; q++) off += m[p]![q]! ** 2;
    if (off <= 1e-24 * total) break;
    for (let p = 0; p < size; p++) for (let q = p + 1; q < size; q++) rotate(m, p, q);
  }
  return m.map((row, i) => row[i]!);
}

/** One rotation in the plane of axes p and q, after which the entry (p, q) is 0. */
function rotate(m: readonly Float64Array[], p: number, q: number) {
  const [rowP, rowQ] = [m[p]!, m[q]!];
  if (rowP[q] === 0) return;
  const theta = (rowQ[q]! - rowP[p]!) / (2 * rowP[q]!);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const cos = 1 / Math.sqrt(t * t + 1);
  const sin = t * cos;
  for (const row of m) {
    const [a, b] = [row[p]!, row[q]!];
    row[p] = cos * a - sin * b;
    row[q] = sin * a + cos * b;
  }
  for (let i = 0; i < rowP.length; i++) {
    const [a, b] = [rowP[i]!, rowQ[i]!];
    rowP[i] = cos * a - sin * b;
    rowQ[i] = sin * a + cos * b;
  }
}

/** The mean, and the vectors less the mean over √n. */
function centred(vectors: readonly ArrayLike<number>[]) {
  const mean = new Float64Array(vectors[0]?.length ?? 0);
  for (const vector of vectors) {
    for (let i = 0; i < mean.length; i++) mean[i]! += vector[i]! / vectors.length;
  }
  const root = Math.sqrt(vectors.length);
  return {
    mean,
    vectors: vectors.map((vector) => Float64Array.from(vector, (v, i) => (v - mean[i]!) / root)),
  };
}
