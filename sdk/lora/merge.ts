import type { TensorInTheMaking } from '../checkpoint/safetensors';
import { fromFloat32, toFloat32 } from '../half';
import type { DataType, Tensor } from '../tensor';
import type { WeightedLora } from './lora-weights';

/**
 * A layer's weight with LoRA put in for good: W + Σ weight · (alpha / rank) · up · down, added in float32 (the
 * products in float64) and rounded once to the weight's own element type. `name` is the layer's (see `LoraLayers`).
 */
export function withLoras(
  tensor: TensorInTheMaking,
  name: string,
  loras: readonly WeightedLora[],
): TensorInTheMaking {
  const present = loras.filter(({ layers }) => layers.has(name));
  if (present.length === 0) return tensor;
  return {
    ...tensor,
    make() {
      const values = toFloat32({ ...tensor, data: tensor.make() } as Tensor).slice();
      for (const { layers, weight } of present) {
        const { down, up, alpha } = layers.get(name)!;
        const rank = down.shape[0]!;
        const rows = up.shape[0]!;
        const columns = values.length / rows;
        const scale = (weight * alpha) / rank;
        const added = new Float64Array(columns);
        for (let row = 0; row < rows; row++) {
          added.fill(0);
          for (let r = 0; r < rank; r++) {
            const factor = scale * up.data[row * rank + r]!;
            const from = r * columns;
            for (let column = 0; column < columns; column++)
              added[column]! += factor * down.data[from + column]!;
          }
          const at = row * columns;
          for (let column = 0; column < columns; column++) values[at + column]! += added[column]!;
        }
      }
      return fromFloat32(values, tensor.dtype);
    },
  };
}

/** The same weight in another floating-point type; numbers of other kinds stay as they are. */
export function inType(tensor: TensorInTheMaking, dtype: DataType): TensorInTheMaking {
  if (tensor.dtype === dtype || !/float/.test(tensor.dtype)) return tensor;
  return {
    dtype,
    shape: tensor.shape,
    make: () => fromFloat32(toFloat32({ ...tensor, data: tensor.make() } as Tensor), dtype),
  };
}
