/** What stands in a host's way, as a full disk or a folder that is away, is told; the host outlives it and goes on. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createBackoff } from '../../sdk/jobs/backoff';
import { openRedisQueue } from '../../sdk/jobs/redis-queue';
import { createHost, type Host, type HostOptions } from '../../sdk/operations/host';
import type { JobView } from '../../sdk/operations/job-view';
import type { Caller } from '../../sdk/operations/rights';
import { hasRedis, startRedis } from '../jobs/redis-server';

const disk = vi.hoisted(() => ({ full: false, refused: 0, away: '', stuck: '' }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const refusal = (code: string) => Object.assign(new Error(`${code}: refused`), { code });
  return {
    ...real,
    writeSync(...call: unknown[]) {
      if (disk.full) {
        disk.refused++;
        throw refusal('ENOSPC');
      }
      return (real.writeSync as (...call: unknown[]) => number)(...call);
    },
    readdirSync(...call: unknown[]) {
      if (disk.away !== '' && String(call[0]) === disk.away) throw refusal('EIO');
      return (real.readdirSync as (...call: unknown[]) => unknown)(...call);
    },
    rmSync(...call: unknown[]) {
      if (disk.stuck !== '' && String(call[0]).endsWith(disk.stuck)) throw refusal('EBUSY');
      return (real.rmSync as (...call: unknown[]) => void)(...call);
    },
  };
});

const ann: Caller = { id: 'ann', scope: null, role: 'operator', host: 'mcp' };
let folder: string;
const said: string[] = [];
const hosts: Host[] = [];
const uncaught: unknown[] = [];
const onUncaught = (error: unknown) => uncaught.push(error);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  mkdirSync(join(folder, 'base'));
  said.length = 0;
  uncaught.length = 0;
  process.on('uncaughtException', onUncaught).on('unhandledRejection', onUncaught);
});
afterEach(async () => {
  Object.assign(disk, { full: false, refused: 0, away: '', stuck: '' });
  for (const host of hosts.splice(0)) await host.close();
  process.off('uncaughtException', onUncaught).off('unhandledRejection', onUncaught);
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

function hostWith(options: HostOptions = {}): Host {
  const host = createHost({
    home: join(folder, 'home'),
    base: join(folder, 'base'),
    workerModule: join(import.meta.dirname, '../jobs/fake-work.mjs'),
    mode: 'in-process',
    log: (line) => said.push(line),
    ...options,
  });
  hosts.push(host);
  return host;
}
const draw = async (host: Host) =>
  (await host.call('generate', { prompt: 'a dog', waitSeconds: 0 }, ann)).result as JobView;
const stateOf = async (host: Host, job: string, waitSeconds = 0) =>
  ((await host.call('getJob', { job, waitSeconds }, ann)).result as JobView).state;

describe('a full disk', () => {
  test('is told, tried less and less, and the job is done when there is room', async () => {
    const asking = hostWith({ runsJobs: false });
    const { job: first } = await draw(asking);
    const runs = hostWith();
    expect(await stateOf(runs, first, 20)).toBe('done');
    const { job } = await draw(asking);
    disk.full = true;
    await sleep(1_500);
    expect(disk.refused).toBeLessThan(20);
    expect(await stateOf(asking, job)).toBe('queued');
    expect(said[0]).toMatch(
      new RegExp(
        `Job ${job} could not be run \\(No room on the disk .*; it waits, and is tried again in 1 s`,
      ),
    );
    disk.full = false;
    expect(await stateOf(asking, job, 20)).toBe('done');
  });

  test('does not end a host that has yet to take the engine', async () => {
    const asking = hostWith({ runsJobs: false });
    const { job } = await draw(asking);
    disk.full = true;
    hostWith();
    await sleep(500);
    expect(uncaught).toEqual([]);
    expect(said.join('\n')).toMatch(/cannot be looked at \(No room on the disk .*again in 1 s/);
    disk.full = false;
    expect(await stateOf(asking, job, 20)).toBe('done');
  });

  test.runIf(hasRedis())('is no end of a job on Redis', async () => {
    const redis = await startRedis();
    const asking = hostWith({ runsJobs: false, queue: await openRedisQueue(redis.url) });
    const { job } = await draw(asking);
    disk.full = true;
    hostWith({ queue: await openRedisQueue(redis.url) });
    await sleep(1_500);
    expect(disk.refused).toBeLessThan(40);
    expect(said.join('\n')).toContain(`Job ${job} could not be run (No room on the disk`);
    disk.full = false;
    expect(await stateOf(asking, job, 10)).toBe('done');
    for (const host of hosts.splice(0)) await host.close();
    await redis.kill();
  });
});

test('a folder of jobs that is away for a while ends no host', async () => {
  const host = hostWith();
  await draw(host);
  disk.away = host.home.jobs;
  await sleep(700);
  expect(uncaught).toEqual([]);
  expect(said.join('\n')).toMatch(/jobs cannot be looked at \(EIO: refused\); again in 1 s/);
  disk.away = '';
  expect(await stateOf(host, (await draw(host)).job, 20)).toBe('done');
});

test('an old job that cannot be removed is told, and keeps neither the others nor the host', async () => {
  const asking = hostWith({ runsJobs: false });
  const jobs = [await draw(asking), await draw(asking)].map(({ job }) => job).sort();
  for (const job of jobs) {
    const file = join(asking.home.jobs, job, 'job.json');
    const record = JSON.parse(readFileSync(file, 'utf8'));
    const old = new Date(Date.now() - 8 * 24 * 3600e3).toISOString();
    writeFileSync(file, JSON.stringify({ ...record, state: 'failed', createdAt: old, updatedAt: old }));
  }
  disk.stuck = jobs[0]!;
  const host = hostWith({ keepDays: 7, runsJobs: false });
  expect(said).toEqual([`Job ${jobs[0]} is old and cannot be removed: EBUSY: refused`]);
  const { total } = (await host.call('listJobs', {}, ann)).result as { total: number };
  expect(total).toBe(1);
});

test('the hourly look for old jobs ends no host', () => {
  vi.useFakeTimers();
  const host = hostWith({ keepDays: 7, runsJobs: false });
  mkdirSync(host.home.jobs);
  disk.away = host.home.jobs;
  expect(() => vi.advanceTimersByTime(3600e3)).not.toThrow();
  expect(said).toEqual(['Old jobs are not removed: EIO: refused']);
});

test('a fault of who listens is told, and the line goes on', async () => {
  const host = hostWith({
    onJobEnd() {
      throw new Error('a bug of the listener');
    },
    onProgress() {
      throw new Error('another');
    },
  });
  for (const job of [(await draw(host)).job, (await draw(host)).job])
    expect(await stateOf(host, job, 20)).toBe('done');
  await vi.waitFor(() => expect(said.join('\n')).toMatch(/onJobEnd of draw-\w+: a bug of the listener/));
  expect(said.join('\n')).toMatch(/onProgress of draw-\w+: another/);
  expect(uncaught).toEqual([]);
});

test('what failed is left alone for longer each time, a minute at most', () => {
  let now = 0;
  const backoff = createBackoff(() => now);
  const waits = Array.from({ length: 8 }, () => backoff.failed('a'));
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map((s) => s * 1000));
  expect([backoff.isDue('a'), backoff.isDue('b')]).toEqual([false, true]);
  now = 60_000;
  expect(backoff.isDue('a')).toBe(true);
  backoff.worked('a');
  expect(backoff.failed('a')).toBe(1_000);
});
