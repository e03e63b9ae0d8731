/**
 * Σ coefficient·array, element by element: what every sampler's update is. Sums in double precision and
 * rounds once. The arrays have one length; a new array comes back.
 */
export function linearCombination(
  ...terms: readonly (readonly [coefficient: number, array: Float32Array])[]
): Float32Array {
  const length = terms[0]?.[1].length ?? 0;
  const wrong = terms.find(([, array]) => array.length !== length);
  if (wrong) throw new RangeError(`arrays of ${length} and ${wrong[1].length} elements do not add`);
  const sum = new Float64Array(length);
  for (const [coefficient, array] of terms) {
    for (let i = 0; i < length; i++) sum[i]! += coefficient * array[i]!;
  }
  return Float32Array.from(sum);
}

/** Every element of `array` held within ±`range`. */
export const clamp = (array: Float32Array, range: number): Float32Array =>
  array.map((value) => Math.min(range, Math.max(-range, value)));
