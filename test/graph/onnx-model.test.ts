/** ModelProto bytes as onnxruntime reads them: outputs, open axes, weights in place, loops. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { backward } from '../../sdk/autodiff/backward';
import { GraphError, RuntimeFailedError } from '../../sdk/errors';
import { Graph, type Value } from '../../sdk/graph/graph';
import { loop } from '../../sdk/graph/loop';
import { writeOnnxModel } from '../../sdk/graph/onnx-model';
import { op } from '../../sdk/graph/operators';
import { createSession } from '../../sdk/runtime/session';
import { float32, type StoredTensor, type Tensor } from '../../sdk/tensor';

const folder = mkdtempSync(join(tmpdir(), 'onnx-model-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(outputs: Record<string, Value>, feeds: Record<string, Tensor> = {}) {
  const results: Record<string, Tensor>[] = [];
  for (const optimization of ['disabled', 'all'] as const) {
    const session = await createSession(outputs, { threads: 1, optimization });
    results.push(await session.run(feeds));
    await session.release();
  }
  expect(results[1]).toEqual(results[0]);
  return results[0]!;
}
const numbers = (tensor: Tensor | undefined) => [...(tensor!.data as Float32Array)];

describe('outputs', () => {
  test('may be an input, a constant, or one value twice', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2]);
    const y = op.Neg(x);
    const results = await run({ x, two: graph.scalar(2), y, again: y, too: x }, { x: float32([2], [1, 5]) });
    expect(Object.keys(results)).toEqual(['x', 'two', 'y', 'again', 'too']);
    expect(['x', 'two', 'y', 'again', 'too'].map((name) => numbers(results[name]))).toEqual([
      [1, 5],
      [2],
      [-1, -5],
      [-1, -5],
      [1, 5],
    ]);
  });

  test('of two graphs are refused', () => {
    const [x, y] = [new Graph(), new Graph()].map((graph) => graph.input('x', 'float32', [])) as [
      Value,
      Value,
    ];
    expect(() => writeOnnxModel({ x, y }, (file) => file)).toThrow(GraphError);
  });

  test('inputs that none of them needs are not asked for', async () => {
    const graph = new Graph();
    const [x, unused] = ['x', 'unused'].map((name) => graph.input(name, 'float32', [])) as [Value, Value];
    op.Add(x, unused);
    expect(writeOnnxModel({ y: op.Exp(x) }, (file) => file).inputs.map(({ name }) => name)).toEqual(['x']);
    expect(numbers((await run({ y: op.Neg(x) }, { x: float32([], [3]) }))['y'])).toEqual([-3]);
  });

  test('a feed that is missing or of another shape or type is named', async () => {
    const session = await createSession({ y: op.Exp(new Graph().input('x', 'float32', [2])) });
    await expect(session.run({})).rejects.toThrow(RuntimeFailedError);
    await expect(session.run({})).rejects.toThrow('"x" was not fed');
    await expect(session.run({ x: float32([3], [1, 2, 3]) })).rejects.toThrow(
      '"x" is float32 [2]; fed was float32 [3]',
    );
    await session.release();
  });
});

test('an open axis runs with any size', async () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [1, 3]);
  const down = graph.input('down', 'float32', [4, 3], { 0: 'rank' });
  const up = graph.input('up', 'float32', [2, 4], { 1: 'rank' });
  const session = await createSession({ y: op.Gemm(op.Gemm(x, down, { transB: 1 }), up, { transB: 1 }) });
  for (const rank of [1, 4, 9]) {
    const { y } = await session.run({
      x: float32([1, 3], [1, 2, 3]),
      down: float32([rank, 3], new Float32Array(rank * 3).fill(1)),
      up: float32([2, rank], new Float32Array(2 * rank).fill(0.5)),
    });
    expect(y.shape).toEqual([1, 2]);
    expect(numbers(y)).toEqual([3 * rank, 3 * rank]);
  }
  await session.release();
});

describe('stored weights', () => {
  /** A .safetensors file by hand; the header's length makes the data begin at an odd byte. */
  function safetensors(name: string, values: number[]): StoredTensor {
    const entry = { dtype: 'F32', shape: [values.length], data_offsets: [0, 4 * values.length] };
    let header = JSON.stringify({ weight: entry });
    while (header.length % 4 !== 3) header += ' ';
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const file = join(folder, name);
    writeFileSync(
      file,
      Buffer.concat([length, Buffer.from(header), Buffer.from(Float32Array.from(values).buffer)]),
    );
    return {
      dtype: 'float32',
      shape: [values.length],
      file,
      offset: 8 + header.length,
      length: 4 * values.length,
    };
  }
  const graph = () => {
    const made = new Graph();
    return { made, x: made.input('x', 'float32', [3]) };
  };

  test('are read in place, from an unaligned offset', async () => {
    const tensor = safetensors('plain.safetensors', [1, 2, 3]);
    expect(tensor.offset % 4).toBe(3);
    const { made, x } = graph();
    const y = op.Mul(x, made.stored('weight', tensor));
    const bytes = writeOnnxModel({ y }, () => 'plain.safetensors').bytes;
    expect(Buffer.from(bytes).includes(Buffer.from(Float32Array.of(1, 2, 3).buffer))).toBe(false);
    expect(numbers((await run({ y }, { x: float32([3], [5, 5, 5]) }))['y'])).toEqual([5, 10, 15]);
  });

  test('are read through a symbolic link, and from several folders', async () => {
    for (const name of ['blobs', 'snapshot', 'other']) mkdirSync(join(folder, name));
    const blob = safetensors('blobs/1234', [1, 2, 3]);
    const link = join(folder, 'snapshot', 'model.safetensors');
    symlinkSync(blob.file, link);
    const other = safetensors('other/vae.safetensors', [10, 20, 30]);
    const { made, x } = graph();
    const y = op.Add(op.Mul(x, made.stored('linked', { ...blob, file: link })), made.stored('other', other));
    expect(numbers((await run({ y }, { x: float32([3], [1, 1, 1]) }))['y'])).toEqual([11, 22, 33]);
  });

  test('may be an output', async () => {
    const stored = new Graph().stored('weight', safetensors('output.safetensors', [4, 5]));
    expect(numbers((await run({ stored }))['stored'])).toEqual([4, 5]);
  });

  test('may be read within a loop', async () => {
    const tensor = safetensors('loop.safetensors', [1, 10, 100]);
    const { x } = graph();
    const { state } = loop(3, [x], [], (_, [value]) => ({
      state: [op.Add(value!, value!.graph.stored('weight', tensor))],
    }));
    expect(numbers((await run({ y: state[0]! }, { x: float32([3], [0, 0, 0]) }))['y'])).toEqual([3, 30, 300]);
  });
});

describe('Loop', () => {
  /** One step of gradient descent with momentum on a small network with group normalisation and attention. */
  function step(x: Value, [weight, momentum]: readonly [Value, Value]) {
    const hidden = op.Attention(op.Gemm(x, weight, { transB: 1 }), x, x, { scale: 0.3 })[0]!;
    const features = [x.shape[1]!];
    const ones = x.graph.constant(float32(features, new Float32Array(features[0]!).fill(1)));
    const zeros = x.graph.constant(float32(features, new Float32Array(features[0]!)));
    const pictures = op.Reshape(hidden, { shape: [x.shape[0]!, x.shape[1]!, 1, 1] });
    const [normalized] = op.GroupNormalization(pictures, ones, zeros, { num_groups: 2, epsilon: 0.1 });
    const error = op.Sub(op.Reshape(normalized!, { shape: x.shape }), 0.25);
    const loss = op.ReduceMean(op.Mul(error, error), { axes: [0, 1], keepdims: 0 });
    const [gradient] = backward(loss, [weight]);
    const moved = op.Add(op.Mul(momentum, 0.9), gradient!);
    return { loss, state: [op.Sub(weight, op.Mul(moved, 0.1)), moved] as const };
  }
  const sizes = { x: [3, 4], weight: [4, 4], momentum: [4, 4] };
  const start = {
    x: float32(
      sizes.x,
      Array.from({ length: 12 }, (_, i) => Math.sin(3 * i)),
    ),
    weight: float32(
      sizes.weight,
      Array.from({ length: 16 }, (_, i) => Math.cos(2 * i)),
    ),
    momentum: float32(sizes.momentum, new Float32Array(16)),
  };
  const inputs = () => {
    const graph = new Graph();
    return Object.entries(sizes).map(([name, shape]) => graph.input(name, 'float32', shape)) as [
      Value,
      Value,
      Value,
    ];
  };

  test('of K trips is K runs of its body', async () => {
    const [x, weight, momentum] = inputs();
    const one = step(x, [weight, momentum]);
    const session = await createSession(
      { loss: one.loss, weight: one.state[0], momentum: one.state[1] },
      { threads: 1 },
    );
    let state: Record<string, Tensor> = start;
    const losses: number[] = [];
    for (let trip = 0; trip < 5; trip++) {
      const { loss, ...next } = await session.run({ ...state, x: start.x });
      losses.push(...numbers(loss));
      state = next;
    }
    await session.release();
    expect(losses[4]).toBeLessThan(losses[0]!);

    const [x5, weight5, momentum5] = inputs();
    const all = loop(5, [weight5, momentum5], [x5], (_, [w, m], [given]) => {
      const { loss, state: next } = step(given!, [w!, m!]);
      return { state: next, gathered: [loss] };
    });
    const looped = await createSession(
      { losses: all.gathered[0]!, weight: all.state[0]!, momentum: all.state[1]! },
      { threads: 1 },
    );
    const result = await looped.run(start);
    await looped.release();
    expect(numbers(result.losses)).toEqual(losses);
    expect(numbers(result.weight)).toEqual(numbers(state['weight']));
    expect(numbers(result.momentum)).toEqual(numbers(state['momentum']));
  });

  test('counts its trips, may nest, and shares no name with the graph around it', async () => {
    const graph = new Graph();
    const start = graph.input('state_0', 'float32', []);
    const doubled = op.Mul(start, 2);
    const { state, gathered } = loop(3, [doubled], [], (iteration, [value]) => {
      const inner = loop(2, [value!], [], (_, [x]) => ({ state: [op.Mul(x!, 2)] }));
      const index = op.Cast(iteration, { to: 'float32' });
      return { state: [op.Add(inner.state[0]!, index)], gathered: [index, inner.state[0]!] };
    });
    const results = await run(
      { last: state[0]!, index: gathered[0]!, inner: gathered[1]! },
      { state_0: float32([], [1]) },
    );
    expect(numbers(results['index'])).toEqual([0, 1, 2]);
    expect(numbers(results['inner'])).toEqual([8, 32, 132]);
    expect(numbers(results['last'])).toEqual([134]);
    // onnxruntime would let the body's constants hide those around it; ONNX does not.
    const text = Buffer.from(writeOnnxModel({ last: state[0]! }, (file) => file).bytes).toString('latin1');
    expect(text.match(/[A-Za-z0-9_/]*int64\(\d\)/g)).toEqual(expect.arrayContaining(['Loop_1/int64(2)']));
    expect(text).not.toMatch(/[^/]int64\(2\)/);
  });

  test('may hand one value on as two states', async () => {
    const graph = new Graph();
    const [a, b] = ['a', 'b'].map((name) => graph.input(name, 'float32', [])) as [Value, Value];
    const { state, gathered } = loop(2, [a, b], [], (_, [x, y]) => {
      const sum = op.Add(x!, y!);
      return { state: [sum, sum], gathered: [sum] };
    });
    const outputs = { a: state[0]!, b: state[1]!, sums: gathered[0]! };
    const results = await run(outputs, { a: float32([], [1]), b: float32([], [2]) });
    expect(['a', 'b', 'sums'].map((name) => numbers(results[name]))).toEqual([[6], [6], [3, 6]]);
  });

  test('hands a state on that its body does not change, and gathers a state', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2]);
    const { state, gathered } = loop(2, [x], [], (_, [value]) => ({ state: [value!], gathered: [value!] }));
    const results = await run({ same: state[0]!, each: gathered[0]! }, { x: float32([2], [1, 2]) });
    expect(numbers(results['same'])).toEqual([1, 2]);
    expect(results['each']!.shape).toEqual([2, 2]);
  });
});
