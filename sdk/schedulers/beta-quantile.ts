/** The quantiles of a symmetric Beta distribution. */

/**
 * The x below which a share `probability` of Beta(shape, shape) lies, `shape` > 0, both in [0, 1]; to about 1e-15.
 * Halving an interval needs some fifty evaluations, and there are as many of these as a run has steps.
 */
export function betaQuantile(probability: number, shape: number): number {
  if (probability <= 0) return 0;
  if (probability >= 1) return 1;
  // Symmetric about ½, and more digits are kept near 0 than near 1.
  if (probability > 0.5) return 1 - betaQuantile(1 - probability, shape);
  const half = integral(0.5, shape);
  let [low, high] = [0, 0.5];
  for (let i = 0; i < 200 && high - low > 1e-17; i++) {
    const middle = (low + high) / 2;
    if (integral(middle, shape) / (2 * half) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * ∫₀ˣ (t(1 − t))^(a−1) dt for x ≤ ½, by the series of (1 − t)^(a−1): xᵃ Σ (1 − a)ₙ xⁿ / (n! (a + n)), with
 * (1 − a)ₙ = (1 − a)(2 − a)…(n − a). Each term is at most half of the one before.
 */
function integral(x: number, a: number): number {
  let sum = 0;
  let term = 1;
  for (let n = 0; n < 80; n++) {
    sum += term / (a + n);
    term *= ((n + 1 - a) * x) / (n + 1);
  }
  return x ** a * sum;
}
