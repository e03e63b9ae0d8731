import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EngineLease, inTurn, tryLease, waitForLease } from '../../sdk/jobs/engine-lease';
import type { WorkerProcess } from '../../sdk/runtime/worker-process';
import { type Home, openHome } from '../../sdk/subjects/home';

let home: Home;
beforeEach(() => {
  home = openHome(mkdtempSync(join(tmpdir(), 'dreambooth-')));
});
afterEach(() => rmSync(home.folder, { recursive: true }));

function lease(): EngineLease {
  const taken = tryLease(home);
  if ('heldBy' in taken) throw new Error(`held by ${taken.heldBy}`);
  return taken;
}

test('one has it at a time, and those who wait come first', async () => {
  const first = lease();
  expect(tryLease(home)).toEqual({ heldBy: process.pid });
  expect(first.isWanted()).toBe(false);
  const waits: number[] = [];
  const order: string[] = [];
  const wait = async (name: string) => {
    const own = await waitForLease(home, undefined, (pid) => waits.push(pid));
    order.push(name);
    return own;
  };
  const second = wait('second');
  await sleep(20);
  const third = wait('third');
  await sleep(150);
  expect(first.isWanted()).toBe(true);
  first.release();
  // Whoever comes by now does not get it before them.
  expect(tryLease(home)).toEqual({ heldBy: process.pid });
  (await second).release();
  (await third).release();
  expect(order).toEqual(['second', 'third']);
  expect(waits).toHaveLength(2);
  lease().release();
});

test('a wait is given up', async () => {
  const held = lease();
  const stop = new AbortController();
  const waiting = waitForLease(home, stop.signal, () => stop.abort());
  await expect(waiting).rejects.toThrow();
  expect(held.isWanted()).toBe(false);
  held.release();
});

test('the lease of a process that was killed is free', async () => {
  const source = join(import.meta.dirname, '../../sdk');
  const program = `
    import { tryLease } from '${source}/jobs/engine-lease.ts';
    import { openHome } from '${source}/subjects/home.ts';
    tryLease(openHome('${home.folder}'));
    process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  expect(tryLease(home)).toEqual({ heldBy: child.pid });
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  lease().release();
});

test('calls of two engines do not overlap', async () => {
  let running = 0;
  let most = 0;
  const worker: WorkerProcess = {
    async call() {
      most = Math.max(most, ++running);
      await sleep(30);
      running--;
      return 'done';
    },
    kill() {},
    async close() {},
  };
  const engines = [inTurn(home, worker), inTurn(home, worker)];
  const events: unknown[] = [];
  const calls = [0, 1, 0, 1].map((i) =>
    engines[i]!.call('generate', null, { onEvent: (event) => events.push(event) }),
  );
  expect(await Promise.all(calls)).toEqual(['done', 'done', 'done', 'done']);
  expect(most).toBe(1);
  expect(events).toContainEqual({ kind: 'engine-awaited', pid: process.pid });
});
