import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnwritablePathError } from '../../sdk/errors';
import { type LogLine, openTrainingLog } from '../../sdk/work/training-log';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-log-'));
  file = join(folder, 'log.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const time = '2026-01-01T00:00:00.000Z';
const step = (at: number): LogLine => ({
  event: 'step',
  step: at,
  loss: 1 / at,
  learningRates: { unet: 1e-4 },
  gradientNorm: 2,
  seconds: 0.5,
});
const lines = () =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('a log grows by a line each, and another run begins another', () => {
  const log = openTrainingLog(file);
  expect(log.before).toEqual([]);
  log.write(step(1));
  expect(lines()).toEqual([step(1)]);
  log.write(step(2));
  expect(lines()).toEqual([step(1), step(2)]);
  openTrainingLog(file).write(step(1));
  expect(lines()).toEqual([step(1)]);
});

test('a run that goes on from a checkpoint takes out what it will do again, and a line that was cut off', () => {
  const warning: LogLine = { event: 'warning', message: 'one photo' };
  const kept: LogLine[] = [
    warning,
    step(1),
    step(2),
    { event: 'checkpoint', step: 2 },
    { event: 'sample', step: 2, files: ['samples/2-1.png'] },
  ];
  const log = openTrainingLog(file);
  for (const line of kept) log.write(line);
  log.write(step(3));
  log.write({ event: 'sample', step: 3, files: [] });
  log.write({ event: 'done', time, step: 2 });
  writeFileSync(file, '{"event":"step","step":4,"lo', { flag: 'a' });
  const again = openTrainingLog(file, 2);
  expect(again.before).toEqual(kept);
  again.write({ event: 'resumed', time, step: 2 });
  again.write(step(3));
  expect(lines()).toEqual([...kept, { event: 'resumed', time, step: 2 }, step(3)]);
});

test('a place that takes no file is told by name', () => {
  const log = openTrainingLog(file);
  rmSync(file);
  mkdirSync(file);
  expect(() => log.write(step(1))).toThrow(UnwritablePathError);
  expect(() => log.write(step(1))).toThrow(file);
});
