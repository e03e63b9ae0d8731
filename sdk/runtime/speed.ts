/** How fast this machine computes, measured in half a second on what diffusion models are made of. */
import type { Footprint } from '../graph/footprint';
import { Graph, type Value } from '../graph/graph';
import { op } from '../graph/operators';
import type { CreateSession } from '../graph/session';
import { float32, sizeOf } from '../tensor';

/** A second's worth of each kind of work, as a footprint counts it. */
export type Speed = Readonly<Record<keyof Work, number>>;
type Work = Pick<Footprint, 'convolutionOperations' | 'productOperations' | 'moved' | 'transcendentals'>;

const trials = 3;

/** Each kind on a graph that is little else; of several runs the fastest counts. */
export async function measureSpeed(createSession: CreateSession): Promise<Speed> {
  const time = async (shape: readonly number[], build: (x: Value) => Value): Promise<number> => {
    const x = new Graph().input('x', 'float32', shape);
    const y = build(x);
    // A sum, since handing out a large result would be timed with it.
    const axes = y.shape.map((_, axis) => axis);
    const session = await createSession({ sum: op.ReduceSum(y, { axes, keepdims: 0 }) });
    const feeds = { x: float32(shape, new Float32Array(sizeOf(shape)).fill(0.01)) };
    let fastest = Infinity;
    for (let i = 0; i <= trials; i++) {
      const begun = performance.now();
      await session.run(feeds);
      // The first run touches its memory for the first time.
      if (i > 0) fastest = Math.min(fastest, (performance.now() - begun) / 1000);
    }
    await session.release();
    return fastest;
  };
  const [channels, side] = [320, 64];
  const places = side * side;
  const convolution = await time([1, channels, side, side], (x) => {
    const window = { strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 };
    return op.Conv(
      x,
      op.Expand(x.graph.scalar(0.01), { shape: [channels, channels, 3, 3] }),
      undefined,
      window,
    );
  });
  const product = await time([places, channels], (x) => {
    const head = op.Slice(x, { starts: [0], ends: [40], axes: [1], steps: [1] });
    const scores = op.FusedMatMul(head, head, { transB: 1 });
    return op.MatMul(scores, x);
  });
  const sums = 4;
  const moved = await time([4, 1024, 1024], (x) => {
    let y = x;
    for (let i = 0; i < sums; i++) y = op.Add(op.Transpose(y, { perm: [0, 2, 1] }), x);
    return y;
  });
  const exponentials = await time([places, places / 2], (x) => op.Softmax(x, { axis: -1 }));
  const elements = 4 * 1024 * 1024;
  const movedPerSecond = (sums * 5 * 4 * elements) / moved;
  return {
    convolutionOperations: (2 * channels * places * channels * 9) / convolution,
    productOperations: (2 * places * places * (40 + channels)) / product,
    moved: movedPerSecond,
    transcendentals: (places * places) / 2 / exponentials,
  };
}

/** Seconds that one run takes. */
export const secondsOf = (work: Work, speed: Speed): number =>
  (Object.keys(speed) as (keyof Work)[]).reduce((sum, kind) => sum + work[kind] / speed[kind], 0);
