/** Workers on Redis: what is true of the line in a home is true of theirs, and Redis may go away and forget. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { QueueUnreachableError } from '../../sdk/errors';
import type { JobQueue } from '../../sdk/jobs/job-queue';
import { lineName, openRedisQueue } from '../../sdk/jobs/redis-queue';
import { createHost, type Host, type HostOptions } from '../../sdk/operations/host';
import type { JobView } from '../../sdk/operations/job-view';
import type { Caller } from '../../sdk/operations/rights';
import type { Home } from '../../sdk/subjects/home';
import { hasRedis, type RedisServer, startRedis } from './redis-server';

const root = join(import.meta.dirname, '../..');
const workerModule = join(import.meta.dirname, 'fake-work.mjs');
const caller = (id: string): Caller => ({ id, scope: null, role: 'member', host: 'mcp' });
const ann = caller('ann');

let folder: string;
let photo: string;
const hosts: Host[] = [];
const children: ChildProcess[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  for (const name of ['base', 'photos']) mkdirSync(join(folder, name));
  photo = join(folder, 'photos', '1.png');
  await sharp({ create: { width: 64, height: 64, channels: 3, background: '#f00' } }).toFile(photo);
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const host of hosts.splice(0)) await host.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

const shared = (): HostOptions => ({
  home: join(folder, 'home'),
  base: join(folder, 'base'),
  allowFolders: [join(folder, 'photos')],
  workerModule,
  stopPatience: 2_000,
});
function hostWith(options: HostOptions): Host {
  const host = createHost({ ...shared(), ...options });
  hosts.push(host);
  return host;
}
const view = async (answer: Promise<{ result: object }>) => (await answer).result as JobView;
const look = (host: Host, job: string, waitSeconds = 0) =>
  view(host.call('getJob', { job, waitSeconds }, ann));
const learn = (host: Host, more: object) =>
  view(host.call('personalize', { photos: [photo], class: 'dog', ...more }, ann));
const draw = (host: Host, seed: number, who = ann) =>
  view(host.call('generate', { prompt: 'a dog', seed, waitSeconds: 0 }, who));
/** At which step the last run of a training began, as the fake work says. */
const resumedFrom = (name: string) =>
  Number(
    readFileSync(join(folder, 'home/subjects', name, 'lora.safetensors'), 'utf8').replace(
      'resumed from ',
      '',
    ),
  );
async function until(true_: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await true_())) await sleep(20);
}

/** Whatever queue it is. */
function contract(queue: () => Promise<((home: Home) => JobQueue) | undefined>): void {
  const open = async (runsJobs: boolean) => {
    const given = await queue();
    return hostWith({ runsJobs, ...(given === undefined ? {} : { queue: given }) });
  };

  test('jobs of a host are run by another, each once, and their order is fair', async () => {
    const asking = await open(false);
    const owners = [ann, ann, ann, caller('bob'), caller('eve')];
    const jobs: string[] = [];
    for (const [i, who] of owners.entries()) jobs.push((await draw(asking, i, who)).job);
    await sleep(300);
    await open(true);
    await until(async () =>
      (await Promise.all(jobs.slice(0, 3).map((job) => look(asking, job)))).every(
        ({ state }) => state === 'done',
      ),
    );
    const when = new Map<string, string>();
    for (const [i, who] of owners.entries())
      when.set(
        `${who.id}${i}`,
        (await view(asking.call('getJob', { job: jobs[i]!, waitSeconds: 20 }, who))).updatedAt,
      );
    const order = [...when].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([name]) => name);
    expect(order).toEqual(['ann0', 'bob3', 'eve4', 'ann1', 'ann2']);
  });

  test('one that is cancelled while it waits is not run, and one that runs is stopped', async () => {
    const asking = await open(false);
    const { job } = await learn(asking, { class: 'slow', steps: 500 });
    const waiting = (await draw(asking, 1)).job;
    await asking.call('cancelJob', { job: waiting }, ann);
    await open(true);
    await until(async () => (await look(asking, job)).step !== null);
    const cancelled = await view(asking.call('cancelJob', { job }, ann));
    expect(cancelled.state).toBe('cancelled');
    expect((await look(asking, waiting)).state).toBe('cancelled');
  });

  test('what a host that leaves was working on goes on with the next, from where it was', async () => {
    const asking = await open(false);
    const first = await open(true);
    const { job } = await learn(asking, { class: 'slow', name: 'rex', steps: 60 });
    await until(async () => ((await look(asking, job)).step ?? 0) > 5);
    await first.close();
    expect((await look(asking, job)).state).toBe('queued');
    await open(true);
    expect((await look(asking, job, 30)).state).toBe('done');
    expect(resumedFrom('rex')).toBeGreaterThan(5);
  });
}

describe('the line in a home', () => contract(async () => undefined));

describe.runIf(hasRedis())('a line on Redis', () => {
  let redis: RedisServer;
  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(() => redis.kill());
  const open = () => openRedisQueue(redis.url, { lockDuration: 2_000 });

  contract(open);

  const worker = () => {
    const program = join(folder, 'worker.mts');
    const from = (file: string) => JSON.stringify(join(root, 'sdk', file));
    writeFileSync(
      program,
      `import { createHost } from ${from('operations/host.ts')};
import { lineName, openRedisQueue } from ${from('jobs/redis-queue.ts')};
createHost({ ...${JSON.stringify(shared())}, queue: await openRedisQueue('${redis.url}', { lockDuration: 2_000 }) });
setInterval(() => {}, 1_000);\n`,
    );
    const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), program], {
      stdio: 'inherit',
    });
    children.push(child);
    return child;
  };

  test('the job of a worker that was killed is taken over, from its checkpoint', async () => {
    const asking = hostWith({ runsJobs: false, queue: await open() });
    const killed = worker();
    const { job } = await learn(asking, { class: 'careful', name: 'rex', steps: 120 });
    await until(async () => ((await look(asking, job)).step ?? 0) > 5);
    killed.kill('SIGKILL');
    await new Promise((resolve) => killed.once('exit', resolve));
    worker();
    expect((await look(asking, job, 45)).state).toBe('done');
    expect(resumedFrom('rex')).toBeGreaterThan(5);
  });

  test('what Redis forgets is put in line again, and hosts answer while it is away', async () => {
    const asking = hostWith({ runsJobs: false, queue: await open() });
    const before = (await draw(asking, 1)).job;
    await redis.kill();
    const during = (await draw(asking, 2)).job;
    expect((await look(asking, before)).state).toBe('queued');
    await redis.start();
    hostWith({ queue: await open() });
    for (const job of [before, during]) expect((await look(asking, job, 40)).state).toBe('done');
  });

  test('homes on one Redis have a line each, whatever path their machines know them by', async () => {
    const ours = hostWith({ runsJobs: false, queue: await open() });
    const theirs = hostWith({ home: join(folder, 'theirs'), queue: await open() });
    const jobs: string[] = [];
    for (const seed of [1, 2, 3, 4]) jobs.push((await draw(ours, seed)).job);
    await sleep(500);
    const queue = new Queue(lineName(ours.home), { connection: { url: redis.url } });
    // A worker of another home took none of them out.
    expect(await queue.getPrioritizedCount()).toBe(4);
    await queue.close();
    symlinkSync(ours.home.folder, join(folder, 'mounted'));
    hostWith({ home: join(folder, 'mounted'), queue: await open() });
    for (const job of jobs) expect((await look(ours, job, 20)).state).toBe('done');
    expect((await view(theirs.call('listJobs', {}, ann))) as unknown).toMatchObject({ total: 0 });
  });

  test('a running job ends while Redis is away', async () => {
    const asking = hostWith({ runsJobs: false, queue: await open() });
    hostWith({ queue: await open() });
    const { job } = await learn(asking, { class: 'slow', steps: 60 });
    await until(async () => ((await look(asking, job)).step ?? 0) > 5);
    await redis.kill();
    expect((await look(asking, job, 30)).state).toBe('done');
  });
});

test.each(['secret', 'secr@secret', 'se/secret'])(
  'an address at which there is no Redis is told at once, without its password %s',
  async (password) => {
    const error = await openRedisQueue(`redis://user:${password}@127.0.0.1:1`).then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error).toBeInstanceOf(QueueUnreachableError);
    expect(error!.message).toMatch(/No Redis answers at redis:\/\/127\.0\.0\.1:1 /);
    expect(error!.message).not.toContain('secret');
  },
);
