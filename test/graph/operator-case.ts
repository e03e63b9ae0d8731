/** One case of an operator: inputs by shape and kind of number, attributes, and the graph of one node made from them. */
import { Graph, type Value } from '../../sdk/graph/graph';
import { type AttributesOf, append, type OpType } from '../../sdk/graph/operators';
import { createRandom, type Random } from '../../sdk/random';
import { type DataType, type Shape, sizeOf } from '../../sdk/tensor';
import { array, type NumberArray } from '../number-array';

export interface CaseInput {
  readonly dtype: DataType;
  readonly shape: Shape;
  readonly draw: (random: Random) => number;
}

export interface OperatorCase<T extends OpType> {
  readonly title: string;
  /** Undefined where an optional input is left out. */
  readonly inputs: readonly (CaseInput | undefined)[];
  readonly attributes: AttributesOf<T>;
  /** The rule refuses this form with UnsupportedGradientError. */
  readonly gradientRefused?: true;
}

export const normal = (...shape: number[]): CaseInput => ({
  dtype: 'float32',
  shape,
  draw: (random) => random.normal(),
});
export const positive = (...shape: number[]): CaseInput => ({
  ...normal(...shape),
  draw: (random) => 0.5 + 1.5 * random.uniform(),
});
/** Normal numbers at least a quarter away from zero. */
export const awayFromZero = (...shape: number[]): CaseInput => ({
  ...normal(...shape),
  draw(random) {
    const x = random.normal();
    return x + 0.25 * Math.sign(x);
  },
});
export const integers = (below: number, ...shape: number[]): CaseInput => ({
  dtype: 'int64',
  shape,
  draw: (random) => random.integer(below),
});
export const nonZeroIntegers = (...shape: number[]): CaseInput => ({
  dtype: 'int64',
  shape,
  draw: (random) => (1 + random.integer(9)) * (random.uniform() < 0.5 ? -1 : 1),
});
export const booleans = (...shape: number[]): CaseInput => ({
  dtype: 'bool',
  shape,
  draw: (random) => random.integer(2),
});
/** Multiples of 1/8 that every float type holds exactly. */
export const eighths = (dtype: DataType, ...shape: number[]): CaseInput => ({
  dtype,
  shape,
  draw: (random) => random.integer(64) / 8 - 4,
});

export interface BuiltCase {
  readonly graph: Graph;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  /** Numbers for every input by its name, float32-exact, the same at every call. */
  readonly feeds: Record<string, NumberArray>;
}

/** The graph of one node on inputs `input_0`, `input_1`, …, with numbers to feed. */
export function buildCase<T extends OpType>(
  opType: T,
  { inputs, attributes, title }: OperatorCase<T>,
): BuiltCase {
  const graph = new Graph();
  const random = createRandom(
    [...title].reduce((seed, letter) => seed * 31 + letter.codePointAt(0)!, 7) % 2 ** 31,
  );
  const feeds: Record<string, NumberArray> = {};
  const values = inputs.map((input, i) => {
    if (!input) return undefined;
    const name = `input_${i}`;
    const { dtype, shape, draw } = input;
    const numbers = Array.from({ length: sizeOf(shape) }, () => draw(random));
    feeds[name] = array(dtype, shape, dtype === 'float32' ? numbers.map(Math.fround) : numbers);
    return graph.input(name, dtype, shape);
  });
  const outputs = [append(graph, opType, values, attributes)].flat() as Value[];
  return { graph, inputs: values, outputs, feeds };
}
