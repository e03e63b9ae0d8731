/**
 * npm run bench:sizes -- [--json] [--case NAME…] FOLDER: the command line at true sizes, on checkpoints that
 * `npm run make-checkpoint` made in FOLDER (FOLDER/sd15, FOLDER/sdxl …): memory of the whole process tree and time, beside
 * what the program had said before it began.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { createRandom } from '../../sdk/random';
import { watch } from './process-memory';

interface SizeCase {
  readonly name: string;
  readonly checkpoint: string;
  /** Most memory of its own that it may take, in GiB. */
  readonly limit: number;
  /** What the command line is told; PHOTO, BASE, HOME and OUT are filled in. */
  readonly parameters: string;
}

const learn = (more: string) =>
  `personalize PHOTO --class dog --name rex --base BASE --home HOME --steps 2 ${more}`;
const draw = (more: string) => `generate dog --base BASE --home HOME --out OUT --seed 1 ${more}`;

const cases: readonly SizeCase[] = [
  { name: 'sd15-train', checkpoint: 'sd15', limit: 12, parameters: learn('--prior none') },
  { name: 'sd15-train-adapter-off', checkpoint: 'sd15', limit: 16, parameters: learn('--prior adapter-off') },
  {
    name: 'sd15-train-class-images',
    checkpoint: 'sd15',
    limit: 16,
    parameters: learn('--prior images --set classImages=1'),
  },
  { name: 'sd15-sample', checkpoint: 'sd15', limit: 8, parameters: draw('--steps 3') },
  { name: 'sdxl-sample-1024', checkpoint: 'sdxl', limit: 20, parameters: draw('--steps 2') },
  {
    name: 'sdxl-train-512',
    checkpoint: 'sdxl',
    limit: 20,
    parameters: learn('--prior none --set resolution=512 --set gradientAccumulationSteps=1'),
  },
  { name: 'sd21-sample', checkpoint: 'sd21', limit: 12, parameters: draw('--steps 2') },
];

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false }, case: { type: 'string', multiple: true } },
  allowPositionals: true,
});
const [folder] = positionals;
const chosen = cases.filter(({ name }) => values.case === undefined || values.case.includes(name));
if (folder === undefined || chosen.length === 0) {
  console.error(
    `npm run bench:sizes -- [--json] [--case NAME…] FOLDER; cases are ${cases.map(({ name }) => name).join(', ')}`,
  );
  process.exit(2);
}

for (const { name, checkpoint, limit, parameters } of chosen) {
  const base = join(folder, checkpoint);
  if (!existsSync(base)) {
    console.error(`${name}: there is no ${base}; npm run make-checkpoint -- ${checkpoint} ${base}`);
    process.exitCode = 1;
    continue;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'dreambooth-sizes-'));
  try {
    const row = await measure(parameters, base, scratch);
    const within = row.memoryGiB <= limit && row.exitCode === 0;
    if (!within) process.exitCode = 1;
    console.log(
      values.json ? JSON.stringify({ case: name, limit, within, ...row }) : line(name, limit, row, within),
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

type Row = Awaited<ReturnType<typeof measure>>;

async function measure(parameters: string, base: string, scratch: string) {
  const photo = join(scratch, 'photo.png');
  const pixels = createRandom(3).normals(512 * 512 * 3);
  const raw = { width: 512, height: 512, channels: 3 } as const;
  await sharp(
    Uint8Array.from(pixels, (x) => 128 + 40 * x),
    { raw },
  ).toFile(photo);
  const filled: Readonly<Record<string, string>> = {
    PHOTO: photo,
    BASE: base,
    HOME: join(scratch, 'home'),
    OUT: join(scratch, 'out.png'),
  };
  const program = join(import.meta.dirname, '../../dist/adapters/cli.js');
  const events: { at: number; event: Record<string, unknown> }[] = [];
  let rest = '';
  const words = parameters
    .trim()
    .split(/\s+/)
    .map((word) => filled[word] ?? word);
  const run = await watch(process.execPath, [program, ...words, '--json'], (text, at) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const one of lines)
      if (one.startsWith('{')) events.push({ at, event: JSON.parse(one) as Record<string, unknown> });
  });
  const of = (kind: string) => events.filter(({ event }) => event['event'] === kind);
  const estimate = of('estimate')[0]?.event as { memoryBytes: number; seconds: number } | undefined;
  const steps = of('progress').filter(
    ({ event }) => event['phase'] === 'train' || event['phase'] === 'sample',
  );
  const gib = (bytes: number) => bytes / 2 ** 30;
  return {
    exitCode: run.exitCode,
    memoryGiB: gib(run.peakAnonymous),
    saidMemoryGiB: estimate ? gib(estimate.memoryBytes) : Number.NaN,
    mappedGiB: gib(run.peakMapped),
    seconds: run.seconds,
    saidSeconds: estimate?.seconds ?? Number.NaN,
    stepSeconds: steps.length > 1 ? steps.at(-1)!.at - steps.at(-2)!.at : Number.NaN,
    timed: Object.fromEntries(of('timed').map(({ event }) => [event['what'], event['seconds']])),
    failure: run.exitCode === 0 ? undefined : run.output.slice(-500),
  };
}

function line(name: string, limit: number, row: Row, within: boolean): string {
  const timed = Object.entries(row.timed).map(([what, seconds]) => `${what} ${Number(seconds).toFixed(1)} s`);
  return [
    `${name.padEnd(26)} ${within ? 'within' : 'BEYOND'} ${limit} GiB`,
    `memory ${row.memoryGiB.toFixed(2)} GiB (said ${row.saidMemoryGiB.toFixed(2)}), mapped ${row.mappedGiB.toFixed(2)}`,
    `${row.seconds.toFixed(0)} s (said ${row.saidSeconds.toFixed(0)}), a step ${row.stepSeconds.toFixed(1)} s`,
    ...timed,
    ...(row.failure === undefined ? [] : [row.failure]),
  ].join('; ');
}
