/**
 * npx tsx test/bench/hosts.ts [BASE]: how a host answers while its engine learns, and what it costs to draw another
 * subject on a model that is loaded. BASE: a checkpoint in place of the embedded one, for the second.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { writePng } from '../../sdk/images/png';
import { createEngine } from '../../sdk/jobs/engine';
import { createHost } from '../../sdk/operations/host';
import type { Caller } from '../../sdk/operations/rights';
import { toyPhotos } from '../../sdk/toybox/toy-subject';

const folder = mkdtempSync(join(tmpdir(), 'dreambooth-bench-'));
const photos: string[] = [];
for (const [i, data] of toyPhotos({ class: 'dog', seed: 3 }).entries()) {
  photos.push(join(folder, `${i}.png`));
  await writePng(photos[i]!, { width: 64, height: 64, data });
}
const percentile = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!;

try {
  const [base] = process.argv.slice(2);
  if (base === undefined) await latency();
  await switching(base);
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** A host with a thousand jobs in its line, one of them a real training. */
async function latency(): Promise<void> {
  const host = createHost({ home: join(folder, 'home'), allowFolders: [folder], stopPatience: 2_000 });
  const caller = (id: string): Caller => ({ id, scope: null, role: 'operator', host: 'bench' });
  const { result } = await host.call('personalize', { photos, class: 'dog', name: 'rex' }, caller('me'));
  for (let i = 0; i < 999; i++)
    await host.call('generate', { prompt: 'a dog', waitSeconds: 0 }, caller(`owner-${i % 50}`));
  const loop = monitorEventLoopDelay({ resolution: 5 });
  const times: Record<'getJob' | 'listSubjects', number[]> = { getJob: [], listSubjects: [] };
  loop.enable();
  for (let i = 0; i < 300; i++) {
    for (const [name, input] of [
      ['getJob', { job: result['job'] }],
      ['listSubjects', {}],
    ] as const) {
      const begun = performance.now();
      await host.call(name, input, caller('me'));
      times[name].push(performance.now() - begun);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  loop.disable();
  const now = await host.call('getJob', { job: result['job'] }, caller('me'));
  console.log(`1000 jobs, one training (${now.text.split('\n')[0]}):`);
  console.log(`  event loop delay p99 ${(loop.percentile(99) / 1e6).toFixed(1)} ms`);
  for (const [name, all] of Object.entries(times))
    console.log(
      `  ${name} p50 ${percentile(all, 0.5).toFixed(1)} ms, p99 ${percentile(all, 0.99).toFixed(1)} ms`,
    );
  await host.close();
}

/** Alternately the same subject and another, on one resident model. */
async function switching(base: string | undefined): Promise<void> {
  const engine = createEngine({ home: join(folder, 'switching'), ...(base === undefined ? {} : { base }) });
  const steps = base === undefined ? 30 : 3;
  for (const name of ['rex', 'mia'])
    await engine.personalize({
      images: photos,
      className: 'dog',
      name,
      settings: { steps: 2, prior: 'none' },
    });
  const draw = async (name: string) => {
    const begun = performance.now();
    await engine.generate({ prompt: `a photo of @${name}`, seed: 1, steps });
    return performance.now() - begun;
  };
  await draw('rex');
  await draw('mia');
  const same: number[] = [];
  const other: number[] = [];
  const rounds = base === undefined ? 15 : 3;
  for (let i = 0; i < rounds; i++) {
    await draw('rex');
    same.push(await draw('rex'));
    other.push(await draw('mia'));
  }
  const [a, b] = [percentile(same, 0.5), percentile(other, 0.5)];
  console.log(
    `a picture of ${steps} steps: the same subject ${a.toFixed(0)} ms, another ${b.toFixed(0)} ms (${(100 * (b / a - 1)).toFixed(1)} % more)`,
  );
  await engine.close();
}
