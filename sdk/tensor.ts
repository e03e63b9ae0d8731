/** Arrays with a type and a shape, and the one table of element types. */

/** What each element type is called by whom: `onnx` is TensorProto.DataType, `safetensors` the header's tag. */
export const dataTypes = {
  float32: { bytes: 4, onnx: 1, safetensors: 'F32', array: Float32Array },
  float16: { bytes: 2, onnx: 10, safetensors: 'F16', array: Uint16Array },
  bfloat16: { bytes: 2, onnx: 16, safetensors: 'BF16', array: Uint16Array },
  float64: { bytes: 8, onnx: 11, safetensors: 'F64', array: Float64Array },
  int64: { bytes: 8, onnx: 7, safetensors: 'I64', array: BigInt64Array },
  int32: { bytes: 4, onnx: 6, safetensors: 'I32', array: Int32Array },
  uint8: { bytes: 1, onnx: 2, safetensors: 'U8', array: Uint8Array },
  bool: { bytes: 1, onnx: 9, safetensors: 'BOOL', array: Uint8Array },
} as const;

export type DataType = keyof typeof dataTypes;
export interface ArrayOf {
  float32: Float32Array;
  float16: Uint16Array;
  bfloat16: Uint16Array;
  float64: Float64Array;
  int64: BigInt64Array;
  int32: Int32Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}
export type Shape = readonly number[];

/** `data` is row-major; half-precision types hold their bit patterns. */
export interface Tensor<T extends DataType = DataType> {
  readonly dtype: T;
  readonly shape: Shape;
  readonly data: ArrayOf[T];
}

/** A tensor whose bytes lie in a file, little-endian and row-major, to be read or mapped from there. */
export interface StoredTensor {
  readonly dtype: DataType;
  readonly shape: Shape;
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  /** The file has a matrix with rows and columns exchanged, [shape[1], shape[0]]. */
  readonly transposed?: true;
}

/** Number of elements; 1 for a scalar's shape `[]`. */
export const sizeOf = (shape: Shape): number => shape.reduce((product, size) => product * size, 1);

export const float32 = (shape: Shape, data: Float32Array | readonly number[]): Tensor<'float32'> => ({
  dtype: 'float32',
  shape,
  data: data instanceof Float32Array ? data : Float32Array.from(data),
});

/** One array of `parts`, one after another; the part itself where it is one. */
export function joinArrays(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
