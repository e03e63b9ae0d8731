/**
 * npx tsx test/bench/toybox.ts [FOLDER]: the whole evaluation on the embedded world, five subjects in all arms, by two engines
 * of one thread each, which on two cores are done sooner than one of two. Gone on with where it was broken off, by this or
 * by `dreambooth evaluate toybox --out FOLDER`. Needs `npm run build`, whose engines it starts.
 */
import { join, resolve } from 'node:path';
import { createEngine } from '../../sdk/jobs/engine';
import { evaluateToybox, type ToyRow, toyTestSubjects } from '../../sdk/protocols/toybox/toybox-evaluation';
import { reportToybox } from '../../sdk/protocols/toybox/toybox-report';

const folder = resolve(process.argv[2] ?? 'evaluation');
const subjects = toyTestSubjects.slice(0, 5);
/** Steps and numbers of photos are tried on the first two, so that they take about as long as the other three. */
const halves = [
  { subjects: subjects.slice(0, 2), sweeps: 2 },
  { subjects: subjects.slice(2), sweeps: 0 },
];
const started = Date.now();
const minutes = () => ((Date.now() - started) / 60_000).toFixed(1);

function tell({ arm, toy, seed, photos, steps, report: { CP, PF, LEAK } }: ToyRow): void {
  const figures = [CP, PF, LEAK].map((value) => value.toFixed(2)).join(' ');
  console.log(`${minutes()} ${toy.class} ${seed} ${arm} ${photos} ${steps ?? 'end'}: ${figures}`);
}

const engines = halves.map((_, half) => createEngine({ home: join(folder, `home-${half}`), threads: 1 }));
try {
  await Promise.all(halves.map((half, i) => evaluateToybox(engines[i]!, { folder, ...half }, tell)));
  // Nothing is left to do: all rows, as both have written them.
  const rows = await evaluateToybox(engines[0]!, { folder, subjects }, tell);
  const { files, findings } = reportToybox(rows, folder);
  for (const { name, verdict, claim, seen } of findings)
    console.log(`${name}: ${verdict}. ${claim}: ${seen}`);
  console.log([`${minutes()} minutes`, ...files].join('\n'));
} finally {
  for (const engine of engines) await engine.close();
}
