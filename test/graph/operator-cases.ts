/**
 * The case table: for every operator, inputs and attributes on which it is run in onnxruntime against the
 * interpreter, and on which its gradient is compared with finite differences. Numbers keep away from kinks.
 */
import { Graph } from '../../sdk/graph/graph';
import { type OpType, op } from '../../sdk/graph/operators';
import type { Shape } from '../../sdk/tensor';
import {
  awayFromZero,
  booleans,
  type CaseInput,
  eighths,
  integers,
  nonZeroIntegers,
  normal,
  type OperatorCase,
  positive,
} from './operator-case';

type Title = readonly [title: string, ...inputs: (CaseInput | undefined)[]];
/** Cases of one operator that differ in their inputs only. */
const over = <A>(attributes: A, ...titles: Title[]) =>
  titles.map(([title, ...inputs]) => ({ title, inputs, attributes }));

/** An elementwise operator of one input. */
const shapes = (input: (...shape: number[]) => CaseInput) =>
  over(
    {},
    ['scalar', input()],
    ['one axis', input(7)],
    ['two axes', input(3, 5)],
    ['four axes', input(2, 1, 3, 2)],
  );
/** Broadcasting in every direction. */
const broadcasts = (a: (...shape: number[]) => CaseInput, b = a) =>
  over(
    {},
    ['equal shapes', a(2, 3), b(2, 3)],
    ['scalars', a(), b()],
    ['second broadcast at the end', a(2, 3, 4), b(4)],
    ['first broadcast at the end', a(4), b(2, 3, 4)],
    ['both broadcast', a(2, 1, 4), b(3, 1)],
    ['ones in the middle', a(2, 3, 1, 2), b(2, 1, 3, 2)],
    ['scalar first', a(), b(2, 3)],
    ['scalar second', a(2, 3), b()],
    ['ones only', a(1, 1), b(1)],
  );
const wholeNumbers = (...names: string[]) =>
  names.map((title) => ({ title, inputs: [nonZeroIntegers(2, 3), nonZeroIntegers(3)], attributes: {} }));

const reductions = [
  ...over({ axes: [1], keepdims: 0 }, ['middle axis dropped', normal(2, 3, 4)]),
  ...over({ axes: [-1], keepdims: 1 }, ['last axis kept', normal(2, 3, 4)], ['last axis of one', normal(5)]),
  ...over({ axes: [0, -1], keepdims: 0 }, ['first and last', normal(2, 3, 4)]),
  ...over({ axes: [0, 2, 3], keepdims: 1 }, ['per channel', normal(2, 3, 2, 2)]),
  ...over({ axes: [0, 1], keepdims: 0 }, ['to a scalar', normal(3, 4)], ['an axis of one', normal(1, 4)]),
];

const plainConvolution = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
const same = { ...plainConvolution, pads: [1, 1, 1, 1] };
const convolutions = [
  ...over(
    plainConvolution,
    ['1×1', normal(2, 3, 4, 5), normal(4, 3, 1, 1), normal(4)],
    ['3×3 without pads or bias', normal(1, 2, 5, 4), normal(3, 2, 3, 3)],
    ['kernel as large as the input', normal(2, 2, 3, 3), normal(2, 2, 3, 3), normal(2)],
    ['one channel, one output', normal(1, 1, 3, 4), normal(1, 1, 2, 2), normal(1)],
  ),
  ...over(
    same,
    ['3×3 that keeps the size', normal(2, 3, 4, 5), normal(2, 3, 3, 3), normal(2)],
    ['bias given as absent', normal(1, 2, 3, 3), normal(2, 2, 3, 3), undefined],
  ),
  ...over(
    { ...same, strides: [2, 2] },
    ['stride 2, even', normal(1, 2, 6, 4), normal(3, 2, 3, 3), normal(3)],
    ['stride 2, odd', normal(2, 2, 5, 7), normal(3, 2, 3, 3), normal(3)],
  ),
  ...over({ ...plainConvolution, strides: [2, 2], pads: [0, 0, 1, 1] }, [
    'stride 2 padded at the end',
    normal(1, 2, 6, 5),
    normal(2, 2, 3, 3),
    normal(2),
  ]),
  ...over({ ...plainConvolution, strides: [2, 3], pads: [2, 0, 1, 3] }, [
    'unequal strides, four different pads',
    normal(1, 2, 5, 6),
    normal(2, 2, 3, 2),
  ]),
  ...over({ ...plainConvolution, strides: [3, 3] }, [
    'a stride beyond the kernel',
    normal(1, 2, 8, 7),
    normal(2, 2, 2, 1),
  ]),
  ...over({ ...plainConvolution, pads: [2, 2, 2, 2], dilations: [2, 2] }, [
    'dilation 2',
    normal(1, 2, 5, 5),
    normal(2, 2, 3, 3),
    normal(2),
  ]),
  ...over({ ...plainConvolution, strides: [2, 1], pads: [1, 2, 1, 2], dilations: [1, 2] }, [
    'dilation and stride',
    normal(1, 2, 6, 5),
    normal(2, 2, 3, 3),
  ]),
  ...over({ ...same, group: 2 }, ['two groups', normal(2, 4, 3, 4), normal(6, 2, 3, 3), normal(6)]),
  // From eight small pictures on, windows are unfolded into rows.
  ...over(
    same,
    ['a batch of small pictures', normal(8, 2, 3, 2), normal(3, 2, 3, 3), normal(3)],
    ['a batch without bias', normal(9, 1, 2, 2), normal(2, 1, 3, 3)],
  ),
  ...over(plainConvolution, ['a batch, 1×1', normal(8, 3, 2, 2), normal(2, 3, 1, 1), normal(2)]),
  ...over({ ...plainConvolution, strides: [2, 1], pads: [0, 1, 1, 2], dilations: [1, 2] }, [
    'a batch with strides, pads and dilation',
    normal(8, 2, 4, 3),
    normal(2, 2, 3, 2),
    normal(2),
  ]),
  ...over({ ...same, group: 2 }, [
    'a batch in two groups',
    normal(8, 2, 2, 2),
    normal(2, 1, 3, 3),
    normal(2),
  ]),
  ...over({ ...same, group: 2 }, [
    'two groups on small pictures',
    normal(2, 4, 2, 2),
    normal(8, 2, 3, 3),
    normal(8),
  ]),
  ...over({ ...same, strides: [2, 2] }, [
    'many channels on small pictures',
    normal(3, 4, 3, 3),
    normal(4, 4, 3, 3),
    normal(4),
  ]),
  ...over({ ...same, group: 3, strides: [2, 2] }, [
    'depthwise, stride 2',
    normal(1, 3, 5, 5),
    normal(3, 1, 3, 3),
  ]),
  ...over({ ...plainConvolution, pads: [1, 1, 1, 1] }, [
    '1×1 with pads',
    normal(1, 2, 3, 3),
    normal(2, 2, 1, 1),
  ]),
  ...over({ ...plainConvolution, pads: [3, 0, 0, 3] }, [
    'pads beyond the kernel',
    normal(1, 2, 3, 3),
    normal(2, 2, 2, 2),
  ]),
];
const transposed = { ...plainConvolution, output_padding: [0, 0] };
const transposedConvolutions = [
  ...over(
    transposed,
    ['3×3', normal(2, 3, 3, 4), normal(3, 2, 3, 3)],
    ['1×1', normal(1, 2, 3, 3), normal(2, 3, 1, 1)],
  ),
  ...over({ ...transposed, strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }, [
    'doubles the size',
    normal(1, 2, 3, 4),
    normal(2, 3, 3, 3),
  ]),
  ...over({ ...transposed, strides: [2, 3], pads: [1, 0, 0, 2], output_padding: [0, 2] }, [
    'unequal strides and pads',
    normal(1, 2, 3, 3),
    normal(2, 2, 3, 3),
  ]),
  ...over({ ...transposed, dilations: [2, 2], pads: [1, 1, 1, 1] }, [
    'dilation 2',
    normal(1, 2, 4, 4),
    normal(2, 2, 3, 3),
  ]),
  ...over({ ...transposed, group: 2, strides: [2, 2] }, [
    'two groups, stride 2',
    normal(1, 4, 3, 3),
    normal(4, 2, 2, 2),
  ]),
];

const nearest = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
const resize = (title: string, from: Shape, to: Shape) => ({
  title,
  inputs: [normal(...from)],
  attributes: { sizes: to, ...nearest },
});

const flags: readonly { transA?: 1; transB?: 1 }[] = [
  {},
  { transA: 1 },
  { transB: 1 },
  { transA: 1, transB: 1 },
];
const flagged = ({ transA, transB }: (typeof flags)[number]) =>
  `${transA ? 'aᵀ' : 'a'} × ${transB ? 'bᵀ' : 'b'}`;
const matrix = (batch: Shape, rows: number, columns: number, transposedToo?: 1) =>
  normal(...batch, ...(transposedToo ? [columns, rows] : [rows, columns]));

const fusedMatMuls = flags.flatMap((flag) =>
  ([{}, { alpha: -0.7 }] as { alpha?: number }[]).flatMap((scale) => {
    const cases: [string, Shape, Shape][] = [
      ['matrices', [], []],
      ['batched', [2], [2]],
      ['batched × matrix', [2], []],
      ['matrix × batched', [], [2]],
      ['batches broadcast', [2, 1], [3]],
    ];
    return cases.map(([title, a, b]) => ({
      title: `${flagged(flag)}, ${title}${scale.alpha ? ', alpha' : ''}`,
      inputs: [matrix(a, 3, 4, flag.transA), matrix(b, 4, 2, flag.transB)],
      attributes: { ...flag, ...scale },
    }));
  }),
);
const gemms = flags.flatMap((flag) => {
  const [a, b] = [matrix([], 3, 4, flag.transA), matrix([], 4, 2, flag.transB)];
  return [
    { title: `${flagged(flag)}`, inputs: [a, b], attributes: flag },
    { title: `${flagged(flag)} + row`, inputs: [a, b, normal(2)], attributes: flag },
    {
      title: `${flagged(flag)} + matrix, scaled`,
      inputs: [a, b, normal(3, 2)],
      attributes: { ...flag, alpha: 0.3, beta: -2 },
    },
    {
      title: `${flagged(flag)} + column, beta`,
      inputs: [a, b, normal(3, 1)],
      attributes: { ...flag, beta: 0.5 },
    },
    {
      title: `${flagged(flag)} + number, alpha`,
      inputs: [a, b, normal()],
      attributes: { ...flag, alpha: 2 },
    },
    { title: `${flagged(flag)} + absent`, inputs: [a, b, undefined], attributes: { ...flag, alpha: 2 } },
  ];
});

/** x ← x + i·w and the sum of each x, three times; the body computes in lowered operators, too. */
function loopBody() {
  const graph = new Graph();
  const iteration = graph.input('iteration', 'int64', []);
  const condition = graph.input('condition', 'bool', []);
  const x = graph.input('x', 'float32', [2, 3]);
  const w = graph.input('w', 'float32', [3]);
  const [attended] = op.Attention(x, x, x, { scale: 0.5 });
  const next = op.Add(attended!, op.Mul(op.Cast(iteration, { to: 'float32' }), w));
  const sum = op.ReduceSum(next, { axes: [0, 1], keepdims: 0 });
  return { inputs: [iteration, condition, x, w], outputs: [condition, next, w, sum] };
}

export const operatorCases: { readonly [T in OpType]: readonly OperatorCase<T>[] } = {
  Add: [...broadcasts(normal), ...wholeNumbers('whole numbers')],
  Sub: [...broadcasts(normal), ...wholeNumbers('whole numbers')],
  Mul: [...broadcasts(normal), ...wholeNumbers('whole numbers')],
  Div: [...broadcasts(normal, awayFromZero), ...wholeNumbers('whole numbers')],
  Pow: broadcasts(positive, normal),
  Min: [...broadcasts(normal), ...wholeNumbers('whole numbers')],
  Max: [...broadcasts(normal), ...wholeNumbers('whole numbers')],
  Neg: [...shapes(normal), ...over({}, ['whole numbers', nonZeroIntegers(4)])],
  Abs: [...shapes(awayFromZero), ...over({}, ['whole numbers', nonZeroIntegers(4)])],
  Sign: [...shapes(awayFromZero), ...over({}, ['whole numbers', integers(3, 6)])],
  Exp: shapes(normal),
  Log: shapes(positive),
  Sqrt: shapes(positive),
  Sin: shapes(normal),
  Cos: shapes(normal),
  Erf: shapes(normal),
  Sigmoid: shapes(normal),
  Tanh: shapes(normal),
  Relu: shapes(awayFromZero),
  Gelu: shapes(normal),
  QuickGelu: [1, 1.702].flatMap((alpha) =>
    over({ alpha }, [`alpha ${alpha}`, normal(3, 5)], [`alpha ${alpha}, scalar`, normal()]),
  ),
  Equal: [
    ...broadcasts((...shape) => integers(3, ...shape)),
    ...over(
      {},
      ['numbers', eighths('float32', 4, 3), eighths('float32', 3)],
      ['truths', booleans(2, 3), booleans(3)],
    ),
  ],
  Greater: [...broadcasts(normal), ...over({}, ['whole numbers', integers(3, 2, 4), integers(3, 4)])],
  Less: [...broadcasts(normal), ...over({}, ['whole numbers', integers(3, 2, 4), integers(3, 4)])],
  Where: over(
    {},
    ['equal shapes', booleans(2, 3), normal(2, 3), normal(2, 3)],
    ['condition broadcast', booleans(3, 1), normal(2, 3, 4), normal(2, 3, 4)],
    ['choices broadcast', booleans(2, 3, 4), normal(3, 1), normal(4)],
    ['scalar choices', booleans(2, 3), normal(), normal(2, 1)],
    ['scalar condition', booleans(), normal(2), normal(3, 1)],
    ['whole numbers', booleans(4), integers(9, 4), integers(9)],
  ),
  Cast: [
    ...over(
      { to: 'float32' as const },
      ['from int64', integers(9, 3)],
      ['from bool', booleans(5)],
      ['from float64', eighths('float64', 2, 2)],
      ['from float16', eighths('float16', 2, 3)],
      ['from float32', normal(2)],
    ),
    ...over(
      { to: 'int64' as const },
      ['float32 to int64', awayFromZero(2, 3)],
      ['bool to int64', booleans(3)],
    ),
    ...over({ to: 'float16' as const }, ['to float16', eighths('float32', 3, 2)]),
    ...over({ to: 'float64' as const }, ['to float64', normal(3)]),
    ...over({ to: 'bool' as const }, ['to bool', integers(2, 6)]),
  ],
  Identity: [...shapes(normal), ...over({}, ['truths', booleans(2)], ['whole numbers', integers(5, 3)])],
  Clip: [
    ...over({ min: -0.5, max: 0.8 }, ['both bounds', normal(4, 5)], ['scalar', normal()]),
    ...over({ min: 0, max: 1e9 }, ['one bound', awayFromZero(7)]),
  ],
  ReduceSum: [...reductions, ...over({ axes: [0], keepdims: 0 }, ['whole numbers', integers(9, 4, 2)])],
  ReduceMean: reductions,
  Softmax: [-1, 0, 1].flatMap((axis) =>
    over({ axis }, [`axis ${axis}`, normal(2, 4, 3)], [`axis ${axis} of matrices`, normal(3, 2)]),
  ),

  Reshape: [
    ...over(
      { shape: [3, -1] },
      ['fills in', normal(2, 6)],
      ['from a vector', normal(6)],
      ['whole numbers', integers(9, 6)],
    ),
    ...over({ shape: [] }, ['to a scalar', normal(1, 1)]),
    ...over({ shape: [1, 1] }, ['from a scalar', normal()]),
    ...over({ shape: [2, 3, 2] }, ['more axes', normal(4, 3)]),
  ],
  Transpose: [
    ...over({ perm: [1, 0] }, ['matrix', normal(2, 3)], ['whole numbers', integers(9, 2, 3)]),
    ...over({ perm: [2, 0, 1] }, ['turn of three', normal(2, 3, 4)]),
    ...over({ perm: [0, 2, 1, 3] }, ['heads', normal(2, 3, 4, 2)]),
    ...over({ perm: [3, 0, 2, 1] }, ['turn of four', normal(2, 3, 1, 2)]),
  ],
  Expand: [
    ...over(
      { shape: [2, 3, 4] },
      ['new axes', normal(4)],
      ['ones', normal(2, 1, 1)],
      ['scalar', normal()],
      ['nothing to do', normal(2, 3, 4)],
    ),
    ...over(
      { shape: [3, 1] },
      ['a one that keeps its size', normal(2, 1, 4)],
      ['whole numbers', integers(9, 1)],
    ),
  ],
  Concat: [
    ...over(
      { axis: 1 },
      ['two', normal(2, 3), normal(2, 1)],
      ['three', normal(2, 1, 2), normal(2, 2, 2), normal(2, 3, 2)],
      ['one', normal(2, 2)],
    ),
    ...over(
      { axis: -1 },
      ['last axis', normal(2, 3, 1), normal(2, 3, 4)],
      ['whole numbers', integers(9, 2), integers(9, 1)],
    ),
  ],
  Split: [
    ...over({ split: [2, 2], axis: -1 }, ['halves', normal(3, 4)]),
    ...over(
      { split: [1, 3, 2], axis: 1 },
      ['unequal parts', normal(2, 6, 2)],
      ['whole numbers', integers(9, 1, 6)],
    ),
    ...over({ split: [4], axis: 0 }, ['one part', normal(4, 2)]),
  ],
  Slice: [
    ...over(
      { starts: [1], ends: [3], axes: [1], steps: [1] },
      ['middle of an axis', normal(2, 4)],
      ['whole numbers', integers(9, 2, 4)],
    ),
    ...over({ starts: [-2, 0], ends: [100, -1], axes: [-1, 0], steps: [1, 1] }, [
      'from the end',
      normal(3, 2, 4),
    ]),
    ...over({ starts: [-1], ends: [-(2 ** 31)], axes: [0], steps: [-1] }, ['backwards', normal(4, 2)]),
    ...over({ starts: [-1, 1, 9], ends: [-(2 ** 31), 2, -9], axes: [2, 1, 0], steps: [-1, 1, -1] }, [
      'backwards and forwards',
      normal(2, 3, 4),
    ]),
    ...over({ starts: [-9], ends: [2], axes: [0], steps: [1] }, ['a start before the first', normal(4)]),
    ...over({ starts: [0, 1], ends: [7, 6], axes: [0, 1], steps: [2, 3] }, ['strides', normal(7, 6)]).map(
      (each) => ({ ...each, gradientRefused: true as const }),
    ),
    ...over({ starts: [3], ends: [0], axes: [0], steps: [-1] }, ['part of an axis backwards', normal(5)]).map(
      (each) => ({ ...each, gradientRefused: true as const }),
    ),
    ...over({ starts: [-9], ends: [-(2 ** 31)], axes: [0], steps: [-1] }, [
      'backwards from before the first',
      normal(4),
    ]).map((each) => ({ ...each, gradientRefused: true as const })),
  ],
  Pad: [
    ...over({ pads: [0, 1, 2, 0] }, ['matrix', normal(2, 3)]),
    ...over({ pads: [0, 0, 1, 2, 0, 0, 3, 0] }, ['pictures', normal(1, 2, 2, 3)]),
    ...over({ pads: [-1, 2, 0, -2] }, ['pads and cuts', normal(3, 4)]),
    ...over({ pads: [1, 1] }, ['truths', booleans(2)], ['whole numbers', integers(9, 3)]),
  ],
  Gather: [
    ...over(
      { axis: 0 },
      ['rows, some twice', normal(3, 4), integers(3, 7)],
      ['a table of rows', normal(5, 2), integers(5, 2, 3)],
      ['one row', normal(4, 3), integers(4)],
      ['numbers', normal(6), integers(6, 2)],
      ['whole numbers', integers(9, 4), integers(4, 3)],
    ),
    ...over(
      { axis: 0 },
      ['int32 indices', normal(3, 2), { ...integers(3, 4), dtype: 'int32' }],
      ['from the end', normal(4, 2), { ...integers(4, 6), draw: (random) => random.integer(8) - 4 }],
    ),
    ...over({ axis: 1 }, ['second axis', normal(2, 4, 2), integers(4, 3)]).map((each) => ({
      ...each,
      gradientRefused: true as const,
    })),
    ...over({ axis: -1 }, ['last axis', normal(2, 4), integers(4, 2, 2)]).map((each) => ({
      ...each,
      gradientRefused: true as const,
    })),
  ],
  Resize: [
    resize('doubled', [1, 2, 3, 2], [1, 2, 6, 4]),
    resize('tripled and kept', [2, 1, 2, 3], [2, 1, 6, 3]),
    resize('doubled less one', [1, 2, 3, 4], [1, 2, 5, 7]),
    resize('shrunk', [1, 1, 7, 6], [1, 1, 3, 2]),
    resize('whole in one axis only', [1, 2, 2, 3], [1, 2, 4, 4]),
    resize('by five thirds', [1, 1, 6, 3], [1, 1, 10, 5]),
  ],

  MatMul: [
    ...over(
      {},
      ['matrices', normal(3, 4), normal(4, 2)],
      ['batched', normal(2, 3, 4), normal(2, 4, 2)],
      ['batched × matrix', normal(2, 3, 4), normal(4, 2)],
      ['matrix × batched', normal(3, 4), normal(2, 4, 2)],
      ['batches broadcast', normal(2, 1, 3, 4), normal(3, 4, 2)],
      ['one row', normal(1, 4), normal(4, 1)],
    ),
  ],
  FusedMatMul: fusedMatMuls,
  Gemm: gemms,
  Conv: convolutions,
  ConvTranspose: transposedConvolutions,
  LayerNormalization: over(
    { axis: -1, epsilon: 1e-5 },
    ['rows', normal(3, 4), normal(4), normal(4)],
    ['tokens', normal(2, 3, 5), normal(5), normal(5)],
    ['without bias', normal(2, 4), normal(4)],
    ['bias given as absent', normal(2, 4), normal(4), undefined],
    ['one row of many axes', normal(1, 1, 6), normal(6), normal(6)],
    ['half precision', eighths('float16', 2, 4), eighths('float16', 4), eighths('float16', 4)],
  ),
  GroupNormalization: [
    ...over({ num_groups: 2, epsilon: 1e-5 }, ['two groups', normal(2, 4, 2, 3), normal(4), normal(4)]),
    ...over({ num_groups: 1, epsilon: 1e-6 }, ['one group', normal(2, 3, 2, 2), normal(3), normal(3)]),
    ...over({ num_groups: 3, epsilon: 1e-5 }, [
      'a channel a group',
      normal(1, 3, 3, 2),
      normal(3),
      normal(3),
    ]),
    ...over({ num_groups: 2, epsilon: 0.1 }, ['single pixels', normal(3, 4, 1, 1), normal(4), normal(4)]),
  ],
  Attention: [
    ...over(
      { scale: 0.6, recompute: 1 },
      ['probabilities computed again', normal(2, 3, 2), normal(2, 4, 2), normal(2, 4, 2)],
      ['computed again with a mask', normal(3, 2), normal(4, 2), normal(4, 3), normal(3, 4)],
    ),
    ...over(
      { scale: 0.6 },
      ['one head', normal(3, 2), normal(4, 2), normal(4, 5)],
      ['batched', normal(2, 3, 2), normal(2, 4, 2), normal(2, 4, 2)],
      ['heads', normal(2, 2, 3, 2), normal(2, 2, 4, 2), normal(2, 2, 4, 2)],
      ['heads and a mask', normal(2, 2, 3, 2), normal(2, 2, 3, 2), normal(2, 2, 3, 2), normal(3, 3)],
      ['one head and a mask', normal(3, 2), normal(4, 2), normal(4, 3), normal(1, 4)],
      ['mask given as absent', normal(3, 2), normal(4, 2), normal(4, 3), undefined],
      ['keys shared by the batch', normal(2, 3, 2), normal(1, 4, 2), normal(1, 4, 3)],
    ),
  ],
  Loop: over({ body: loopBody(), trips: 3 }, [
    'state, a constant and a gathered sum',
    normal(2, 3),
    normal(3),
  ]).map((each) => ({ ...each, gradientRefused: true as const })),
};
