/**
 * The only source of randomness: a seeded generator that is passed to whoever draws.
 * xoshiro128** (Blackman & Vigna 2018) seeded through splitmix32, so that neighbouring seeds
 * give unrelated streams; its whole state is five numbers and can be stored in a checkpoint.
 */
export interface Random {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Uniform integer in [0, below). */
  integer(below: number): number;
  /** One draw from the unit normal distribution (Box–Muller). */
  normal(): number;
  /** `length` draws from the unit normal distribution, in order. */
  normals(length: number): Float32Array;
  /** A permutation of 0 … length − 1 (Fisher–Yates). */
  permutation(length: number): number[];
  /** The state from which `restoreRandom` continues the same stream. */
  state(): RandomState;
}

/** Four words of the generator and the normal draw that Box–Muller keeps for the next call, if any. */
export interface RandomState {
  readonly words: readonly [number, number, number, number];
  readonly spare: number | null;
}

/** A generator for `seed`, any safe integer: equal seeds give equal streams on every machine. */
export function createRandom(seed: number): Random {
  let mixed = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0;
  const next = () => {
    mixed = (mixed + 0x9e3779b9) >>> 0;
    let z = mixed;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  return restoreRandom({ words: [next(), next(), next(), next()], spare: null });
}

/** A generator that continues where the one that gave `state` stood. */
export function restoreRandom(state: RandomState): Random {
  let [a, b, c, d] = state.words;
  let spare = state.spare;

  const word = () => {
    const five = Math.imul(b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  // 53 bits, as many as a double holds.
  const uniform = () => ((word() >>> 5) * 2 ** 26 + (word() >>> 6)) / 2 ** 53;
  const normal = () => {
    if (spare !== null) {
      const kept = spare;
      spare = null;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  const integer = (below: number) => Math.floor(uniform() * below);
  return {
    uniform,
    integer,
    normal,
    normals: (length) => Float32Array.from({ length }, normal),
    permutation(length) {
      const order = Array.from({ length }, (_, i) => i);
      for (let i = length - 1; i > 0; i--) {
        const j = integer(i + 1);
        [order[i], order[j]] = [order[j]!, order[i]!];
      }
      return order;
    },
    state: () => ({ words: [a >>> 0, b >>> 0, c >>> 0, d >>> 0], spare }),
  };
}
