import type { OracleReading } from '../../sdk/evaluation/oracle-reading';

/** A reading of class 0 with everything else 0 and plain, changed where the case needs it. */
export function reading(
  change: Partial<OracleReading> & {
    readonly at?: readonly number[];
    readonly feature?: readonly number[];
  } = {},
): OracleReading {
  const { at = [], feature = [1, 0], ...rest } = change;
  const appearance = new Array<number>(12).fill(0);
  at.forEach((value, i) => {
    appearance[i] = value;
  });
  return {
    features: Float32Array.from(feature),
    class: 0,
    context: 0,
    accessory: 0,
    colour: 0,
    pattern: 0,
    patternProbabilities: [1, 0, 0, 0],
    appearance,
    ...rest,
  };
}
