/** A thousand jobs of fifty owners, and the host that runs them killed twenty times at moments of chance. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createJobIndex } from '../../sdk/jobs/jobs';
import { compareTurns } from '../../sdk/jobs/turns';
import { createHost } from '../../sdk/operations/host';
import type { Caller } from '../../sdk/operations/rights';
import { createRandom } from '../../sdk/random';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  mkdirSync(join(folder, 'base'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Work of a few ms that writes down that it was begun and that it came to its end. */
const workSource = `
import { appendFileSync } from 'node:fs';
const log = ${JSON.stringify('LOG')};
const rest = () => new Promise((done) => setTimeout(done, 1 + Math.random() * 8));
export async function runGeneration(request, { signal }) {
  appendFileSync(log, 'begin ' + request.seeds[0] + '\\n');
  await rest();
  signal.throwIfAborted();
  return request.seeds.map((seed) => ({ png: new Uint8Array(8), width: 8, height: 8, seed, prompt: request.prompt, settings: {} }));
}
export async function runPersonalization() { throw new Error('not here'); }
`;

test('no job is lost, none is done twice, and the order is kept', async () => {
  const log = join(folder, 'log');
  const workerModule = join(folder, 'work.mjs');
  writeFileSync(workerModule, workSource.replace('"LOG"', JSON.stringify(log)));
  const options = { home: join(folder, 'home'), base: join(folder, 'base'), workerModule };
  const asking = createHost({ ...options, runsJobs: false });
  const random = createRandom(7);
  const owners = Array.from({ length: 50 }, (_, i) => `owner-${i}`);
  const caller = (id: string): Caller => ({ id, scope: null, role: 'member', host: 'mcp' });
  for (let seed = 0; seed < 1000; seed++) {
    const owner = owners[random.integer(owners.length)]!;
    await asking.call('generate', { prompt: 'a dog', seed, waitSeconds: 0 }, caller(owner));
  }
  const jobs = createJobIndex(asking.home);
  const wanted = jobs.list().sort(compareTurns);
  expect(wanted).toHaveLength(1000);

  const program = join(folder, 'host.mts');
  const host = join(import.meta.dirname, '../../sdk/operations/host.ts');
  writeFileSync(
    program,
    `import { createHost } from ${JSON.stringify(host)};\ncreateHost(${JSON.stringify(options)});\nsetInterval(() => {}, 1000);\n`,
  );
  const loader = import.meta.resolve('tsx');
  const start = () => spawn(process.execPath, ['--import', loader, program], { stdio: 'inherit' });
  const doneNow = () => jobs.list().filter(({ state }) => state === 'done').length;
  const doneWhen: string[] = [];
  const seen = new Set<string>();
  const look = () => {
    for (const job of jobs.list()) {
      if (job.state !== 'done' || seen.has(job.id)) continue;
      seen.add(job.id);
      doneWhen.push(`${job.updatedAt} ${job.id}`);
    }
  };
  // Two hosts at a time: one works, the other takes over.
  const living: ChildProcess[] = [start(), start()];
  for (let kill = 1; kill <= 20; kill++) {
    const until = Math.min(999, kill * 45 + random.integer(30));
    while (doneNow() < until) await sleep(20);
    await sleep(random.integer(15));
    living.shift()!.kill('SIGKILL');
    living.push(start());
    look();
  }
  while (doneNow() < 1000) await sleep(50);
  look();
  for (const one of living) one.kill('SIGKILL');
  await asking.close();

  expect(seen.size).toBe(1000);
  const order = doneWhen.sort().map((line) => line.split(' ')[1]!);
  // A job that was broken off begins anew, at its own turn, before any that waits.
  expect(order).toEqual(wanted.map(({ id }) => id));
  const begun = readFileSync(log, 'utf8').trim().split('\n');
  expect(new Set(begun).size).toBe(1000);
  // Each kill breaks off one job at most.
  expect(begun.length).toBeLessThanOrEqual(1000 + 20);
});
