/** The direction of imports (.dependency-cruiser.cjs), and that each of its rules catches the fault it is there for. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const config = '.dependency-cruiser.cjs';

interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string };
}

function violations(folder: string): string[] {
  const program = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const found = ['sdk', 'adapters', 'examples'];
  const run = spawnSync(process.execPath, [program, '--config', config, '--output-type', 'json', ...found], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (!run.stdout.startsWith('{')) throw new Error(`dependency-cruiser failed: ${run.stderr}`);
  const { summary } = JSON.parse(run.stdout) as {
    summary: { violations: Violation[]; totalCruised: number };
  };
  expect(summary.totalCruised).toBeGreaterThan(0);
  return summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`);
}

const planted = mkdtempSync(join(tmpdir(), 'architecture-'));
afterAll(() => rmSync(planted, { recursive: true, force: true }));

test('every import keeps the direction', { timeout: 60_000 }, () => {
  expect(violations(root)).toEqual([]);
});

describe('a planted fault is found', () => {
  const sound: Record<string, string> = {
    'sdk/index.ts': "export { a } from './jobs/a';",
    'sdk/errors.ts': 'export const error = 1;',
    'sdk/jobs/a.ts': "import 'node:fs'; import { b } from '../models/b'; export const a = b;",
    'sdk/models/b.ts':
      "import type { S } from '../checkpoint/s'; import { g } from '../graph/g'; export const b = g as S;",
    'sdk/graph/g.ts': "import { error } from '../errors'; export const g = error;",
    'sdk/checkpoint/s.ts': 'export type S = number; export const s = 1;',
    'sdk/images/i.ts':
      "import sharp from 'sharp'; import { s } from '../checkpoint/s'; export const i = [sharp, s];",
    'sdk/library/hub.ts': "import 'undici'; export const hub = () => import('@huggingface/hub');",
    'sdk/runtime/r.ts': "import * as ort from 'onnxruntime-node'; export const r = ort;",
    'adapters/cli/c.ts': "import { a } from 'dreambooth'; import 'node:path'; export const c = a;",
    'examples/e.ts': "import { a } from 'dreambooth'; export const e = a;",
  };
  const faults: [rule: string, file: string, code: string][] = [
    ['layer-of-graph', 'sdk/graph/up.ts', "import { b } from '../models/b'; export const up = b;"],
    [
      'layer-of-models',
      'sdk/models/sideways.ts',
      "import { l } from '../lora/l'; export const sideways = l;",
    ],
    ['layer-of-checkpoint', 'sdk/checkpoint/up.ts', "import { i } from '../images/i'; export const up = i;"],
    [
      'layer-of-autodiff',
      'sdk/nn/sideways.ts',
      "import type { r } from '../runtime/r'; export type Sideways = typeof r;",
    ],
    [
      'layer-of-sampling',
      'sdk/sampling/up.ts',
      "import type { t } from '../training/t'; export type Up = typeof t;",
    ],
    [
      'layer-of-subjects',
      'sdk/subjects/up.ts',
      "import type { a } from '../jobs/a'; export type Up = typeof a;",
    ],
    ['layer-of-work', 'sdk/work/up.ts', "import type { a } from '../jobs/a'; export type Up = typeof a;"],
    ['layer-of-jobs', 'sdk/jobs/up.ts', "import type { up } from '../index/up'; export type Up = typeof up;"],
    [
      'layer-of-operations',
      'sdk/operations/up.ts',
      "import type { up } from '../index/up'; export type Up = typeof up;",
    ],
    ['layer-of-index', 'sdk/index/up.ts', "import { fresh } from '../helpers/new'; export const up = fresh;"],
    ['layer-of-errors', 'sdk/random.ts', "import { g } from './graph/g'; export const random = g;"],
    [
      'layer-of-training',
      'sdk/training/up.ts',
      "import type { a } from '../jobs/a'; export type Up = typeof a;",
    ],
    ['known-folders', 'sdk/helpers/new.ts', "import { error } from '../errors'; export const fresh = error;"],
    ['no-circular', 'sdk/nn/one.ts', "import type { Two } from './two'; export type One = Two[];"],
    [
      'pure-folders-without-node',
      'sdk/schedulers/clock.ts',
      "import { hrtime } from 'node:process'; export const clock = hrtime;",
    ],
    [
      'pure-folders-without-node',
      'sdk/autodiff/package.ts',
      "import { z } from 'zod'; export const schema = z;",
    ],
    [
      'pure-folders-without-files',
      'sdk/models/open.ts',
      "import { s } from '../checkpoint/s'; export const open = s;",
    ],
    [
      'onnxruntime-node-only-in-runtime',
      'sdk/jobs/native.ts',
      "import * as ort from 'onnxruntime-node'; export const native = ort;",
    ],
    [
      'sharp-only-in-images',
      'adapters/cli/pixels.ts',
      "import sharp from 'sharp'; export const pixels = sharp;",
    ],
    [
      'network-only-in-hub',
      'sdk/library/pull.ts',
      "export const models = async () => (await import('@huggingface/hub')).listModels;",
    ],
    [
      'network-only-in-hub',
      'sdk/jobs/serve.ts',
      "import { createServer } from 'node:http'; export { createServer };",
    ],
    ['network-only-in-hub', 'adapters/cli/ask.ts', "import { fetch } from 'undici'; export { fetch };"],
    [
      'network-only-in-hub',
      'sdk/evaluation/judge.ts',
      "export const client = async () => (await import('openai')).default;",
    ],
    ['layer-of-library', 'sdk/library/up.ts', "import { a } from '../jobs/a'; export const up = a;"],
    [
      'adapters-import-the-package',
      'adapters/cli/inside.ts',
      "import { a } from '../../sdk/jobs/a'; export const inside = a;",
    ],
    [
      'adapters-import-the-package',
      'adapters/cli/index-inside.ts',
      "import { a } from '../../sdk/index'; export const inside = a;",
    ],
    [
      'examples-import-the-package',
      'examples/inside.ts',
      "import { a } from '../sdk/index'; export const inside = a;",
    ],
    ['adapters-apart', 'adapters/mcp/borrow.ts', "import { c } from '../cli/c'; export const borrow = c;"],
    [
      'sdk-alone',
      'sdk/jobs/outwards.ts',
      "import { c } from '../../adapters/cli/c'; export const outwards = c;",
    ],
  ];
  const others: Record<string, string> = {
    'sdk/lora/l.ts': 'export const l = 1;',
    'sdk/training/t.ts': 'export const t = 1;',
    'sdk/nn/two.ts': "import type { One } from './one'; export type Two = One[];",
  };

  function write(files: Readonly<Record<string, string>>): void {
    for (const [file, code] of Object.entries(files)) {
      mkdirSync(dirname(join(planted, file)), { recursive: true });
      writeFileSync(join(planted, file), code);
    }
  }

  test('of every rule', () => {
    const { forbidden } = createRequire(import.meta.url)(`../${config}`) as { forbidden: { name: string }[] };
    expect(new Set(faults.map(([rule]) => rule))).toEqual(new Set(forbidden.map(({ name }) => name)));
  });

  test('and nothing else', { timeout: 60_000 }, () => {
    for (const file of [config, 'tsconfig.json', 'package.json'])
      copyFileSync(join(root, file), join(planted, file));
    symlinkSync(join(root, 'node_modules'), join(planted, 'node_modules'));
    write(sound);
    expect(violations(planted)).toEqual([]);
    write({ ...others, ...Object.fromEntries(faults.map(([, file, code]) => [file, code])) });
    const found = violations(planted);
    for (const [rule, file] of faults) expect(found, `${rule} on ${file}`).toContain(`${file}: ${rule}`);
    const faulty = new Set([...faults.map(([, file]) => file), ...Object.keys(others)]);
    expect(found.filter((line) => !faulty.has(line.split(': ')[0]!))).toEqual([]);
  });
});
