import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StoppedError } from '../../sdk/errors';
import type { RunOptions } from '../../sdk/jobs/run-options';
import { standInEngine } from '../protocols/stand-in-engine';
import { callIn } from './command-line';

let folder: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-evaluate-'));
  out = join(folder, 'out');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('dreambooth evaluate toybox', () => {
  const evaluateCommand = async (...parameters: string[]) => {
    const standIn = standInEngine(join(folder, 'home'));
    const close = async () => {};
    const loadSdk = async () => ({
      ...(await import('../../sdk/index')),
      createEngine: () => ({ ...standIn.engine, close }),
    });
    const all = ['evaluate', 'toybox', '--out', out, '--home', join(folder, 'home'), ...parameters];
    return { standIn, ...(await callIn({ loadSdk: loadSdk as never }, ...all)) };
  };

  test('--arms, --subjects, --seeds, --sweeps and --development', async () => {
    const few = ['--arms', 'no-prior', 'full', '--subjects', '1', '--seeds', '1', '--sweeps', '0'];
    const { code, out: said, err, standIn } = await evaluateCommand(...few, '--development');
    expect(code, err).toBe(0);
    expect(standIn.learned.map(({ name }) => name!.replace(/-[0-9a-f]{6}$/, ''))).toEqual([
      'no-prior-cat-1',
      'full-cat-1',
    ]);
    expect(said).toMatch(/A8 +not run/);
    expect(said).toContain(join(out, 'report.html'));
  });

  test.each([1, 2])(
    'interrupted, %s times, it says how to go on, and nothing of the job within',
    async (times) => {
      let interrupt = () => {};
      const exits: number[] = [];
      const standIn = standInEngine(join(folder, 'home'));
      const engine = {
        ...standIn.engine,
        kill() {},
        async close() {},
        async personalize(_: object, run: RunOptions) {
          run.onProgress?.({ kind: 'job-start', job: 'within-1', name: 'within' });
          for (let i = 0; i < times; i++) interrupt();
          throw new StoppedError('within-1');
        },
      };
      const around = {
        loadSdk: async () => ({ ...(await import('../../sdk/index')), createEngine: () => engine }),
        onInterrupt(listener: () => void) {
          interrupt = listener;
          return () => {};
        },
        exit: (code: number) => exits.push(code),
      };
      const { code, err } = await callIn(
        around as never,
        'evaluate',
        'toybox',
        '--subjects',
        '1',
        '--out',
        out,
      );
      expect(code).toBe(130);
      expect(exits).toEqual(times === 2 ? [130] : []);
      expect(err).toContain('Go on with the same command');
      if (times === 2) expect(err).toContain('Ended. Go on with the same command.');
      expect(err).not.toContain('resume');
    },
  );

  test.each([
    [['--arms', 'no-prio'], /There is no arm "no-prio"; there are class-images, /],
    [['--subjects', '0'], /--subjects 0: there are 8 of them/],
    [['--subjects', '9'], /--subjects 9: there are 8 of them/],
    [['--subjects', '3', '--development'], /--subjects 3: there are 2 of them/],
    [['--set', 'rank=0'], /rank is 0/],
    [['--seeds', '0'], /5 subjects and 0 seeds make no evaluation/],
    [['--seeds', 'two'], /Give a whole number/],
  ])('%j is wrong use', async (parameters, message) => {
    const { code, err, standIn } = await evaluateCommand(...parameters);
    expect(code).not.toBe(0);
    expect(err).toMatch(message);
    expect(standIn.measured).toEqual([]);
  });
});
