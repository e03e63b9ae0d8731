/**
 * THE GRADIENT TABLE: for every operator, the gradient of its inputs from `dy`, the gradient of its output.
 * One expression an entry, one gradient an input, null where none flows. The walker (backward.ts) owns order,
 * accumulation and summing over broadcast axes; a rule may be wasteful, since what is not asked for is pruned.
 */
import type { Value } from '../graph/graph';
import { isReal, type OpType, op } from '../graph/operators';
import { attentionGradient } from './attention';
import { convGradient, convTransposeGradient } from './convolution';
import { type GradientRule, notDifferentiable } from './gradient-rule';
import { groupNormalizationGradient, layerNormalizationGradient } from './normalization';
import { padsOfSlice, resizeGradient, scatterRows } from './rearranging';

type Table = { readonly [T in OpType]: GradientRule<T> | typeof notDifferentiable };

const like = (dy: Value, x: Value) => op.Expand(dy, { shape: x.shape });
/** `dy` with the axes that a reduction dropped put back as ones. */
const restored = (dy: Value, x: Value, axes: readonly number[]) => {
  const reduced = new Set(axes.map((axis) => (axis < 0 ? axis + x.shape.length : axis)));
  return op.Reshape(dy, { shape: x.shape.map((size, i) => (reduced.has(i) ? 1 : size)) });
};

export const gradients: Table = {
  Add: ({ dy }) => [dy, dy],
  Sub: ({ dy }) => [dy, op.Neg(dy)],
  Mul: ({ inputs: [a, b], dy }) => [op.Mul(dy, b), op.Mul(dy, a)],
  Div: ({ inputs: [, b], output: y, dy }) => [op.Div(dy, b), op.Neg(op.Mul(dy, op.Div(y, b)))],
  Pow: ({ inputs: [a, b], output: y, dy }) => [
    op.Mul(dy, op.Mul(b, op.Pow(a, op.Sub(b, 1)))),
    op.Mul(dy, op.Mul(y, op.Log(a))),
  ],
  // Where both sides are equal each takes half, as PyTorch does.
  Min: ({ inputs: [a, b], dy }) => [op.Mul(dy, smaller(a, b)), op.Mul(dy, smaller(b, a))],
  Max: ({ inputs: [a, b], dy }) => [op.Mul(dy, smaller(b, a)), op.Mul(dy, smaller(a, b))],
  Neg: ({ dy }) => [op.Neg(dy)],
  Abs: ({ inputs: [x], dy }) => [op.Mul(dy, op.Sign(x))],
  Sign: notDifferentiable,
  Exp: ({ output: y, dy }) => [op.Mul(dy, y)],
  Log: ({ inputs: [x], dy }) => [op.Div(dy, x)],
  Sqrt: ({ output: y, dy }) => [op.Div(op.Mul(dy, 0.5), y)],
  Sin: ({ inputs: [x], dy }) => [op.Mul(dy, op.Cos(x))],
  Cos: ({ inputs: [x], dy }) => [op.Neg(op.Mul(dy, op.Sin(x)))],
  // 2/√π · exp(−x²)
  Erf: ({ inputs: [x], dy }) => [op.Mul(dy, op.Mul(op.Exp(op.Neg(op.Mul(x, x))), 2 / Math.sqrt(Math.PI)))],
  Sigmoid: ({ output: y, dy }) => [op.Mul(dy, op.Sub(y, op.Mul(y, y)))],
  Tanh: ({ output: y, dy }) => [op.Mul(dy, op.Sub(1, op.Mul(y, y)))],
  Relu: ({ output: y, dy }) => [op.Mul(dy, op.Sign(y))],
  // Φ(x) + x·φ(x), with Φ the normal distribution and φ its density
  Gelu: ({ inputs: [x], dy }) => {
    const distribution = op.Mul(op.Add(op.Erf(op.Mul(x, Math.SQRT1_2)), 1), 0.5);
    const density = op.Mul(op.Exp(op.Mul(op.Mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return [op.Mul(dy, op.Add(distribution, op.Mul(x, density)))];
  },
  // y = x·s with s = σ(αx): s + α·y·(1 − s)
  QuickGelu: ({ inputs: [x], output: y, attributes: { alpha }, dy }) => {
    const s = op.Sigmoid(alpha === 1 ? x : op.Mul(x, alpha));
    const rest = op.Sub(y, op.Mul(y, s));
    return [op.Mul(dy, op.Add(s, alpha === 1 ? rest : op.Mul(rest, alpha)))];
  },
  Equal: notDifferentiable,
  Greater: notDifferentiable,
  Less: notDifferentiable,
  Where: ({ inputs: [condition], dy }) => [null, op.Where(condition, dy, 0), op.Where(condition, 0, dy)],
  Cast: ({ inputs: [x], dy }) => [isReal(x.dtype) ? op.Cast(dy, { to: x.dtype }) : null],
  Identity: ({ dy }) => [dy],
  Clip: ({ inputs: [x], output: y, dy }) => [op.Where(op.Equal(x, y), dy, 0)],
  ReduceSum: ({ inputs: [x], attributes: { axes }, dy }) => [like(restored(dy, x, axes), x)],
  ReduceMean: ({ inputs: [x], output: y, attributes: { axes }, dy }) => {
    const count = elements(x) / elements(y);
    return [like(op.Mul(restored(dy, x, axes), 1 / count), x)];
  },
  // y·(dy − Σ dy·y)
  Softmax: ({ inputs: [x], output: y, attributes: { axis }, dy }) => {
    const sum = op.ReduceSum(op.Mul(dy, y), { axes: [axis < 0 ? axis + x.shape.length : axis], keepdims: 1 });
    return [op.Mul(y, op.Sub(dy, sum))];
  },

  Reshape: ({ inputs: [x], dy }) => [op.Reshape(dy, { shape: x.shape })],
  Transpose: ({ attributes: { perm }, dy }) => [
    op.Transpose(dy, { perm: perm.map((_, axis) => perm.indexOf(axis)) }),
  ],
  // The walker sums a gradient of the broadcast shape.
  Expand: ({ dy }) => [dy],
  Concat: ({ inputs: parts, attributes: { axis }, dy }) => {
    const at = axis < 0 ? axis + dy.shape.length : axis;
    return op.Split(dy, { split: parts.map((part) => part.shape[at]!), axis: at });
  },
  Split: ({ outputs, attributes: { axis }, dys }) => [
    op.Concat(...dys.map((dy, i) => dy ?? zeros(outputs[i]!)), { axis }),
  ],
  Slice: ({ inputs: [x], attributes, dy }) => {
    const { steps, axes } = attributes;
    const backwards = axes.filter((_, i) => steps[i] === -1);
    const forwards = backwards.length > 0 ? flip(dy, backwards) : dy;
    return [op.Pad(forwards, { pads: padsOfSlice(x, attributes) })];
  },
  // Negative pads cut, so undoing a pad is a pad.
  Pad: ({ attributes: { pads }, dy }) => [op.Pad(dy, { pads: pads.map((pad) => -pad) })],
  Gather: ({ inputs: [data, indices], attributes: { axis }, dy }) => [
    scatterRows(data, indices, axis, dy),
    null,
  ],
  Resize: ({ inputs: [x], dy }) => [resizeGradient(x, dy)],

  MatMul: ({ inputs: [a, b], dy }) => [
    op.FusedMatMul(dy, b, { transB: 1 }),
    op.FusedMatMul(a, dy, { transA: 1 }),
  ],
  FusedMatMul: ({ inputs: [a, b], attributes: { alpha, transA, transB }, dy }) => {
    const scale = alpha === undefined ? {} : { alpha };
    return [
      transA
        ? op.FusedMatMul(b, dy, { ...scale, ...flags(transB, 1) })
        : op.FusedMatMul(dy, b, { ...scale, ...flags(0, transB ? 0 : 1) }),
      transB
        ? op.FusedMatMul(dy, a, { ...scale, ...flags(1, transA) })
        : op.FusedMatMul(a, dy, { ...scale, ...flags(transA ? 0 : 1, 0) }),
    ];
  },
  Gemm: ({ inputs: [a, b], attributes: { alpha, beta, transA, transB }, dy }) => {
    const scale = alpha === undefined ? {} : { alpha };
    return [
      transA
        ? op.Gemm(b, dy, { ...scale, ...flags(transB, 1) })
        : op.Gemm(dy, b, { ...scale, ...flags(0, transB ? 0 : 1) }),
      transB
        ? op.Gemm(dy, a, { ...scale, ...flags(1, transA) })
        : op.Gemm(a, dy, { ...scale, ...flags(transA ? 0 : 1, 0) }),
      beta === undefined || beta === 1 ? dy : op.Mul(dy, beta),
    ];
  },
  Conv: convGradient,
  ConvTranspose: convTransposeGradient,
  LayerNormalization: layerNormalizationGradient,
  GroupNormalization: groupNormalizationGradient,
  Attention: attentionGradient,
  Loop: () => {
    throw new Error('a loop runs finished steps; differentiate its body before it becomes one');
  },
};

const elements = (x: Value) => x.shape.reduce((product, size) => product * size, 1);

/** Flags that are off are left out of the node. */
const flags = (transA: number | undefined, transB: number | undefined) => ({
  ...(transA ? { transA: 1 } : {}),
  ...(transB ? { transB: 1 } : {}),
});

const zeros = (x: Value) => op.Expand(x.graph.scalar(0, x.dtype), { shape: x.shape });

/** 1 where a < b, ½ where they are equal, else 0. */
const smaller = (a: Value, b: Value) => op.Mul(op.Sub(1, op.Sign(op.Sub(a, b))), 0.5);

const flip = (x: Value, axes: readonly number[]) =>
  op.Slice(x, {
    starts: axes.map(() => -1),
    ends: axes.map(() => -(2 ** 31)),
    axes,
    steps: axes.map(() => -1),
  });
