/**
 * THE OPERATOR TABLE: every operator this project emits, in ONNX's spelling (opset 18): its inputs, its attributes
 * and the rule that gives its outputs' types. To add an operator, add an entry; the compiler then asks for its
 * gradient in autodiff/gradients.ts and the gradient test for a case.
 *
 * An attribute of kind `input:…` is one that ONNX takes as a constant input (Reshape's shape, Slice's starts).
 * An operator with a rule in lowering.ts is written in terms of others when the model is.
 */
import { GraphError } from '../errors';
import type { DataType } from '../tensor';
import {
  type AttributeValue,
  describe,
  type Graph,
  type Subgraph,
  type Value,
  type ValueType,
} from './graph';
import { broadcastShapes, convolutionSizes, frontAxis, matMulShape, reshapeShape, sliceSize } from './shapes';

type Kinds = {
  int: number;
  float: number;
  ints: readonly number[];
  string: string;
  dtype: DataType;
  graph: Subgraph;
  'input:ints': readonly number[];
  'input:floats': readonly number[];
  'input:float': number;
};
export type AttributeKind = keyof Kinds;
type Declared = Readonly<Record<string, AttributeKind | `${AttributeKind}?`>>;
type Attributes<D extends Declared> = {
  readonly [K in keyof D as D[K] extends AttributeKind ? K : never]: D[K] extends AttributeKind
    ? Kinds[D[K]]
    : never;
} & {
  readonly [K in keyof D as D[K] extends AttributeKind
    ? never
    : K]?: D[K] extends `${infer T extends AttributeKind}?` ? Kinds[T] : never;
};

type Inputs = readonly (Value | undefined)[];
type Types = ValueType | readonly ValueType[];

export interface Operator<I extends Inputs, D extends Declared, T extends Types> {
  readonly attributes: D;
  /** Empty for ONNX's own operators; onnxruntime's contributed ones are `com.microsoft`. */
  readonly domain: '' | 'com.microsoft';
  infer(inputs: I, attributes: Attributes<D>): T;
}

/** An entry: `operator<Inputs>()(attributes, rule)`. A rule that returns an array makes an operator of many outputs. */
const operator =
  <I extends Inputs>(domain: '' | 'com.microsoft' = '') =>
  <D extends Declared, T extends Types>(
    attributes: D,
    infer: (inputs: I, attributes: Attributes<D>) => T,
  ): Operator<I, D, T> => ({ attributes, domain, infer });

type Unary = readonly [x: Value];
type Binary = readonly [a: Value, b: Value];

/** Whether an element type is a floating-point one. */
export const isReal = (dtype: DataType) => dtype.startsWith('float') || dtype === 'bfloat16';
/** The one element type of all inputs, which must be a floating-point one. */
function realType(inputs: Inputs): DataType {
  const dtype = oneType(inputs);
  if (!isReal(dtype)) throw new Error(`takes floating-point numbers, not ${dtype}; Cast first`);
  return dtype;
}
function oneType(inputs: Inputs): DataType {
  const [first, ...others] = [...new Set(inputs.flatMap((input) => input?.dtype ?? []))];
  if (others.length > 0) throw new Error(`element types ${first} and ${others.join(', ')} differ`);
  return first!;
}
function numberType(inputs: Inputs): DataType {
  const dtype = oneType(inputs);
  if (dtype === 'bool') throw new Error('takes numbers, not truths; Cast first');
  return dtype;
}

const sameType = ([x]: Unary): ValueType => ({ dtype: x.dtype, shape: x.shape });
const sameReal = (inputs: Unary): ValueType => ({ dtype: realType(inputs), shape: inputs[0].shape });
const broadcast = (inputs: Binary): ValueType => {
  const [a, b] = inputs;
  return { dtype: numberType(inputs), shape: broadcastShapes(a.shape, b.shape) };
};
const comparison = (inputs: Binary): ValueType => ({ dtype: 'bool', shape: broadcast(inputs).shape });

const unary = () => operator<Unary>()({}, sameType);
const real = () => operator<Unary>()({}, sameReal);
const arithmetic = () =>
  operator<Unary>()({}, ([x]): ValueType => ({ dtype: numberType([x]), shape: x.shape }));
const binary = () => operator<Binary>()({}, broadcast);
const compare = () => operator<Binary>()({}, comparison);

const reduce = () =>
  operator<Unary>()({ axes: 'input:ints', keepdims: 'int' }, ([x], { axes, keepdims }): ValueType => {
    numberType([x]);
    // ONNX takes no axes for all axes.
    if (axes.length === 0) throw new Error('no axes are named; name each that is reduced');
    const reduced = new Set(axes.map((axis) => frontAxis(axis, x.shape.length)));
    return {
      dtype: x.dtype,
      shape: x.shape.flatMap((size, i) => (reduced.has(i) ? (keepdims ? [1] : []) : [size])),
    };
  });

/** Refuses a scale or bias that has not one number a feature. */
function perFeature(values: { scale: Value; bias: Value | undefined }, features: number): void {
  for (const [name, value] of Object.entries(values)) {
    if (value && `${value.shape}` !== `${features}`)
      throw new Error(`the ${name} [${value.shape}] must be [${features}]`);
  }
}

const convolution = { strides: 'ints', pads: 'ints', dilations: 'ints', group: 'int' } as const;

export const operators = {
  Add: binary(),
  Sub: binary(),
  Mul: binary(),
  Div: binary(),
  Pow: binary(),
  Min: binary(),
  Max: binary(),
  Neg: arithmetic(),
  Abs: arithmetic(),
  Sign: arithmetic(),
  Exp: real(),
  Log: real(),
  Sqrt: real(),
  Sin: real(),
  Cos: real(),
  Erf: real(),
  Sigmoid: real(),
  Tanh: real(),
  Relu: real(),
  /** x·Φ(x), the exact form with erf. */
  Gelu: operator<Unary>('com.microsoft')({}, sameReal),
  /** x·σ(alpha·x): SiLU with alpha 1, CLIP's quick_gelu with alpha 1.702. */
  QuickGelu: operator<Unary>('com.microsoft')({ alpha: 'float' }, sameReal),
  Equal: operator<Binary>()({}, ([a, b]): ValueType => {
    oneType([a, b]);
    return { dtype: 'bool', shape: broadcastShapes(a.shape, b.shape) };
  }),
  Greater: compare(),
  Less: compare(),
  Where: operator<readonly [condition: Value, x: Value, y: Value]>()({}, ([condition, x, y]): ValueType => {
    if (condition.dtype !== 'bool') throw new Error(`the condition is ${condition.dtype}; it must be bool`);
    const dtype = oneType([x, y]);
    return { dtype, shape: broadcastShapes(condition.shape, broadcastShapes(x.shape, y.shape)) };
  }),
  Cast: operator<Unary>()({ to: 'dtype' }, ([x], { to }): ValueType => ({ dtype: to, shape: x.shape })),
  Identity: unary(),
  Clip: operator<Unary>()({ min: 'input:float', max: 'input:float' }, ([x]): ValueType => {
    if (x.dtype !== 'float32')
      throw new Error(`takes float32, as its bounds are, not ${x.dtype}; Cast first`);
    return sameType([x]);
  }),
  ReduceSum: reduce(),
  ReduceMean: reduce(),
  Softmax: operator<Unary>()({ axis: 'int' }, ([x], { axis }): ValueType => {
    frontAxis(axis, x.shape.length);
    return sameReal([x]);
  }),

  Reshape: operator<Unary>()(
    { shape: 'input:ints' },
    ([x], { shape }): ValueType => ({ dtype: x.dtype, shape: reshapeShape(x.shape, shape) }),
  ),
  Transpose: operator<Unary>()({ perm: 'ints' }, ([x], { perm }): ValueType => {
    if ([...perm].sort((a, b) => a - b).join() !== x.shape.map((_, i) => i).join()) {
      throw new Error(`perm [${perm}] is no order of the ${x.shape.length} axes of [${x.shape}]`);
    }
    return { dtype: x.dtype, shape: perm.map((axis) => x.shape[axis]!) };
  }),
  Expand: operator<Unary>()(
    { shape: 'input:ints' },
    ([x], { shape }): ValueType => ({ dtype: x.dtype, shape: broadcastShapes(x.shape, shape) }),
  ),
  Concat: operator<readonly Value[]>()({ axis: 'int' }, (parts, { axis }): ValueType => {
    const first = parts[0];
    if (!first) throw new Error('nothing to concatenate');
    const at = frontAxis(axis, first.shape.length);
    for (const part of parts) {
      const fits =
        part.dtype === first.dtype &&
        part.shape.length === first.shape.length &&
        part.shape.every((size, i) => i === at || size === first.shape[i]);
      if (!fits) throw new Error(`${describe(part)} does not join ${describe(first)} on axis ${axis}`);
    }
    const total = parts.reduce((sum, part) => sum + part.shape[at]!, 0);
    return { dtype: first.dtype, shape: first.shape.map((size, i) => (i === at ? total : size)) };
  }),
  Split: operator<Unary>()(
    { split: 'input:ints', axis: 'int' },
    ([x], { split, axis }): readonly ValueType[] => {
      const at = frontAxis(axis, x.shape.length);
      const total = split.reduce((sum, size) => sum + size, 0);
      if (total !== x.shape[at])
        throw new Error(`parts [${split}] do not add up to axis ${axis} of [${x.shape}]`);
      return split.map((part) => ({
        dtype: x.dtype,
        shape: x.shape.map((size, i) => (i === at ? part : size)),
      }));
    },
  ),
  Slice: operator<Unary>()(
    { starts: 'input:ints', ends: 'input:ints', axes: 'input:ints', steps: 'input:ints' },
    ([x], { starts, ends, axes, steps }): ValueType => {
      const shape = [...x.shape];
      axes.forEach((axis, i) => {
        const at = frontAxis(axis, shape.length);
        shape[at] = sliceSize(x.shape[at]!, starts[i]!, ends[i]!, steps[i]!);
      });
      return { dtype: x.dtype, shape };
    },
  ),
  /** Zeros around (or, where a pad is negative, a cut); `pads` lists all starts, then all ends. */
  Pad: operator<Unary>()({ pads: 'input:ints' }, ([x], { pads }): ValueType => {
    if (pads.length !== 2 * x.shape.length)
      throw new Error(`pads [${pads}] need two numbers for each axis of [${x.shape}]`);
    return { dtype: x.dtype, shape: x.shape.map((size, i) => size + pads[i]! + pads[i + x.shape.length]!) };
  }),
  Gather: operator<readonly [data: Value, indices: Value]>()(
    { axis: 'int' },
    ([data, indices], { axis }): ValueType => {
      const at = frontAxis(axis, data.shape.length);
      if (indices.dtype !== 'int64' && indices.dtype !== 'int32')
        throw new Error(`indices are ${indices.dtype}; they must be int64`);
      return {
        dtype: data.dtype,
        shape: [...data.shape.slice(0, at), ...indices.shape, ...data.shape.slice(at + 1)],
      };
    },
  ),
  /** Nearest neighbour to `sizes`, as PyTorch's interpolate: source index = floor(index · in / out). */
  Resize: operator<Unary>()(
    {
      roi: 'input:floats?',
      scales: 'input:floats?',
      sizes: 'input:ints',
      mode: 'string',
      coordinate_transformation_mode: 'string',
      nearest_mode: 'string',
    },
    ([x], { sizes, mode, coordinate_transformation_mode, nearest_mode }): ValueType => {
      if (x.shape.length !== 4 || sizes.length !== 4 || sizes[0] !== x.shape[0] || sizes[1] !== x.shape[1]) {
        throw new Error(
          `resizes height and width of [N, C, H, W]; sizes [${sizes}] for [${x.shape}] do not fit`,
        );
      }
      if (mode !== 'nearest' || coordinate_transformation_mode !== 'asymmetric' || nearest_mode !== 'floor') {
        throw new Error(
          "only mode 'nearest', coordinates 'asymmetric', nearest_mode 'floor' (PyTorch's nearest) are known",
        );
      }
      return { dtype: x.dtype, shape: sizes };
    },
  ),

  MatMul: operator<Binary>()(
    {},
    ([a, b]): ValueType => ({ dtype: realType([a, b]), shape: matMulShape(a.shape, b.shape) }),
  ),
  /** alpha · op(a) × op(b), batch axes broadcast; `transA`/`transB` swap the last two axes. */
  FusedMatMul: operator<Binary>('com.microsoft')(
    { alpha: 'float?', transA: 'int?', transB: 'int?' },
    ([a, b], { transA, transB }): ValueType => ({
      dtype: realType([a, b]),
      shape: matMulShape(a.shape, b.shape, transA === 1, transB === 1),
    }),
  ),
  /** alpha · op(a) × op(b) + beta · c on matrices. */
  Gemm: operator<readonly [a: Value, b: Value, c?: Value]>()(
    { alpha: 'float?', beta: 'float?', transA: 'int?', transB: 'int?' },
    ([a, b, c], { transA, transB }): ValueType => {
      if (a.shape.length !== 2 || b.shape.length !== 2)
        throw new Error(`[${a.shape}] × [${b.shape}]: Gemm takes matrices`);
      const shape = matMulShape(a.shape, b.shape, transA === 1, transB === 1);
      if (c && broadcastShapes(c.shape, shape).join() !== shape.join()) {
        throw new Error(`the addend ${describe(c)} does not broadcast to [${shape}]`);
      }
      return { dtype: realType([a, b, c]), shape };
    },
  ),
  /** 2-D convolution, NCHW; the weight is [out, in / group, kernel…]. */
  Conv: operator<readonly [x: Value, w: Value, b?: Value]>()(
    convolution,
    ([x, w, b], attributes): ValueType => {
      const { group } = attributes;
      if (x.shape.length !== 4 || w.shape.length !== 4)
        throw new Error('Conv takes [N, C, H, W] and a weight of four axes');
      if (x.shape[1] !== w.shape[1]! * group || w.shape[0]! % group !== 0) {
        throw new Error(
          `${x.shape[1]} input channels do not fit the weight [${w.shape}] in ${group} group(s)`,
        );
      }
      if (b && b.shape.join() !== `${w.shape[0]}`)
        throw new Error(`the bias [${b.shape}] must be [${w.shape[0]}]`);
      const sizes = convolutionSizes(x.shape.slice(2), w.shape.slice(2), attributes);
      return { dtype: realType([x, w, b]), shape: [x.shape[0]!, w.shape[0]!, ...sizes] };
    },
  ),
  /** The transpose of `Conv` with the same weight; `output_padding` adds rows that a stride skipped. */
  ConvTranspose: operator<readonly [x: Value, w: Value]>()(
    { ...convolution, output_padding: 'ints' },
    ([x, w], { strides, pads, dilations, group, output_padding }): ValueType => {
      if (x.shape.length !== 4 || w.shape.length !== 4) {
        throw new Error('ConvTranspose takes [N, C, H, W] and a weight of four axes');
      }
      if (x.shape[1] !== w.shape[0] || x.shape[1]! % group !== 0) {
        throw new Error(
          `${x.shape[1]} input channels do not fit the weight [${w.shape}] in ${group} group(s)`,
        );
      }
      if (output_padding.some((padding, i) => padding >= strides[i]!)) {
        throw new Error(`output_padding [${output_padding}] must be less than the strides [${strides}]`);
      }
      const sizes = [0, 1].map(
        (i) =>
          (x.shape[i + 2]! - 1) * strides[i]! +
          (w.shape[i + 2]! - 1) * dilations[i]! +
          1 +
          output_padding[i]! -
          pads[i]! -
          pads[i + 2]!,
      );
      return { dtype: realType([x, w]), shape: [x.shape[0]!, w.shape[1]! * group, ...sizes] };
    },
  ),
  /** Over the last axis. Outputs: y; mean and 1/√(variance + epsilon), which ONNX computes in float32 for any x. */
  LayerNormalization: operator<readonly [x: Value, scale: Value, bias?: Value]>()(
    { axis: 'int', epsilon: 'float' },
    ([x, scale, bias], { axis }): readonly ValueType[] => {
      const dtype = realType([x, scale, bias]);
      if (axis !== -1) throw new Error(`axis ${axis}: only the last axis (−1) is normalised`);
      perFeature({ scale, bias }, x.shape.at(-1)!);
      const statistics = { dtype: 'float32', shape: [...x.shape.slice(0, -1), 1] } as const;
      return [{ dtype, shape: x.shape }, statistics, statistics];
    },
  ),
  /**
   * As ONNX 21, lowered. x is [N, C, H, W]; scale and bias are [C].
   * Outputs: y; for the gradient, the normalised x as [N, C, H·W] and 1/√(variance + epsilon) as [N, groups, 1].
   */
  GroupNormalization: operator<readonly [x: Value, scale: Value, bias: Value]>()(
    { num_groups: 'int', epsilon: 'float' },
    ([x, scale, bias], { num_groups }): readonly ValueType[] => {
      const [n, c, h, w] = x.shape as [number, number, number, number];
      if (x.shape.length !== 4 || c % num_groups !== 0) {
        throw new Error(`[${x.shape}] does not divide into ${num_groups} groups of channels`);
      }
      perFeature({ scale, bias }, c);
      const dtype = realType([x, scale, bias]);
      return [
        { dtype, shape: x.shape },
        { dtype, shape: [n, c, h * w] },
        { dtype: 'float32', shape: [n, num_groups, 1] },
      ];
    },
  ),
  /**
   * softmax(scale · q kᵀ + mask) v over the last two axes, as ONNX 23, lowered. The mask is added before the softmax.
   * Outputs: y; for the gradient, the attention probabilities. `recompute` 1: the backward pass computes those again.
   */
  Attention: operator<readonly [q: Value, k: Value, v: Value, mask?: Value]>()(
    { scale: 'float', recompute: 'int?' },
    ([q, k, v, mask]): readonly ValueType[] => {
      const dtype = realType([q, k, v, mask]);
      const scores = matMulShape(q.shape, k.shape, false, true);
      if (mask && broadcastShapes(mask.shape, scores).join() !== scores.join()) {
        throw new Error(`the mask ${describe(mask)} does not broadcast to the scores [${scores}]`);
      }
      return [
        { dtype, shape: matMulShape(scores, v.shape) },
        { dtype, shape: scores },
      ];
    },
  ),
  /**
   * Runs `body`, a graph of its own, `trips` times. Body inputs: iteration (int64 scalar), condition (bool scalar), the
   * state; body outputs: condition, the state, then what is gathered per iteration. Outputs: the state, then the
   * gathered values. loop.ts builds one.
   */
  Loop: operator<readonly Value[]>()(
    { body: 'graph', trips: 'int' },
    (state, { body, trips }): readonly ValueType[] => {
      const kept = body.outputs.slice(1, 1 + state.length);
      if (body.inputs.length !== state.length + 2 || kept.length !== state.length) {
        const found = `${body.inputs.length} inputs and ${body.outputs.length} outputs`;
        throw new Error(
          `the body has ${found}; it needs iteration, condition and ${state.length} of state in, condition and state out`,
        );
      }
      state.forEach((value, i) => {
        for (const inside of [body.inputs[i + 2]!, kept[i]!]) {
          const fits = inside.dtype === value.dtype && `${inside.shape}` === `${value.shape}`;
          if (!fits) throw new Error(`the state ${describe(value)} is ${describe(inside)} in the body`);
        }
      });
      const gathered = body.outputs.slice(1 + state.length);
      return [
        ...kept.map(({ dtype, shape }) => ({ dtype, shape })),
        ...gathered.map(({ dtype, shape }) => ({ dtype, shape: [trips, ...shape] })),
      ];
    },
  ),
};

export type OpType = keyof typeof operators;
export type InputsOf<T extends OpType> =
  (typeof operators)[T] extends Operator<infer I, infer _D, infer _T> ? I : never;
export type AttributesOf<T extends OpType> =
  (typeof operators)[T] extends Operator<infer _I, infer D, infer _T> ? Attributes<D> : never;
export type OutputOf<T extends OpType> =
  (typeof operators)[T] extends Operator<infer _I, infer _D, infer R>
    ? R extends ValueType
      ? Value
      : readonly Value[]
    : never;

/** An input of a call: a value, or a number that becomes a scalar of the other inputs' type. */
export type Operand = Value | number;
type Operands<I extends readonly unknown[]> = { readonly [K in keyof I]: I[K] | number };
/** An optional last input may be left out, or given as undefined. */
type Forms<I extends Inputs> = I['length'] extends Required<I>['length']
  ? Operands<I>
  : Required<I> extends readonly [...infer Short, infer Last]
    ? Operands<Short> | [...Operands<Short>, Last | undefined]
    : never;
type Call<T extends OpType> =
  Record<never, never> extends AttributesOf<T>
    ? (...call: [...Forms<InputsOf<T>>] | [...Forms<InputsOf<T>>, AttributesOf<T>]) => OutputOf<T>
    : (...call: [...Forms<InputsOf<T>>, AttributesOf<T>]) => OutputOf<T>;

const isValue = (argument: unknown): argument is Value =>
  argument instanceof Object && 'graph' in argument && 'source' in argument;
const isOperand = (argument: unknown) =>
  argument === undefined || typeof argument === 'number' || isValue(argument);

function build(opType: OpType, call: readonly unknown[]): Value | readonly Value[] {
  const last = call.at(-1);
  const attributes = (isOperand(last) ? {} : last) as Readonly<Record<string, AttributeValue>>;
  const operands = (isOperand(last) ? call : call.slice(0, -1)) as readonly (Operand | undefined)[];
  const sibling = operands.find(isValue);
  if (!sibling)
    throw new GraphError(opType, 'no input is a value of a graph; make a constant with graph.constant');
  const dtype = operands.filter(isValue).find((value) => value.dtype !== 'bool')?.dtype ?? 'float32';
  const inputs = operands.map((x) => (typeof x === 'number' ? sibling.graph.scalar(x, dtype) : x));
  return append(sibling.graph, opType, inputs, attributes);
}

/** Infers the types of a node's outputs, naming the node and its inputs when they do not fit, and appends it. */
export function append(
  graph: Graph,
  opType: OpType,
  inputs: readonly (Value | undefined)[],
  attributes: Readonly<Record<string, AttributeValue>>,
): Value | readonly Value[] {
  let types: Types;
  try {
    types = (operators[opType].infer as (i: unknown, a: unknown) => Types)(inputs, attributes);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new GraphError(`${opType}_${graph.nodes.length}(${inputs.map(describe).join(', ')})`, problem);
  }
  const many = Array.isArray(types);
  const outputs = graph.emit(
    opType,
    inputs,
    attributes,
    many ? (types as ValueType[]) : [types as ValueType],
  );
  return many ? outputs : outputs[0]!;
}

/** `op.Add(a, b)`, `op.Gemm(x, w, b, { transB: 1 })`: appends a node to the graph of its inputs. */
export const op = Object.fromEntries(
  (Object.keys(operators) as OpType[]).map((opType) => [opType, (...call: unknown[]) => build(opType, call)]),
) as unknown as { readonly [T in OpType]: Call<T> };
