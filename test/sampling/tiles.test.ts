/** The autoencoder in tiles, against diffusers' after `enable_tiling()`. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import type { CreateSession } from '../../sdk/graph/session';
import { readBaseModel } from '../../sdk/models/base-model';
import { scaleLatents } from '../../sdk/models/latents';
import { createSession } from '../../sdk/runtime/session';
import { createDecoder, createEncoder } from '../../sdk/sampling/autoencoder';
import { openReference } from '../parity/reference';
import { tolerances } from '../parity/report';
import { relativeError } from '../schedulers/reference-run';

const fixtures = join(import.meta.dirname, '../../fixtures');
const reference = openReference(join(fixtures, 'pictures'), 'pictures.safetensors');
const base = readBaseModel(openDiffusersFolder(join(fixtures, 'golden/sd15-tiny')));

/** Sessions that are counted, and how many were open at most. */
function counted() {
  const open = new Set<object>();
  const count = { opened: 0, mostOpen: 0, open };
  const create: CreateSession = async (outputs) => {
    const session = await createSession(outputs);
    open.add(session);
    count.opened += 1;
    count.mostOpen = Math.max(count.mostOpen, open.size);
    return {
      ...session,
      async release() {
        open.delete(session);
        await session.release();
      },
    };
  };
  return { create, count };
}

test('decoding: tiles of 8 × 8 latents in 13 × 18, at the edges 7 and 1 high, 6 wide', async () => {
  const { create, count } = counted();
  const decoder = await createDecoder(base, [13, 18], create, true);
  const unscaled = reference.numbers('tiled/latents');
  const decoded = await decoder.decode(scaleLatents(base.vae.config, unscaled, 13 * 18));
  expect(relativeError(decoded, reference.numbers('tiled/decoded'))).toBeLessThan(tolerances.modules);
  // Three heights by two widths, of which only that of a whole tile stays.
  expect(count).toMatchObject({ opened: 6, mostOpen: 2 });
  expect(count.open.size).toBe(1);
  await decoder.release();
  expect(count.open.size).toBe(0);

  const whole = await createDecoder(base, [13, 18], createSession);
  const untiled = await whole.decode(scaleLatents(base.vae.config, unscaled, 13 * 18));
  await whole.release();
  expect(relativeError(untiled, reference.numbers('tiled/decoded'))).toBeGreaterThan(tolerances.modules);
});

test('encoding: mean and log variance of tiles of 64 × 64 pixels in 104 × 144', async () => {
  const encoder = await createEncoder(base, 104, 144, createSession, true);
  const { mean, logvar } = await encoder.encode(reference.numbers('tiled/picture'));
  await encoder.release();
  expect(relativeError(mean, reference.numbers('tiled/mean'))).toBeLessThan(tolerances.modules);
  expect(relativeError(logvar, reference.numbers('tiled/logvar'))).toBeLessThan(tolerances.modules);
});

test('a picture of one tile is not cut', async () => {
  const { create, count } = counted();
  const latents = reference.numbers('tiled/latents').slice(0, 4 * 8 * 6);
  const results: Float32Array[] = [];
  for (const tiled of [true, false]) {
    const decoder = await createDecoder(base, [8, 6], create, tiled);
    results.push(await decoder.decode(latents));
    await decoder.release();
  }
  expect(count.opened).toBe(2);
  expect(results[0]).toEqual(results[1]);
});
