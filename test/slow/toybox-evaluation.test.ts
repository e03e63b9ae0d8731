/** The two directions that matter most, seen on one subject with the real engine, in few steps. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SubjectReport } from '../../sdk/evaluation/subject-report';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import { evaluateToybox, toyDevelopmentSubjects } from '../../sdk/protocols/toybox/toybox-evaluation';

let folder: string;
let engine: Engine;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-evaluation-'));
  engine = createEngine({ home: join(folder, 'home'), mode: 'in-process' });
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a subject is learned, and without prior preservation its class goes with it', async () => {
  const reports = new Map<string, SubjectReport>();
  const rows = await evaluateToybox(
    engine,
    {
      folder: join(folder, 'evaluation'),
      subjects: toyDevelopmentSubjects.slice(0, 1),
      arms: ['class-images', 'no-prior'],
      seeds: 1,
      sweeps: 0,
      settings: { steps: 300, classImages: 32, drawSteps: 10 },
    },
    ({ arm, report, seconds }) => {
      reports.set(arm, report);
      const { CP, PF, PRES, LEAK, 'PRIOR-FD': drift } = report;
      console.log(
        [arm, ...[CP, PF, PRES, LEAK, drift].map((value) => value.toFixed(2)), seconds.toFixed(0)].join(' '),
      );
    },
  );
  expect(rows.map(({ arm }) => arm)).toEqual(['base', 'real', 'copies', 'class-images', 'no-prior']);
  const [base, kept, drifted] = ['base', 'class-images', 'no-prior'].map((arm) => reports.get(arm)!);
  // A1: it is the subject, in what was asked for.
  expect(kept!.CP).toBeGreaterThan(base!.CP + 0.5);
  expect(kept!.PF).toBeGreaterThan(base!.PF - 0.15);
  // A2: language drift.
  expect(drifted!.PRES).toBeGreaterThan(kept!.PRES + 0.1);
  expect(drifted!.LEAK).toBeGreaterThan(kept!.LEAK + 0.2);
  expect(drifted!['PRIOR-FD']).toBeGreaterThan(kept!['PRIOR-FD'] + 0.2);
  expect(drifted!.priorDIV).toBeLessThan(kept!.priorDIV - 0.05);
  const sheets = readdirSync(join(folder, 'evaluation', 'pictures')).sort();
  expect(sheets.map((file) => file.replace(/-[0-9a-f]{6}\.png$/, ''))).toEqual(
    ['base', 'class-images', 'no-prior'].map((arm) => `cat-1-${arm}`),
  );
});
