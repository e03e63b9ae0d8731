/** What can befall a download, and that it goes on, or ends with nothing wrong left behind. */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { BrokenFileError, DiskFullError, HubUnreachableError, StoppedError } from '../../sdk/errors';
import { cachedModel } from '../../sdk/library/cached-model';
import { type ModelOnHub, pullModel } from '../../sdk/library/pull-model';
import { commitOf } from './hub-cache-layout';
import { startProxy } from './proxy';
import { failure, holds, id, junk, plain, tinyOnHub, unet } from './tiny-on-hub';

// Waits are a fiftieth as long.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof import('node:timers/promises')>();
  return {
    ...timers,
    setTimeout: (length: number, value: unknown, options: object) =>
      timers.setTimeout(length / 50, value, options),
  };
});

const tiny = tinyOnHub();

/** Where nobody listens. */
async function closedAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

describe('a download that breaks off', () => {
  const all = plain.get(unet)!.length;

  test('goes on by itself from the byte where it was cut', async () => {
    tiny.hub.fault(/bytes\/unet/, { cutAfter: 1_000_000 }, 2);
    await pullModel(id);
    holds(tiny, plain);
    const ranges = tiny.hub.asked
      .filter(({ fromBytes, url }) => fromBytes === 'bytes' && url.includes('unet'))
      .map(({ range }) => range);
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBeUndefined();
    for (const range of ranges.slice(1)) expect(Number(/bytes=(\d+)-/.exec(range!)![1])).toBeGreaterThan(0);
    // What the cut connections still held may be asked for again, a piece each.
    expect(tiny.hub.served(unet)).toBeLessThanOrEqual(all + 2 * 65_536 * 4);
  });

  test('is stopped by its caller, and goes on in the next call', async () => {
    tiny.hub.fault(/bytes\/unet/, { slow: 20 });
    const stop = new AbortController();
    let there = 0;
    const stopped = await failure(id, {
      signal: stop.signal,
      onProgress(event) {
        if (event.kind !== 'step-end') return;
        there = event.step;
        if (event.step > 1_500_000) stop.abort();
      },
    });
    expect(stopped).toBeInstanceOf(StoppedError);
    expect(there).toBeLessThan(all);
    expect(tiny.incomplete()).toHaveLength(1);
    expect(() => cachedModel(id)).toThrow(/broken off.*models pull org\/tiny/);
    const kept = lstatSync(join(tiny.repository, 'blobs', tiny.incomplete()[0]!)).size;
    expect(kept).toBeGreaterThan(500_000);
    const told: ModelOnHub[] = [];
    tiny.hub.reset();
    await pullModel(id, { onFound: (found) => told.push(found) });
    holds(tiny, plain);
    const asked = tiny.hub.asked.filter(
      ({ url, fromBytes }) => fromBytes === 'bytes' && url.includes('unet'),
    );
    expect(asked.map(({ range }) => range)).toEqual([`bytes=${kept}-`]);
    // A piece of the connection that was closed may be counted after the reset.
    expect(tiny.hub.served(unet)).toBeLessThanOrEqual(all - kept + 65_536);
    expect(told[0]!.bytesToFetch).toBeLessThan(told[0]!.bytes - kept + 1);
  });

  test('again and again is told, and what has arrived is kept', { timeout: 30_000 }, async () => {
    tiny.hub.fault(/bytes\/unet/, { cutAfter: 1_000_000 });
    tiny.hub.fault(/bytes\/unet/, { cutAfter: 0 }, 99);
    const error = await failure();
    expect(error).toBeInstanceOf(HubUnreachableError);
    expect(error.message).toMatch(/broke off while unet\/.*\d+ of its \d+ bytes are kept: repeat/);
    expect(tiny.incomplete()).toHaveLength(1);
    tiny.hub.reset();
    await pullModel(id);
    expect(tiny.hub.served(unet)).toBeLessThan(all);
    holds(tiny, plain);
  });

  test('begins anew where the hub sends the whole file all the same', async () => {
    tiny.hub.fault(/bytes\/unet/, { cutAfter: 1_000_000 });
    tiny.hub.fault(/bytes\/unet/, { ignoreRange: true });
    await pullModel(id);
    holds(tiny, plain);
  });
});

describe('bytes are not those that the hub announced', () => {
  const flipped = (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => (i === 5000 ? byte ^ 1 : byte)));

  test.each([
    ['a large file, by sha256', /bytes\/unet/, unet, 'sha256'],
    ["a small file, by git's sha1", /merges\.txt/, 'tokenizer/merges.txt', 'git-sha1'],
  ])('%s', async (_, path, file, kind) => {
    tiny.hub.fault(path, { changed: flipped });
    const error = await failure();
    expect(error).toBeInstanceOf(BrokenFileError);
    expect(error.message).toContain(`${file} arrived damaged and was removed: its ${kind} is`);
    expect(tiny.incomplete()).toEqual([]);
    expect(existsSync(tiny.snapshot)).toBe(false);
    await pullModel(id);
    holds(tiny, plain);
  });

  test('what was kept of an earlier call is checked, too', async () => {
    const hash = createHash('sha256').update(plain.get(unet)!).digest('hex');
    const partial = join(tiny.repository, 'blobs', `${hash}.incomplete`);
    mkdirSync(dirname(partial), { recursive: true });
    writeFileSync(partial, junk(10_000));
    expect(await failure()).toBeInstanceOf(BrokenFileError);
    await pullModel(id);
    holds(tiny, plain);
  });
});

describe('the hub is busy, or not there', () => {
  test('waits as long as it is told, a few times', async () => {
    tiny.hub.fault(/revision/, { status: 503, headers: { 'retry-after': '0' } });
    tiny.hub.fault(/tree/, { status: 429, headers: { 'retry-after': '0' } }, 2);
    tiny.hub.fault(/bytes\/unet/, { status: 503, headers: { 'retry-after': '0' } }, 2);
    await pullModel(id);
    holds(tiny, plain);
  });

  test('then says so', async () => {
    tiny.hub.fault(/revision/, { status: 429, headers: { 'retry-after': '0' } }, 99);
    const error = await failure();
    expect(error).toBeInstanceOf(HubUnreachableError);
    expect(error.message).toMatch(/429 \(too many requests\): repeat the command later/);
    expect(tiny.hub.asked).toHaveLength(5);
  });

  test('is stopped while it waits', async () => {
    tiny.hub.fault(/revision/, { status: 503, headers: { 'retry-after': '60' } });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 200);
    expect(await failure(id, { signal: stop.signal })).toBeInstanceOf(StoppedError);
  });

  test('nobody listens there', async () => {
    vi.stubEnv('HF_ENDPOINT', await closedAddress());
    const error = await failure();
    expect(error).toBeInstanceOf(HubUnreachableError);
    expect(error.message).toMatch(
      /127\.0\.0\.1:\d+ cannot be reached \(.*ECONNREFUSED.*\): check the network/,
    );
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect((await failure()).message).toMatch(/HF_HUB_OFFLINE is set/);
    expect(existsSync(tiny.cache)).toBe(false);
  });

  test.each([
    ['a page in place of an answer', /revision/, '<html>Log in</html>'],
    ['files without hashes', /tree/, '[{"type": "file", "path": "model_index.json", "size": 3, "oid": "x"}]'],
    [
      'files outside of the repository',
      /tree/,
      `[{"type": "file", "path": "../../x.json", "size": 3, "oid": "${commitOf('x')}"}]`,
    ],
    [
      'a commit that is none',
      /revision/,
      '{"id": "org/tiny", "sha": "../../main", "lastModified": "2026-01-01"}',
    ],
  ])('%s', async (_, path, body) => {
    tiny.hub.fault(path, { status: 200, body, headers: { 'content-type': 'application/json' } });
    const error = await failure();
    expect(error).toBeInstanceOf(HubUnreachableError);
    expect(error.message).toMatch(/cannot be understood/);
    expect(existsSync(tiny.repository)).toBe(false);
  });

  test('through a proxy', async () => {
    const proxy = await startProxy();
    try {
      vi.stubEnv('HTTP_PROXY', proxy.url);
      await pullModel(id);
      holds(tiny, plain);
      expect(new Set(proxy.through)).toContain(new URL(tiny.hub.url).host);
    } finally {
      proxy.close();
    }
    vi.stubEnv('HTTP_PROXY', await closedAddress());
    rmSync(tiny.cache, { recursive: true });
    expect((await failure()).message).toMatch(/and the proxy in HTTP_PROXY/);
  });
});

test('no room on the disk is told before anything is fetched', async () => {
  const entry = { type: 'file', path: 'one.safetensors', size: 9e15, oid: commitOf('x') };
  tiny.hub.fault(/tree/, {
    status: 200,
    body: JSON.stringify([{ ...entry, lfs: { oid: 'a'.repeat(64), size: 9e15, pointerSize: 1 } }]),
    headers: { 'content-type': 'application/json' },
  });
  const error = await failure();
  expect(error).toBeInstanceOf(DiskFullError);
  expect(error.message).toMatch(/^9000000\.0 GB are to be fetched into .*, and [\d.]+ GB are free there/);
  expect(tiny.hub.asked.some(({ url }) => url.includes('/resolve/'))).toBe(false);
});

test('two at once do not write the same file', async () => {
  tiny.hub.fault(/bytes\/unet/, { slow: 5 });
  const first = pullModel(id);
  await vi.waitFor(() => expect(tiny.incomplete()).toHaveLength(1), 5000);
  expect((await failure()).message).toMatch(/being fetched into by process \d+: wait for it/);
  await first;
  holds(tiny, plain);
});
