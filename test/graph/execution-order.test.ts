import { describe, expect, test } from 'vitest';
import { asItRan, executionOrder } from '../../sdk/graph/execution-order';
import { footprint } from '../../sdk/graph/footprint';
import { Graph } from '../../sdk/graph/graph';
import { constantsFirst, neededNodes } from '../../sdk/graph/lowering';
import { op } from '../../sdk/graph/operators';
import { fieldsOf, message, toBytes } from '../../sdk/graph/protobuf';
import { float32 } from '../../sdk/tensor';

const types = (graph: Graph) => executionOrder(graph.nodes).map(({ opType }) => opType);

describe('the order of execution', () => {
  test('of two inputs, the one made last in the file is made first', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2]);
    op.Add(op.Exp(x), op.Sqrt(x));
    expect(types(graph)).toEqual(['Sqrt', 'Exp', 'Add']);
  });

  test('what is made of constants alone is put first in the file, so that it is made right before its use', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2, 2]);
    const late = op.Exp(x);
    const w = graph.constant(float32([2, 2], [1, 2, 3, 4]));
    const y = op.MatMul(late, op.Transpose(w, { perm: [1, 0] }));
    expect(types(graph)).toEqual(['Transpose', 'Exp', 'MatMul']);
    expect(executionOrder(constantsFirst(neededNodes([y]))).map(({ opType }) => opType)).toEqual([
      'Exp',
      'Transpose',
      'MatMul',
    ]);
  });

  test('a model as it was written in the order it ran: its nodes are turned about, the rest stays', () => {
    const node = (name: string) => message().bytes(3, name);
    const graph = message().bytes(1, node('a')).bytes(2, 'graph').bytes(1, node('b')).bytes(5, 'w');
    const model = toBytes(message().int(1, 8).bytes(7, graph).bytes(8, message().int(2, 18)));
    const turned = asItRan(model);
    const outer = [...fieldsOf(turned)];
    expect(outer.map(({ number }) => number)).toEqual([1, 7, 8]);
    const inner = [...fieldsOf(outer[1]!.content)].map(({ content }) => Buffer.from(content).toString());
    expect(inner).toEqual(['\x1a\x01b', '\x1a\x01a', 'graph', 'w']);
    expect(turned.length).toBe(model.length);
    expect(() => asItRan(model.subarray(0, model.length - 1))).toThrow(RangeError);
  });
});

describe('the footprint of a graph', () => {
  const kilobyte = 1024;
  const tile = [16, 16];

  test('counts what is alive at once: a value lives until its last reader', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', tile);
    // t is alive while a and b are made, each 1 kB; the product is written over one of the two.
    const t = op.Transpose(x, { perm: [1, 0] });
    const a = op.Softmax(t, { axis: -1 });
    const y = op.Mul(op.Softmax(a, { axis: -1 }), t);
    expect(footprint([y]).activations).toBe(3 * kilobyte);
  });

  test('a view takes nothing, and elementwise results lie where their input lay', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', tile);
    const t = op.Reshape(op.Transpose(x, { perm: [1, 0] }), { shape: [256] });
    expect(footprint([op.Exp(op.Neg(t))]).activations).toBe(kilobyte);
  });

  test('counts multiplications, moved bytes and exponentials', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [1, 3, 8, 8]);
    const w = graph.input('w', 'float32', [5, 3, 3, 3]);
    const conv = op.Conv(x, w, undefined, {
      strides: [1, 1],
      pads: [1, 1, 1, 1],
      dilations: [1, 1],
      group: 1,
    });
    const rows = op.Reshape(conv, { shape: [5, 64] });
    const product = op.FusedMatMul(rows, rows, { transB: 1 });
    const found = footprint([op.Softmax(product, { axis: -1 })]);
    expect(found.convolutionOperations).toBe(2 * 5 * 64 * 27);
    expect(found.productOperations).toBe(2 * 5 * 5 * 64);
    expect(found.transcendentals).toBe(25);
    expect(found.moved).toBe(2 * 25 * 4);
  });

  test('a half-precision weight is in memory once for all uses, or at each use alone', () => {
    const graph = new Graph();
    const stored = { dtype: 'float16', shape: [64, 64], file: 'f', offset: 0, length: 8192 } as const;
    const w = op.Cast(graph.stored('w', stored), { to: 'float32' });
    const x = graph.input('x', 'float32', [1, 64]);
    const y = op.MatMul(op.Exp(op.MatMul(x, w)), w);
    expect(footprint([y]).stored).toBe(8192);
    expect(footprint([y], { castAtUse: true }).nodes).toBe(footprint([y]).nodes + 1);
  });
});
