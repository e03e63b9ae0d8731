/** Attention over so many places that the queries go in parts. */
import { expect, test } from 'vitest';
import { Graph } from '../../sdk/graph/graph';
import { attention } from '../../sdk/nn/attention';

test('of 16,384 places no more than 256 MB of scores are made at a time', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [1, 16_384, 8]);
  const y = attention(x, x, x, 1);
  expect(y.shape).toEqual([1, 16_384, 8]);
  const scores = graph.nodes
    .filter(({ opType }) => opType === 'Attention')
    .map(({ outputs }) => outputs[1]!.shape);
  expect(scores).toEqual(new Array(4).fill([1, 4096, 16_384]));
});

test('a number of places that does not divide is covered once', () => {
  const graph = new Graph();
  const q = graph.input('q', 'float32', [1, 10_001, 8]);
  const k = graph.input('k', 'float32', [1, 10_001, 8]);
  const y = attention(q, k, k, 1);
  expect(y.shape).toEqual([1, 10_001, 8]);
  const rows = graph.nodes.flatMap(({ opType, outputs }) =>
    opType === 'Attention' ? [outputs[0]!.shape[1]!] : [],
  );
  expect(rows.reduce((sum, count) => sum + count)).toBe(10_001);
});

test('few places are one node', () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [1, 4096, 8]);
  expect(attention(x, x, x, 1)).toBe(graph.nodes.at(-1)!.outputs[0]);
});
