/** Graphs as values: names, constants, and that what does not fit fails while it is built, saying what and where. */
import { describe, expect, test } from 'vitest';
import { GraphError } from '../../sdk/errors';
import { Graph, type Value } from '../../sdk/graph/graph';
import { loop } from '../../sdk/graph/loop';
import { lower, neededNodes } from '../../sdk/graph/lowering';
import { append, op } from '../../sdk/graph/operators';
import { type DataType, dataTypes, float32 } from '../../sdk/tensor';

const window = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
const nearest = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };

/** A graph that makes inputs `a`, `b`, `c`, … of the shapes asked for. */
function inputs(...types: (readonly number[] | readonly [DataType, ...number[]])[]): Value[] {
  const graph = new Graph();
  return types.map((type, i) => {
    const [dtype, ...shape] = typeof type[0] === 'string' ? type : ['float32', ...type];
    return graph.input('abcdef'[i]!, dtype as DataType, shape as number[]);
  });
}

describe('a broken graph fails when it is built', () => {
  type Build = (...values: [Value, Value, Value, Value]) => unknown;
  const broken: [what: string, types: Parameters<typeof inputs>, build: Build, words: string[]][] = [
    [
      'shapes that do not broadcast',
      [[2, 3], [4]],
      (a, b) => op.Add(a, b),
      ['Add_0', 'a float32[2,3]', 'b float32[4]', '[2,3] and [4]'],
    ],
    [
      'different element types',
      [[2], ['int64', 2]],
      (a, b) => op.Mul(a, b),
      ['Mul_0', 'a float32[2]', 'b int64[2]', 'float32 and int64'],
    ],
    ['truths as numbers', [['bool', 2]], (a) => op.Neg(a), ['Neg_0', 'a bool[2]', 'Cast']],
    ['whole numbers where only reals do', [['int64', 2]], (a) => op.Exp(a), ['Exp_0', 'a int64[2]', 'Cast']],
    ['a fraction added to whole numbers', [['int64', 2]], (a) => op.Add(a, 0.5), ['0.5', 'int64']],
    ['a condition that is none', [[2]], (a) => op.Where(a, a, a), ['Where_0', 'float32', 'bool']],
    ['bounds on whole numbers', [['int64', 2]], (a) => op.Clip(a, { min: 0, max: 1 }), ['Clip_0', 'int64']],
    [
      'an axis outside',
      [[2, 3]],
      (a) => op.Softmax(a, { axis: 2 }),
      ['Softmax_0', 'a float32[2,3]', 'axis 2'],
    ],
    [
      'a reduction over no axes',
      [[2]],
      (a) => op.ReduceSum(a, { axes: [], keepdims: 0 }),
      ['ReduceSum_0', 'no axes'],
    ],
    [
      'sizes that do not reshape',
      [[2, 3]],
      (a) => op.Reshape(a, { shape: [4, -1] }),
      ['Reshape_0', '[2,3]', '[4,-1]'],
    ],
    [
      'a reshape to 0, which ONNX reads as a copy',
      [[0, 3]],
      (a) => op.Reshape(a, { shape: [0] }),
      ['Reshape_0', '[0]'],
    ],
    [
      'an order that is none',
      [[2, 3]],
      (a) => op.Transpose(a, { perm: [0, 0] }),
      ['Transpose_0', 'perm [0,0]', '[2,3]'],
    ],
    [
      'an expansion that does not fit',
      [[2, 3]],
      (a) => op.Expand(a, { shape: [4, 3] }),
      ['Expand_0', '[2,3] and [4,3]'],
    ],
    [
      'parts that do not join',
      [
        [2, 3],
        [3, 2],
      ],
      (a, b) => op.Concat(a, b, { axis: 1 }),
      ['Concat_0', 'a float32[2,3]', 'b float32[3,2]', 'axis 1'],
    ],
    [
      'parts that do not add up',
      [[2, 3]],
      (a) => op.Split(a, { split: [1, 1], axis: 1 }),
      ['Split_0', '[1,1]', '[2,3]'],
    ],
    [
      'a step of 0',
      [[4]],
      (a) => op.Slice(a, { starts: [0], ends: [4], axes: [0], steps: [0] }),
      ['Slice_0', 'step of 0'],
    ],
    ['too few pads', [[2, 3]], (a) => op.Pad(a, { pads: [1, 1] }), ['Pad_0', '[1,1]', '[2,3]']],
    ['cuts beyond an axis', [[2]], (a) => op.Pad(a, { pads: [-3, 0] }), ['Pad_0', '-1']],
    [
      'indices that are reals',
      [[4], [2]],
      (a, b) => op.Gather(a, b, { axis: 0 }),
      ['Gather_0', 'b float32[2]', 'int64'],
    ],
    [
      'sizes of other channels',
      [[1, 2, 3, 3]],
      (a) => op.Resize(a, { sizes: [1, 3, 6, 6], ...nearest }),
      ['Resize_0', '[1,3,6,6]', '[1,2,3,3]'],
    ],
    [
      'a mode that is not nearest',
      [[1, 2, 3, 3]],
      (a) => op.Resize(a, { sizes: [1, 2, 6, 6], ...nearest, mode: 'linear' }),
      ['Resize_0', 'nearest'],
    ],
    [
      'inner sizes that differ',
      [
        [2, 3],
        [4, 5],
      ],
      (a, b) => op.MatMul(a, b),
      ['MatMul_0', 'a float32[2,3]', 'b float32[4,5]', 'inner sizes 3 and 4'],
    ],
    [
      'a transposed side that does not fit',
      [
        [2, 3],
        [3, 4],
      ],
      (a, b) => op.FusedMatMul(a, b, { transB: 1 }),
      ['FusedMatMul_0', 'second transposed', '3 and 4'],
    ],
    ['a vector times a matrix', [[3], [3, 4]], (a, b) => op.MatMul(a, b), ['MatMul_0', '[3] × [3,4]']],
    [
      'Gemm on a batch',
      [
        [2, 3, 4],
        [4, 5],
      ],
      (a, b) => op.Gemm(a, b),
      ['Gemm_0', '[2,3,4]', 'matrices'],
    ],
    [
      'an addend that does not fit',
      [[2, 3], [3, 4], [3]],
      (a, b, c) => op.Gemm(a, b, c),
      ['Gemm_0', 'c float32[3]', '[2,4]'],
    ],
    [
      'channels that do not fit the weight',
      [
        [1, 3, 4, 4],
        [2, 4, 3, 3],
      ],
      (a, b) => op.Conv(a, b, window),
      ['Conv_0', '3 input channels', '[2,4,3,3]'],
    ],
    [
      'a bias of other length',
      [[1, 2, 4, 4], [3, 2, 3, 3], [2]],
      (a, b, c) => op.Conv(a, b, c, window),
      ['Conv_0', 'bias [2]', '[3]'],
    ],
    [
      'a kernel larger than the picture',
      [
        [1, 2, 2, 2],
        [3, 2, 3, 3],
      ],
      (a, b) => op.Conv(a, b, window),
      ['Conv_0', 'padded size of 2', "kernel's 3"],
    ],
    [
      'ConvTranspose channels',
      [
        [1, 2, 4, 4],
        [3, 2, 3, 3],
      ],
      (a, b) => op.ConvTranspose(a, b, { ...window, output_padding: [0, 0] }),
      ['ConvTranspose_0', '2 input channels', '[3,2,3,3]'],
    ],
    [
      'output padding of a whole stride',
      [
        [1, 2, 4, 4],
        [2, 2, 3, 3],
      ],
      (a, b) => op.ConvTranspose(a, b, { ...window, output_padding: [1, 0] }),
      ['ConvTranspose_0', '[1,0]', '[1,1]'],
    ],
    [
      'a scale of other length',
      [[2, 4], [3]],
      (a, b) => op.LayerNormalization(a, b, { axis: -1, epsilon: 1 }),
      ['LayerNormalization_0', 'scale [3]', '[4]'],
    ],
    [
      'a bias that is not per feature',
      [[2, 4], [4], [3]],
      (a, b, c) => op.LayerNormalization(a, b, c, { axis: -1, epsilon: 1 }),
      ['LayerNormalization_0', 'bias [3]', '[4]'],
    ],
    [
      'groups that do not divide',
      [[1, 4, 2, 2], [4], [4]],
      (a, b, c) => op.GroupNormalization(a, b, c, { num_groups: 3, epsilon: 1 }),
      ['GroupNormalization_0', '[1,4,2,2]', '3 groups'],
    ],
    [
      'keys of another size',
      [
        [2, 4, 3],
        [2, 5, 4],
        [2, 5, 3],
      ],
      (a, b, c) => op.Attention(a, b, c, { scale: 1 }),
      ['Attention_0', '3 and 4'],
    ],
    [
      'a mask of another size',
      [
        [4, 3],
        [5, 3],
        [5, 3],
        [3, 5],
      ],
      (a, b, c, d) => op.Attention(a, b, c, d, { scale: 1 }),
      ['Attention_0', 'd float32[3,5]', '[4,5]'],
    ],
    [
      'a state that a loop changes the shape of',
      [[2, 3]],
      (a) => loop(2, [a], [], (_, [x]) => ({ state: [op.Transpose(x!, { perm: [1, 0] })] })),
      ['Loop_0', 'a float32[2,3]', 'float32[3,2]'],
    ],
    [
      'a convolution of rows',
      [
        [1, 2, 4],
        [3, 2, 3],
      ],
      (a, b) => op.Conv(a, b, window),
      ['Conv_0', 'a float32[1,2,4]', 'four axes'],
    ],
    [
      'a ConvTranspose of rows',
      [
        [1, 2, 4],
        [2, 3, 3],
      ],
      (a, b) => op.ConvTranspose(a, b, { ...window, output_padding: [0, 0] }),
      ['ConvTranspose_0', 'four axes'],
    ],
    [
      'a layer normalised over another axis',
      [[2, 4], [4]],
      (a, b) => op.LayerNormalization(a, b, { axis: 0, epsilon: 1 }),
      ['LayerNormalization_0', 'axis 0'],
    ],
    [
      'nothing to concatenate',
      [[2]],
      (a) => append(a.graph, 'Concat', [], { axis: 0 }),
      ['Concat_0', 'nothing'],
    ],
    [
      'a body that takes too little',
      [[2]],
      (a) => op.Loop(a, { body: { inputs: [], outputs: [a, a] }, trips: 1 }),
      ['Loop_0', '0 inputs and 2 outputs', '1 of state'],
    ],
    ['a size that is not whole', [[2]], (a) => a.graph.input('half', 'float32', [0.5]), ['half', '0.5']],
    [
      'a constant of too few numbers',
      [[2]],
      (a) => a.graph.constant(float32([3], [1, 2])),
      ['2 elements', '[3]'],
    ],
    ['no value at all', [[2]], () => op.Add(1, 2), ['Add', 'graph.constant']],
  ];
  test.each(broken)('%s', (_, types, build, words) => {
    const [a, b, c, d] = inputs(...types) as [Value, Value, Value, Value];
    const attempt = () => build(a, b, c, d);
    expect(attempt).toThrow(GraphError);
    for (const word of words) expect(attempt).toThrow(word);
  });

  test('values of two graphs', () => {
    const [a] = inputs([2]);
    const [b] = inputs([2]);
    const attempt = () => op.Add(a!, b!);
    expect(attempt).toThrow(GraphError);
    expect(attempt).toThrow('Add_0: input "a" belongs to another graph');
    expect(() => neededNodes([a!, b!])).toThrow(GraphError);
  });

  test('values of the graph around a loop inside its body', () => {
    const [a, outside] = inputs([2], [2]) as [Value, Value];
    const attempt = () => loop(2, [a], [], (_, [x]) => ({ state: [op.Add(x!, outside)] }));
    expect(attempt).toThrow('another graph');
  });
});

describe('names', () => {
  test('an input cannot take a name twice', () => {
    const graph = new Graph();
    graph.input('x', 'float32', []);
    expect(() => graph.input('x', 'float32', [])).toThrow(GraphError);
    expect(() => graph.input('x', 'float32', [])).toThrow('x: a value of this name exists already');
  });

  test('those that the graph makes up give way', () => {
    const graph = new Graph();
    const first = graph.input('Exp_0', 'float32', [2]);
    graph.input('constant', 'float32', []);
    const y = op.Add(op.Exp(first), 3);
    const names = new Set(
      [first, y, ...graph.nodes.flatMap(({ inputs, outputs }) => [...inputs, ...outputs])].map(
        (v) => v?.name,
      ),
    );
    expect(names.size).toBe(5 - 1);
    expect(lower([y]).graph.inputs.map(({ name }) => name)).toEqual(['Exp_0']);
  });

  test('an input of a lowered graph keeps a name that a lowered node would take', () => {
    const graph = new Graph();
    const [q, k] = ['Softmax_1', 'FusedMatMul_0'].map((name) => graph.input(name, 'float32', [2, 2])) as [
      Value,
      Value,
    ];
    const late = graph.input('MatMul_2', 'float32', [2, 2]);
    const [y] = op.Attention(q, k, k, { scale: 1 });
    const { inputs } = lower([op.Add(y!, late)]).graph;
    expect(inputs.map(({ name }) => name)).toEqual(['Softmax_1', 'FusedMatMul_0', 'MatMul_2']);
  });

  test('a stored weight is one value, and two weights cannot share a name', () => {
    const graph = new Graph();
    const weight = { dtype: 'float32', shape: [2], file: 'w', offset: 8, length: 8 } as const;
    expect(graph.stored('w', weight)).toBe(graph.stored('w', { ...weight }));
    expect(() => graph.stored('w', { ...weight, offset: 16 })).toThrow(
      'w: is stored twice: [2] at 8 in w and [2] at 16 in w',
    );
  });
});

describe('constants', () => {
  test('equal small ones are one value', () => {
    const graph = new Graph();
    expect(graph.scalar(2)).toBe(graph.scalar(2));
    expect(graph.constant(float32([2], [1, 2]))).toBe(graph.constant(float32([2], [1, 2]), 'other'));
  });

  test('those that differ in type, shape, sign of zero or a bit are not', () => {
    const graph = new Graph();
    const all = [
      graph.scalar(0),
      graph.scalar(-0),
      graph.scalar(0, 'int64'),
      graph.scalar(0, 'float64'),
      graph.constant(float32([1], [0])),
      graph.constant(float32([1, 1], [0])),
      graph.constant(float32([1], [2 ** -149])),
    ];
    expect(new Set(all).size).toBe(all.length);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });

  test('a scalar is encoded in its type', () => {
    const graph = new Graph();
    const bits = (dtype: DataType, value: number) => {
      const { source } = graph.scalar(value, dtype);
      return source.kind === 'constant' ? source.tensor.data[0] : undefined;
    };
    expect(bits('float16', 0.5)).toBe(0x3800);
    expect(bits('bfloat16', 0.5)).toBe(0x3f00);
    expect(bits('int64', 3)).toBe(3n);
    for (const dtype of Object.keys(dataTypes) as DataType[])
      expect(graph.scalar(1, dtype).dtype).toBe(dtype);
  });
});

describe('what is needed', () => {
  test('nodes and inputs that no output depends on are left out', () => {
    const [a, b] = inputs([2], [2]) as [Value, Value];
    const wanted = op.Exp(a);
    op.Add(wanted, b);
    const { graph, outputs } = lower([wanted]);
    expect(graph.nodes.map(({ opType }) => opType)).toEqual(['Exp']);
    expect(graph.inputs.map(({ name }) => name)).toEqual(['a']);
    expect(outputs[0]!.graph).toBe(graph);
  });

  test('each output of a lowered graph is made by a node of its own', () => {
    const [a] = inputs([2]) as [Value];
    const y = op.Exp(a);
    const { outputs } = lower([y, y, a]);
    expect(outputs.map(({ source }) => source.kind)).toEqual(['node', 'node', 'node']);
    expect(new Set(outputs).size).toBe(3);
  });

  test('nodes keep the order in which they were appended', () => {
    const [a] = inputs([2]) as [Value];
    const sine = op.Sin(a);
    const exponential = op.Exp(a);
    const both = op.Add(exponential, sine);
    expect(neededNodes([both]).map(({ opType }) => opType)).toEqual(['Sin', 'Exp', 'Add']);
  });
});
