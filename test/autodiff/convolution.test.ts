/** The data gradient of a large kernel over few places, which is a ConvTranspose, against the one by a turned kernel. */
import { expect, test } from 'vitest';
import { backward } from '../../sdk/autodiff/backward';
import { Graph } from '../../sdk/graph/graph';
import { op } from '../../sdk/graph/operators';
import { createRandom } from '../../sdk/random';
import { createSession } from '../../sdk/runtime/session';
import { float32, sizeOf } from '../../sdk/tensor';

test('the two ways to the data gradient agree', async () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [1, 256, 3, 2]);
  const w = graph.input('w', 'float32', [1024, 256, 3, 3]);
  const dy = graph.input('dy', 'float32', [1, 1024, 3, 2]);
  const window = { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 };
  const y = op.Conv(x, w, undefined, window);
  const loss = op.ReduceSum(op.Mul(y, dy), { axes: [0, 1, 2, 3], keepdims: 0 });
  const [dx] = backward(loss, [x]);
  expect(graph.nodes.map(({ opType }) => opType)).toContain('ConvTranspose');
  const turned = op.Slice(w, {
    starts: [-1, -1],
    ends: [-(2 ** 31), -(2 ** 31)],
    axes: [2, 3],
    steps: [-1, -1],
  });
  const other = op.Conv(dy, op.Transpose(turned, { perm: [1, 0, 2, 3] }), undefined, window);
  const session = await createSession({ dx: dx!, other });
  const random = createRandom(1);
  const feed = (shape: readonly number[]) => float32(shape, random.normals(sizeOf(shape)));
  const found = await session.run({ x: feed(x.shape), w: feed(w.shape), dy: feed(dy.shape) });
  await session.release();
  const [a, b] = [found.dx.data, found.other.data] as [Float32Array, Float32Array];
  const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  a.forEach((value, i) => {
    expect(Math.abs(value - b[i]!)).toBeLessThan(1e-5 * largest);
  });
});
