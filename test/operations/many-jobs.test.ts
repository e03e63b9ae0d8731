/** Thousands of jobs: how often their files are looked at is counted, whatever that takes on a machine. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createJobIndex } from '../../sdk/jobs/jobs';
import { createHost, type Host } from '../../sdk/operations/host';
import type { JobView } from '../../sdk/operations/job-view';
import type { Caller } from '../../sdk/operations/rights';

const looked = vi.hoisted(() => ({ folders: 0, records: 0 }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  return {
    ...real,
    readdirSync(...call: unknown[]) {
      if (String(call[0]).endsWith('jobs')) looked.folders++;
      return (real.readdirSync as (...call: unknown[]) => unknown)(...call);
    },
    statSync(...call: unknown[]) {
      if (String(call[0]).endsWith('job.json')) looked.records++;
      return (real.statSync as (...call: unknown[]) => unknown)(...call);
    },
  };
});

const ann: Caller = { id: 'ann', scope: null, role: 'member', host: 'mcp' };
let folder: string;
let host: Host;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  host = createHost({ home: folder, runsJobs: false });
  for (let i = 0; i < 300; i++) record(`draw-${1000 + i}`, i < 240 ? 'done' : 'queued', i);
  Object.assign(looked, { folders: 0, records: 0 });
});
afterEach(async () => {
  vi.useRealTimers();
  await host.close();
  rmSync(folder, { recursive: true });
});

function record(id: string, state: string, minute: number): void {
  const at = new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();
  const origin = { owner: 'ann', scope: null, host: 'mcp', attended: false, turn: 0 };
  const drawing = { kind: 'generate', prompt: 'a dog', seed: 1, count: 1, request: {}, pictures: [] };
  mkdirSync(join(folder, 'jobs', id), { recursive: true });
  const job = {
    id,
    state,
    createdAt: at,
    updatedAt: at,
    ...origin,
    ...drawing,
    progress: null,
    error: null,
  };
  writeFileSync(join(folder, 'jobs', id, 'job.json'), JSON.stringify(job));
}
const list = async () =>
  (await host.call('listJobs', { limit: 50 }, ann)).result as { jobs: JobView[]; total: number };

test('a list of waiting jobs looks at the line once, and at ended jobs once', async () => {
  const { jobs, total } = await list();
  expect(total).toBe(300);
  expect(jobs.map(({ ahead }) => ahead)).toEqual(Array.from({ length: 50 }, (_, i) => 59 - i));
  expect(looked.folders).toBe(2);
  Object.assign(looked, { folders: 0, records: 0 });
  await list();
  expect(looked).toEqual({ folders: 2, records: 2 * 60 });
});

test('watching many jobs looks at the line for all of them together', async () => {
  await list();
  looked.folders = 0;
  const watched = Array.from({ length: 60 }, (_, i) => host.watch(`draw-${1240 + i}`, ann));
  const first = await Promise.all(watched.map((one) => one.next()));
  expect(first.map(({ value }) => (value as JobView).ahead)).toEqual(Array.from({ length: 60 }, (_, i) => i));
  expect(looked.folders).toBeLessThan(6);
  for (const one of watched) await one.return(undefined);
});

test('an ended job is seen to be gone at once, and another of its id in a while', () => {
  vi.useFakeTimers();
  const jobs = createJobIndex(host.home);
  jobs.list();
  rmSync(join(folder, 'jobs', 'draw-1000'), { recursive: true });
  expect(jobs.list()).toHaveLength(299);
  record('draw-1001', 'queued', 400);
  expect(jobs.get('draw-1001')?.state).toBe('queued');
  record('draw-1002', 'queued', 400);
  vi.advanceTimersByTime(10_000);
  expect(jobs.list().filter(({ state }) => state === 'queued')).toHaveLength(62);
});
