/** Arrays of exact numbers for the interpreter: every element type is held as float64, bool as 0 and 1. */
import { halfToNumber, numberToHalf } from '../sdk/half';
import { type DataType, dataTypes, type Shape, sizeOf, type Tensor } from '../sdk/tensor';

export interface NumberArray {
  readonly dtype: DataType;
  readonly shape: Shape;
  readonly data: Float64Array;
}

export type Index = readonly number[];

export const array = (dtype: DataType, shape: Shape, data: ArrayLike<number>): NumberArray => {
  if (data.length !== sizeOf(shape)) throw new Error(`${data.length} numbers do not fill [${shape}]`);
  return { dtype, shape, data: Float64Array.from(data) };
};

/** The array whose element at each index is `element(index)`. */
export function fill(dtype: DataType, shape: Shape, element: (index: Index) => number): NumberArray {
  const data = new Float64Array(sizeOf(shape));
  const index = shape.map(() => 0);
  for (let place = 0; place < data.length; place++) {
    data[place] = element(index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]! += 1;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return { dtype, shape, data };
}

/** The element at `index`; 0 outside. */
export function at({ shape, data }: NumberArray, index: Index): number {
  let place = 0;
  for (let axis = 0; axis < shape.length; axis++) {
    const i = index[axis]!;
    if (i < 0 || i >= shape[axis]!) return 0;
    place = place * shape[axis]! + i;
  }
  return data[place]!;
}

/** The element that broadcasting puts at `index` of a larger shape. */
export const broadcastAt = (x: NumberArray, index: Index): number => {
  const aligned = index.slice(index.length - x.shape.length);
  return at(
    x,
    aligned.map((i, axis) => (x.shape[axis] === 1 ? 0 : i)),
  );
};

/** Σ over every index of `shape`. */
export const sumOver = (shape: Shape, term: (index: Index) => number): number =>
  fill('float64', shape, term).data.reduce((sum, x) => sum + x, 0);

/** As the runtime takes it. */
export function toTensor({ dtype, shape, data }: NumberArray): Tensor {
  if (dtype === 'int64') return { dtype, shape, data: BigInt64Array.from(data, BigInt) };
  if (dtype === 'float16') return { dtype, shape, data: Uint16Array.from(data, numberToHalf) };
  return {
    dtype,
    shape,
    data: (dataTypes[dtype].array as typeof Float32Array).from(data),
  } as unknown as Tensor;
}

export function fromTensor(tensor: Tensor): NumberArray {
  const { dtype, shape, data } = tensor;
  const decode = dtype === 'float16' ? halfToNumber : Number;
  return { dtype, shape, data: Float64Array.from(data as ArrayLike<number>, decode) };
}
