import { ACCESSORIES, CLASSES, COLOURS, CONTEXTS, type Colour, PATTERNS, type Scene } from '../toybox/scene';

/**
 * What the oracle, a network trained on the world's own renders, reads off one picture. Class, context,
 * accessory, colour and pattern are the indices of the largest logit in the world's lists.
 */
export interface OracleReading {
  /** The 256 numbers before the oracle's heads. */
  readonly features: Float32Array;
  readonly class: number;
  readonly context: number;
  readonly accessory: number;
  readonly colour: number;
  readonly pattern: number;
  /** Softmax of the pattern logits: four numbers that sum to 1. */
  readonly patternProbabilities: readonly number[];
  /** The regressed identity: c1, c2, c3 and shape, each number in about 0 … 1. */
  readonly appearance: readonly number[];
}

/** The mean of some numbers; NaN of none, so that a metric without pictures cannot pass for a value. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The scene that a reading believes in, for `reRender` to draw and compare. */
export function believedScene(reading: OracleReading): Omit<Scene, 'pose' | 'background'> {
  const [r1, g1, b1, r2, g2, b2, r3, g3, b3, ...shape] = reading.appearance.map((value) =>
    Math.max(0, Math.min(1, value)),
  );
  return {
    class: CLASSES[reading.class]!,
    context: CONTEXTS[reading.context]!,
    accessory: ACCESSORIES[reading.accessory]!,
    appearance: {
      colour: COLOURS[reading.colour]!,
      pattern: PATTERNS[reading.pattern]!,
      c1: [r1, g1, b1] as Colour,
      c2: [r2, g2, b2] as Colour,
      c3: [r3, g3, b3] as Colour,
      shape: shape as unknown as Colour,
    },
  };
}
