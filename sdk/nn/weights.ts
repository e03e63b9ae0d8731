/** A position in a checkpoint: `weights.at('down_blocks').at(0)` names exactly the key that the file uses. */
import { MissingWeightError, WeightShapeError } from '../errors';
import type { Graph, Value } from '../graph/graph';
import { op } from '../graph/operators';
import { type Shape, type StoredTensor, sizeOf } from '../tensor';

export interface Weights {
  /** The graph that the weights become part of. */
  readonly graph: Graph;
  /** The key so far, such as `down_blocks.0.resnets.1`. */
  readonly path: string;
  at(name: string | number): Weights;
  /** The weight at `path.name` as float32; an error names it when it is missing or of another shape. */
  parameter(name: string, shape: Shape): Value;
  /**
   * What a layer adds to its output `y` for the input `x`: a LoRA, where there is one for the layer's path.
   * Rows of features for a linear layer, NCHW for a convolution (`window` given).
   */
  adapt(x: Value, y: Value, window?: ConvolutionWindow): Value;
}

export interface ConvolutionWindow {
  readonly strides: readonly number[];
  readonly pads: readonly number[];
}

/** `path` is the layer's, `x` its input, `y` its output. */
export type LayerAdapter = (path: string, x: Value, y: Value, window?: ConvolutionWindow) => Value;

export interface CheckpointWeights {
  /** What the weights belong to, in names and errors: `unet`, `vae`, `text_encoder`. */
  readonly component: string;
  /** Keys to tensors in their files. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Weights that are trained, or given at run time, instead of those in the file. */
  readonly replaced?: ReadonlyMap<string, Value>;
  readonly adapt?: LayerAdapter;
}

/** The root of a component's weights in `graph`. Frozen ones stay in their files and are cast to float32. */
export function checkpointWeights(graph: Graph, from: CheckpointWeights): Weights {
  const casts = new Map<string, Value>();
  const position = (path: string): Weights => ({
    graph,
    path,
    at: (name) => position(path === '' ? `${name}` : `${path}.${name}`),
    adapt: (x, y, window) => (from.adapt ? from.adapt(path, x, y, window) : y),
    parameter(name, shape) {
      const key = path === '' ? name : `${path}.${name}`;
      const replaced = from.replaced?.get(key);
      const tensor = from.tensors.get(key);
      if (!tensor && !replaced) throw new MissingWeightError(from.component, key, [...from.tensors.keys()]);
      const found = replaced?.shape ?? tensor!.shape;
      // Older files keep the matrices of an attention as 1×1 convolutions; the bytes are the same.
      const same =
        found.join() === shape.join() ||
        (!replaced && sizeOf(found) === sizeOf(shape) && squeezed(found) === squeezed(shape));
      if (!same) throw new WeightShapeError(from.component, key, found, shape);
      if (replaced) return replaced;
      const known = casts.get(key);
      if (known) return known;
      const lying = tensor!.transposed ? shape.toReversed() : shape;
      const stored = graph.stored(`${from.component}.${key}`, { ...tensor!, shape: lying });
      const float = stored.dtype === 'float32' ? stored : op.Cast(stored, { to: 'float32' });
      const value = tensor!.transposed ? op.Transpose(float, { perm: [1, 0] }) : float;
      casts.set(key, value);
      return value;
    },
  });
  return position('');
}

const squeezed = (shape: Shape) => shape.filter((size) => size !== 1).join();
