/**
 * What every operator means, in float64, one kernel an entry: written from ONNX's definitions to be read, not to be
 * fast, and without a look at how sdk/graph infers shapes or lowers, since it judges both.
 */
import type { Value } from '../sdk/graph/graph';
import type { AttributesOf, InputsOf, OpType } from '../sdk/graph/operators';
import type { DataType, Shape } from '../sdk/tensor';
import { array, at, broadcastAt, fill, type Index, type NumberArray, sumOver } from './number-array';

type Arrays<I extends readonly unknown[]> = {
  readonly [K in keyof I]: I[K] extends Value ? NumberArray : NumberArray | undefined;
};
export type Kernel<T extends OpType> = (
  inputs: Arrays<InputsOf<T>>,
  attributes: AttributesOf<T>,
  interpret: Interpret,
) => NumberArray | readonly NumberArray[];
/** Runs a loop's body. */
export type Interpret = (
  outputs: Readonly<Record<string, Value>>,
  feeds: Readonly<Record<string, NumberArray>>,
) => Record<string, NumberArray>;
type Operands = readonly NumberArray[];

const each =
  (f: (x: number) => number) =>
  ([x]: Operands): NumberArray => ({ ...x!, data: x!.data.map(f) });

const commonShape = (a: Shape, b: Shape): Shape => {
  const rank = Math.max(a.length, b.length);
  const size = (shape: Shape, i: number) => shape[i - rank + shape.length] ?? 1;
  return Array.from({ length: rank }, (_, i) => (size(a, i) === 1 ? size(b, i) : size(a, i)));
};
const pairs =
  (f: (a: number, b: number) => number, dtype?: DataType) =>
  ([a, b]: Operands): NumberArray =>
    fill(dtype ?? a!.dtype, commonShape(a!.shape, b!.shape), (i) =>
      f(broadcastAt(a!, i), broadcastAt(b!, i)),
    );

const fromFront = (axis: number, { shape }: NumberArray) => (axis < 0 ? axis + shape.length : axis);
const replaced = (index: Index, axis: number, value: number) =>
  index.map((i, at) => (at === axis ? value : i));

/** erf(x) = 2/√π · exp(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1·3·5…(2n+1)), whose terms all have one sign. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Sum, or with `mean` average, over `axes`. */
const reduce =
  (mean: boolean) =>
  ([x]: Operands, { axes, keepdims }: AttributesOf<'ReduceSum'>): NumberArray => {
    const gone = new Set(axes.map((axis) => fromFront(axis, x!)));
    const sizes = x!.shape.map((size, axis) => (gone.has(axis) ? size : 1));
    const count = mean ? sizes.reduce((a, b) => a * b, 1) : 1;
    const kept = fill(
      x!.dtype,
      x!.shape.map((size, axis) => (gone.has(axis) ? 1 : size)),
      (index) => {
        const sum = sumOver(sizes, (inner) =>
          at(
            x!,
            index.map((i, axis) => i + inner[axis]!),
          ),
        );
        return sum / count;
      },
    );
    return keepdims ? kept : { ...kept, shape: x!.shape.filter((_, axis) => !gone.has(axis)) };
  };

function softmax(x: NumberArray, axis: number): NumberArray {
  const along = fromFront(axis, x);
  const size = x.shape[along]!;
  return fill(x.dtype, x.shape, (index) => {
    const row = Array.from({ length: size }, (_, i) => at(x, replaced(index, along, i)));
    const largest = Math.max(...row);
    const total = row.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    return Math.exp(at(x, index) - largest) / total;
  });
}

/** alpha · a × b over the last two axes, either transposed, batch axes broadcast. */
function matMul(a: NumberArray, b: NumberArray, { alpha = 1, transA = 0, transB = 0 } = {}): NumberArray {
  const swap = (x: NumberArray, swapped: number) => (swapped ? transpose(x, lastTwoSwapped(x)) : x);
  const [left, right] = [swap(a, transA), swap(b, transB)];
  const inner = left.shape.at(-1)!;
  if (inner !== right.shape.at(-2)) throw new Error(`inner sizes differ: [${left.shape}] × [${right.shape}]`);
  const batch = commonShape(left.shape.slice(0, -2), right.shape.slice(0, -2));
  return fill(a.dtype, [...batch, left.shape.at(-2)!, right.shape.at(-1)!], (index) => {
    const [row, column] = index.slice(-2) as [number, number];
    const lead = index.slice(0, -2);
    let sum = 0;
    for (let i = 0; i < inner; i++)
      sum += broadcastAt(left, [...lead, row, i]) * broadcastAt(right, [...lead, i, column]);
    return alpha * sum;
  });
}
const lastTwoSwapped = ({ shape }: NumberArray) => {
  const axes = shape.map((_, axis) => axis);
  return [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!];
};
const transpose = (x: NumberArray, perm: readonly number[]): NumberArray =>
  fill(
    x.dtype,
    perm.map((axis) => x.shape[axis]!),
    (index) =>
      at(
        x,
        x.shape.map((_, axis) => index[perm.indexOf(axis)]!),
      ),
  );

/** Normalises each run of `length` neighbours; mean and 1/√(variance + epsilon) a run. */
function normalize(x: NumberArray, length: number, epsilon: number) {
  const means: number[] = [];
  const scales: number[] = [];
  const data = new Float64Array(x.data.length);
  for (let start = 0; start < data.length; start += length) {
    const run = x.data.subarray(start, start + length);
    const mean = run.reduce((sum, value) => sum + value, 0) / length;
    const variance = run.reduce((sum, value) => sum + (value - mean) ** 2, 0) / length;
    const scale = 1 / Math.sqrt(variance + epsilon);
    means.push(mean);
    scales.push(scale);
    data.set(
      run.map((value) => (value - mean) * scale),
      start,
    );
  }
  return { data, means, scales };
}

export const kernels: { readonly [T in OpType]: Kernel<T> } = {
  Add: pairs((a, b) => a + b),
  Sub: pairs((a, b) => a - b),
  Mul: pairs((a, b) => a * b),
  Div: ([a, b]) => pairs((x, y) => (a.dtype.startsWith('int') ? Math.trunc(x / y) : x / y))([a, b]),
  Pow: pairs((a, b) => a ** b),
  Min: pairs(Math.min),
  Max: pairs(Math.max),
  Neg: each((x) => -x),
  Abs: each(Math.abs),
  Sign: each(Math.sign),
  Exp: each(Math.exp),
  Log: each(Math.log),
  Sqrt: each(Math.sqrt),
  Sin: each(Math.sin),
  Cos: each(Math.cos),
  Erf: each(erf),
  Sigmoid: each(sigmoid),
  Tanh: each(Math.tanh),
  Relu: each((x) => Math.max(x, 0)),
  Gelu: each((x) => (x * (1 + erf(x / Math.SQRT2))) / 2),
  QuickGelu: ([x], { alpha }) => each((value) => value * sigmoid(alpha * value))([x]),
  Equal: pairs((a, b) => Number(a === b), 'bool'),
  Greater: pairs((a, b) => Number(a > b), 'bool'),
  Less: pairs((a, b) => Number(a < b), 'bool'),
  Where: ([condition, x, y]) =>
    fill(x.dtype, commonShape(condition.shape, commonShape(x.shape, y.shape)), (index) =>
      broadcastAt(condition, index) ? broadcastAt(x, index) : broadcastAt(y, index),
    ),
  // Numbers stay exact: between float types nothing is rounded.
  Cast: ([x], { to }) => {
    const convert =
      to === 'bool' ? (v: number) => Number(v !== 0) : to.startsWith('float') ? (v: number) => v : Math.trunc;
    return { dtype: to, shape: x.shape, data: x.data.map(convert) };
  },
  Identity: ([x]) => x,
  Clip: ([x], { min, max }) => each((value) => Math.min(Math.max(value, min), max))([x]),
  ReduceSum: reduce(false),
  ReduceMean: reduce(true),
  Softmax: ([x], { axis }) => softmax(x, axis),

  Reshape: ([x], { shape }) => {
    const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
    return array(
      x.dtype,
      shape.map((size) => (size === -1 ? x.data.length / known : size)),
      x.data,
    );
  },
  Transpose: ([x], { perm }) => transpose(x, perm),
  Expand: ([x], { shape }) => fill(x.dtype, commonShape(x.shape, shape), (index) => broadcastAt(x, index)),
  Concat: (parts, { axis }) => {
    const along = fromFront(axis, parts[0]!);
    const total = parts.reduce((sum, part) => sum + part.shape[along]!, 0);
    return fill(parts[0]!.dtype, replaced(parts[0]!.shape, along, total), (index) => {
      let place = index[along]!;
      const part = parts.find(({ shape }) => {
        if (place < shape[along]!) return true;
        place -= shape[along]!;
        return false;
      });
      return at(part!, replaced(index, along, place));
    });
  },
  Split: ([x], { split, axis }) => {
    const along = fromFront(axis, x);
    return split.map((size, part) => {
      const start = split.slice(0, part).reduce((sum, before) => sum + before, 0);
      return fill(x.dtype, replaced(x.shape, along, size), (index) =>
        at(x, replaced(index, along, index[along]! + start)),
      );
    });
  },
  // The places that a Python slice start:end:step would visit, axis by axis.
  Slice: ([x], { starts, ends, axes, steps }) => {
    const places = x.shape.map((size) => Array.from({ length: size }, (_, i) => i));
    axes.forEach((axis, i) => {
      const size = x.shape[fromFront(axis, x)]!;
      const [start, end, step] = [starts[i]!, ends[i]!, steps[i]!];
      const counted = (place: number) => (place < 0 ? place + size : place);
      const first = Math.min(Math.max(counted(start), 0), step > 0 ? size : size - 1);
      const last = step > 0 ? Math.min(counted(end), size) : Math.max(counted(end), -1);
      const visited: number[] = [];
      for (let place = first; step > 0 ? place < last : place > last; place += step) visited.push(place);
      places[fromFront(axis, x)] = visited;
    });
    return fill(
      x.dtype,
      places.map((visited) => visited.length),
      (index) =>
        at(
          x,
          index.map((i, axis) => places[axis]![i]!),
        ),
    );
  },
  Pad: ([x], { pads }) => {
    const rank = x.shape.length;
    const shape = x.shape.map((size, axis) => size + pads[axis]! + pads[axis + rank]!);
    return fill(x.dtype, shape, (index) =>
      at(
        x,
        index.map((i, axis) => i - pads[axis]!),
      ),
    );
  },
  Gather: ([data, indices], { axis }) => {
    const along = fromFront(axis, data);
    const rank = indices.shape.length;
    return fill(
      data.dtype,
      [...data.shape.slice(0, along), ...indices.shape, ...data.shape.slice(along + 1)],
      (index) => {
        const picked = at(indices, index.slice(along, along + rank));
        const row = picked < 0 ? picked + data.shape[along]! : picked;
        return at(data, [...index.slice(0, along), row, ...index.slice(along + rank)]);
      },
    );
  },
  Resize: ([x], { sizes }) =>
    fill(x.dtype, sizes, (index) =>
      at(
        x,
        index.map((i, axis) => Math.floor((i * x.shape[axis]!) / sizes[axis]!)),
      ),
    ),

  MatMul: ([a, b]) => matMul(a, b),
  FusedMatMul: ([a, b], attributes) => matMul(a, b, attributes),
  Gemm: ([a, b, c], { beta = 1, ...attributes }) => {
    const product = matMul(a, b, attributes);
    return c
      ? fill(a.dtype, product.shape, (index) => at(product, index) + beta * broadcastAt(c, index))
      : product;
  },
  Conv: ([x, w, b], { strides, pads, dilations, group }) => {
    const [n, , ...sizes] = x.shape as [number, number, ...number[]];
    const [outputs, perGroup, ...kernel] = w.shape as [number, number, ...number[]];
    const places = sizes.map((size, i) => {
      const reach = (kernel[i]! - 1) * dilations[i]! + 1;
      return Math.floor((size + pads[i]! + pads[i + 2]! - reach) / strides[i]!) + 1;
    });
    return fill(x.dtype, [n, outputs, ...places], ([image, k, row, column]) => {
      const firstChannel = Math.floor(k! / (outputs / group)) * perGroup;
      const sum = sumOver([perGroup, ...kernel], ([c, i, j]) => {
        const y = row! * strides[0]! - pads[0]! + i! * dilations[0]!;
        const xAt = column! * strides[1]! - pads[1]! + j! * dilations[1]!;
        return at(w, [k!, c!, i!, j!]) * at(x, [image!, firstChannel + c!, y, xAt]);
      });
      return sum + (b ? at(b, [k!]) : 0);
    });
  },
  // Each input pixel adds the kernel, times itself, to the places that a convolution would have read it from.
  ConvTranspose: ([x, w], { strides, pads, dilations, group, output_padding }) => {
    const [n, channels, ...sizes] = x.shape as [number, number, ...number[]];
    const [, perGroup, ...kernel] = w.shape as [number, number, ...number[]];
    const places = sizes.map(
      (size, i) =>
        (size - 1) * strides[i]! +
        (kernel[i]! - 1) * dilations[i]! +
        1 +
        output_padding[i]! -
        pads[i]! -
        pads[i + 2]!,
    );
    const [height, width] = places as [number, number];
    const data = new Float64Array(n * perGroup * group * height * width);
    fill('float64', [...x.shape, perGroup, ...kernel], ([image, c, row, column, k, i, j]) => {
      const y = row! * strides[0]! - pads[0]! + i! * dilations[0]!;
      const xAt = column! * strides[1]! - pads[1]! + j! * dilations[1]!;
      if (y < 0 || y >= height || xAt < 0 || xAt >= width) return 0;
      const output = Math.floor(c! / (channels / group)) * perGroup + k!;
      data[((image! * perGroup * group + output) * height + y) * width + xAt]! +=
        at(x, [image!, c!, row!, column!]) * at(w, [c!, k!, i!, j!]);
      return 0;
    });
    return array(x.dtype, [n, perGroup * group, height, width], data);
  },
  LayerNormalization: ([x, scale, bias], { epsilon }) => {
    const length = x.shape.at(-1)!;
    const { data, means, scales } = normalize(x, length, epsilon);
    const y = data.map((value, i) => value * scale.data[i % length]! + (bias?.data[i % length] ?? 0));
    const statistics = [...x.shape.slice(0, -1), 1];
    return [
      array(x.dtype, x.shape, y),
      array('float32', statistics, means),
      array('float32', statistics, scales),
    ];
  },
  GroupNormalization: ([x, scale, bias], { num_groups, epsilon }) => {
    const [n, c, h, w] = x.shape as [number, number, number, number];
    const { data, scales } = normalize(x, (c / num_groups) * h * w, epsilon);
    const channel = (i: number) => Math.floor(i / (h * w)) % c;
    return [
      array(
        x.dtype,
        x.shape,
        data.map((value, i) => value * scale.data[channel(i)]! + bias.data[channel(i)]!),
      ),
      array(x.dtype, [n, c, h * w], data),
      array('float32', [n, num_groups, 1], scales),
    ];
  },
  Attention: ([q, k, v, mask], { scale }) => {
    const scores = matMul(q, k, { alpha: scale, transB: 1 });
    const probabilities = softmax(mask ? pairs((a, b) => a + b)([scores, mask]) : scores, -1);
    return [matMul(probabilities, v), probabilities];
  },
  Loop: (initial, { body, trips }, interpret) => {
    let state = [...initial];
    const gathered: NumberArray[][] = [];
    for (let trip = 0; trip < trips; trip++) {
      const arrays = [array('int64', [], [trip]), array('bool', [], [1]), ...state];
      const feeds = Object.fromEntries(body.inputs.map((input, i) => [input.name, arrays[i]!]));
      const outputs = Object.fromEntries(body.outputs.map((output, i) => [`${i}`, output]));
      const results = Object.values(interpret(outputs, feeds)).slice(1);
      state = results.slice(0, initial.length);
      gathered.push(results.slice(initial.length));
    }
    const stacked = (gathered[0] ?? []).map((first, i) =>
      array(
        first.dtype,
        [trips, ...first.shape],
        gathered.flatMap((trip) => [...trip[i]!.data]),
      ),
    );
    return [...state, ...stacked];
  },
};
