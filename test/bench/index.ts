/**
 * `npm run bench -- [--json] [--case NAME] [--rounds N] [--against-diffusers PYTHON]`: time and memory of the main
 * paths; with a Python that has diffusers, its side in turns with ours, on the same weights and inputs.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { readBaseModel } from '../../sdk/models/base-model';
import { type BenchCase, cases, learningRate, rank } from './cases';
import type { Measured } from './measured';
import { prepareCheckpoint, prepareInputs } from './prepare';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    case: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '3' },
    'against-diffusers': { type: 'string' },
  },
});
const python = values['against-diffusers'];
const rounds = Number(values.rounds);
const chosen = cases.filter(({ name }) => values.case === undefined || values.case.includes(name));
if (chosen.length === 0 || !Number.isSafeInteger(rounds) || rounds < 1) {
  console.error(`Cases are ${cases.map(({ name }) => name).join(', ')}; rounds are 1 or more.`);
  process.exit(2);
}
const folder = join(import.meta.dirname, '../../.cache/bench');
mkdirSync(folder, { recursive: true });

interface Side {
  readonly medianMs: number;
  readonly fastestMs: number;
  readonly slowestMs: number;
  /** Median over the rounds. */
  readonly firstMs: number;
  readonly peakMB: number;
}
interface Row {
  readonly case: string;
  readonly title: string;
  readonly ours: Side;
  readonly theirs?: Side;
  /** Ours over theirs: below 1 is faster, or smaller. */
  readonly timeRatio?: number;
  readonly memoryRatio?: number;
  /** Largest relative difference of what the two sides computed. */
  readonly difference?: number;
}

const median = (numbers: readonly number[]) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

function sideOf(runs: readonly Measured[]): Side {
  const times = runs.flatMap((run) => run.times);
  return {
    medianMs: median(times),
    fastestMs: Math.min(...times),
    slowestMs: Math.max(...times),
    firstMs: median(runs.map(({ first }) => first)),
    peakMB: median(runs.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
  };
}

function run(command: string, parameters: readonly string[]): Measured {
  const done = spawnSync(command, parameters, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const line = done.stdout?.trim().split('\n').at(-1);
  if (done.status !== 0 || !line) throw new Error(`${command} ${parameters[0]} failed:\n${done.stderr}`);
  return JSON.parse(line);
}

function bench(one: BenchCase): Row {
  const checkpoint = prepareCheckpoint(folder, one.model);
  const inputs = join(folder, `${one.name}.safetensors`);
  prepareInputs(inputs, one, readBaseModel(openDiffusersFolder(checkpoint)));
  const description = join(folder, `${one.name}.json`);
  const threads = Math.max(1, new Set(cpus().map((_, i) => i)).size);
  writeFileSync(description, JSON.stringify({ ...one, threads, rank, learningRate }));
  const ours: Measured[] = [];
  const theirs: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    console.error(`${one.name}: round ${round + 1} of ${rounds}`);
    const own = join(import.meta.dirname, 'ours.ts');
    ours.push(run(process.execPath, ['--import', 'tsx', own, one.name, checkpoint, inputs]));
    if (python === undefined) continue;
    theirs.push(run(python, [join(import.meta.dirname, 'theirs.py'), description, checkpoint, inputs]));
  }
  rmSync(inputs);
  const row = { case: one.name, title: one.title, ours: sideOf(ours) };
  if (theirs.length === 0) return row;
  const other = sideOf(theirs);
  const scale = Math.max(...theirs[0]!.results.map(Math.abs));
  return {
    ...row,
    theirs: other,
    timeRatio: row.ours.medianMs / other.medianMs,
    memoryRatio: row.ours.peakMB / other.peakMB,
    difference: Math.max(...theirs[0]!.results.map((x, i) => Math.abs(x - ours[0]!.results[i]!))) / scale,
  };
}

const rows: Row[] = [];
for (const one of chosen) {
  const row = bench(one);
  rows.push(row);
  if (row.difference !== undefined && row.difference > 1e-3) {
    console.error(`${row.case}: the two sides differ by ${row.difference}; their times compare nothing.`);
    process.exitCode = 1;
  }
}
if (values.json) {
  console.log(
    JSON.stringify({ cpu: cpus()[0]?.model, cores: cpus().length, node: process.versions.node, rows }),
  );
} else {
  const side = ({ medianMs, fastestMs, slowestMs, firstMs, peakMB }: Side) =>
    `${medianMs.toFixed(1)} ms (${fastestMs.toFixed(1)} to ${slowestMs.toFixed(1)}), first call ${(firstMs / 1000).toFixed(1)} s, peak ${peakMB.toFixed(0)} MB`;
  console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.versions.node}`);
  for (const { title, ours, theirs, timeRatio, memoryRatio, difference } of rows) {
    console.log(`\n${title}\n  dreambooth  ${side(ours)}`);
    if (!theirs) continue;
    console.log(`  diffusers   ${side(theirs)}`);
    console.log(
      `  ratio       time ${timeRatio!.toFixed(2)}, memory ${memoryRatio!.toFixed(2)}; results differ by ${difference!.toExponential(1)}`,
    );
  }
}
