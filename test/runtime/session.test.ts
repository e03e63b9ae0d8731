/** Weights that stay in their files, and graphs that are kept as they were optimised. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSafetensors, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { Graph, type Value } from '../../sdk/graph/graph';
import { op } from '../../sdk/graph/operators';
import { float32ToHalf } from '../../sdk/half';
import { createRandom } from '../../sdk/random';
import { listBackends } from '../../sdk/runtime/backends';
import {
  createSession,
  type LoadedGraph,
  type SessionOptions,
  usualWeights,
} from '../../sdk/runtime/session';
import { float32 } from '../../sdk/tensor';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'session-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const side = 512;

/** A stored half-precision matrix, used forwards and backwards: x → Wᵀ·gelu(W·x). 512 kB in the file. */
function build(): { y: Value } {
  const weights = join(folder, 'weights.safetensors');
  const random = createRandom(4);
  const values = float32ToHalf(random.normals(side * side).map((x) => x / 20));
  writeSafetensors(weights, [['w', { dtype: 'float16', shape: [side, side], data: values }]]);
  const graph = new Graph();
  const w = op.Cast(graph.stored('w', openSafetensors(weights).tensors.get('w')!), { to: 'float32' });
  const x = graph.input('x', 'float32', [4, side]);
  const h = op.QuickGelu(op.Gemm(x, w, undefined, { transB: 1 }), { alpha: 1.702 });
  return { y: op.Gemm(h, w, undefined, {}) };
}

const x = () => float32([4, side], createRandom(9).normals(4 * side));
const graphs = () => join(folder, 'graphs');

async function run(options: SessionOptions) {
  const loaded: LoadedGraph[] = [];
  const session = await createSession(build(), { ...options, onLoaded: (one) => loaded.push(one) });
  const { y } = await session.run({ x: x() });
  await session.release();
  return { y: Buffer.from((y.data as Float32Array).slice().buffer), ...loaded[0]! };
}

describe('weights that stay in their files', () => {
  test('give what copied ones give', async () => {
    const folded = await run({ weights: 'folded' });
    const mapped = await run({ weights: 'mapped' });
    const [a, b] = [folded.y, mapped.y].map((bytes) => new Float32Array(new Uint8Array(bytes).buffer)) as [
      Float32Array,
      Float32Array,
    ];
    a.forEach((value, i) => {
      expect(Math.abs(value - b[i]!)).toBeLessThan(1e-4);
    });
    expect(folded.weights).toBe('folded');
    expect(mapped.weights).toBe('mapped');
  });

  test('are the choice for large files alone', () => {
    const stored = (length: number) => ({
      dtype: 'float16' as const,
      shape: [length / 2],
      file: 'f',
      offset: 0,
      length,
    });
    expect(usualWeights([stored(2 ** 27), stored(2 ** 27)])).toBe('mapped');
    expect(usualWeights([stored(2 ** 27)])).toBe('folded');
  });
});

describe('a graph that is kept as it was optimised', () => {
  const options = { weights: 'mapped', graphCache: '' } as const;

  test('is loaded by the next start, gives the same bits, and holds no weight', async () => {
    const first = await run({ ...options, graphCache: graphs() });
    expect(first.cached).toBe(false);
    const [file, ...others] = readdirSync(graphs());
    expect(others).toEqual([]);
    // The weight alone has half a megabyte.
    expect(statSync(join(graphs(), file!)).size).toBeLessThan(20_000);
    const second = await run({ ...options, graphCache: graphs() });
    expect(second.cached).toBe(true);
    expect(second.y.equals(first.y)).toBe(true);
  });

  test('that was damaged is made anew', async () => {
    const first = await run({ ...options, graphCache: graphs() });
    const [file] = readdirSync(graphs()) as [string];
    const whole = readFileSync(join(graphs(), file));
    for (const damaged of [whole.subarray(0, whole.length - 100), Buffer.from('nonsense'), Buffer.alloc(0)]) {
      writeFileSync(join(graphs(), file), damaged);
      const again = await run({ ...options, graphCache: graphs() });
      expect(again.cached).toBe(false);
      expect(again.y.equals(first.y)).toBe(true);
      expect(readFileSync(join(graphs(), file)).equals(whole)).toBe(true);
    }
  });

  test('where none can be kept, the work goes on', async () => {
    writeFileSync(graphs(), 'a file where the folder should be');
    const { cached, y } = await run({ ...options, graphCache: graphs() });
    expect(cached).toBe(false);
    expect(y.equals((await run({ weights: 'mapped' })).y)).toBe(true);
  });

  test('another graph is another file', async () => {
    await run({ ...options, graphCache: graphs() });
    await run({ ...options, graphCache: graphs(), optimization: 'basic' });
    expect(readdirSync(graphs()).length).toBe(2);
  });
});

test('a device that is not there is told as that, with what it lacks', async (context) => {
  const lacking = (await listBackends()).find(({ name, usable }) => name !== 'cpu' && !usable);
  if (lacking === undefined) return context.skip();
  const graph = new Graph();
  const input = graph.input('x', 'float32', [2, 2]);
  const device = lacking.name as 'cuda';
  await expect(createSession({ y: op.Add(input, input) }, { device })).rejects.toMatchObject({
    code: 'unusable-device',
    message: expect.stringMatching(
      new RegExp(
        `^The device ${device} cannot be used here: ${lacking.missing!.split('. ')[0]}\\..*dreambooth doctor$`,
      ),
    ),
  });
});
