/** Weights for a model that starts from nothing. */
import { Graph, type Value } from '../graph/graph';
import type { Random } from '../random';
import { type Shape, sizeOf } from '../tensor';
import type { Weights } from './weights';

export interface DeclaredWeight {
  readonly key: string;
  readonly shape: Shape;
}

/** The weights that `build` asks for, in its order: builds the model once on a graph that is thrown away. */
export function declaredWeights(build: (w: Weights, graph: Graph) => void): DeclaredWeight[] {
  const graph = new Graph();
  const declared = new Map<string, Value>();
  const position = (path: string): Weights => ({
    graph,
    path,
    at: (name) => position(path === '' ? `${name}` : `${path}.${name}`),
    adapt: (_x, y) => y,
    parameter(name, shape) {
      const key = path === '' ? name : `${path}.${name}`;
      const value = declared.get(key) ?? graph.input(key, 'float32', shape);
      declared.set(key, value);
      return value;
    },
  });
  build(position(''), graph);
  return [...declared].map(([key, { shape }]) => ({ key, shape }));
}

/** The last layer of each residual branch begins at zero, so that a deep network begins as the identity. */
const residualEnds = /(conv2|to_out\.0|ff\.net\.2|out_proj|mlp\.fc2|conv_out)\.weight$/;

/**
 * PyTorch's first values: uniform within ±1/√(inputs) for matrices and kernels, N(0, 0.02²) for embedding tables, one for a
 * norm's scale, zero for biases; zero, too, where a residual branch ends, if `zeroResiduals`.
 */
export function initialWeight(
  { key, shape }: DeclaredWeight,
  random: Random,
  zeroResiduals = true,
): Float32Array {
  const size = sizeOf(shape);
  if (shape.length === 1) return new Float32Array(size).fill(key.endsWith('weight') ? 1 : 0);
  if (key.endsWith('_embedding.weight')) return random.normals(size).map((x) => x * 0.02);
  if (zeroResiduals && residualEnds.test(key)) return new Float32Array(size);
  const bound = 1 / Math.sqrt(sizeOf(shape.slice(1)));
  return Float32Array.from({ length: size }, () => (2 * random.uniform() - 1) * bound);
}
