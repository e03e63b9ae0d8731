import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StoppedError } from '../../sdk/errors';
import { writePng } from '../../sdk/images/png';
import type { Engine } from '../../sdk/jobs/engine';
import type { GenerateRequest, GenerateRunOptions } from '../../sdk/jobs/generation';
import {
  drawMissing,
  drawMissingFiles,
  drawnAs,
  type KeptPicture,
  type WantedPictures,
} from '../../sdk/protocols/draw-missing';
import { openJsonLines } from '../../sdk/protocols/json-lines';
import { pictureTexts } from '../../sdk/work/picture-record';
import type { ProgressEvent } from '../../sdk/work/progress';

/** A PNG as far as its end tells. */
const png = Buffer.from('0000000049454e44ae426082', 'hex');
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'draw-missing-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const saveWhole = async (file: string) => writeFileSync(file, png);

/** Loads, then takes so many steps for a picture, one picture after the other, until it is stopped. */
function engineOf(
  stepsOfPicture: number,
  asked: GenerateRequest[],
  saveOf: (seed: number) => (file: string) => Promise<void> = () => saveWhole,
): Engine {
  const generate = async (request: GenerateRequest, { onProgress, onImage, signal }: GenerateRunOptions) => {
    asked.push(request);
    const { count = 1, seed = 0 } = request;
    const tell = (phase: 'load' | 'sample', step: number, steps: number) =>
      onProgress?.({ kind: 'step-end', phase, step, steps, secondsLeft: null });
    tell('load', 0, 1);
    tell('load', 1, 1);
    for (let picture = 0; picture < count; picture++) {
      await sleep(2);
      if (signal?.aborted) throw new StoppedError(null);
      for (let step = 0; step <= stepsOfPicture; step++)
        tell('sample', picture * stepsOfPicture + step, count * stepsOfPicture);
      onImage?.({ seed: seed + picture, save: saveOf(seed + picture) } as never);
    }
    return [];
  };
  return { generate } as unknown as Engine;
}

const pictures = (name: string, seeds: readonly number[]) =>
  seeds.map((seed) => ({ seed, file: join(folder, `${name}-${seed}.png`) }));

test('steps are told over all that is missing, each number once, with the time left', async () => {
  const wanted: WantedPictures[] = [
    { request: { prompt: 'a' }, pictures: pictures('a', [0, 1, 2]) },
    { request: { prompt: 'b' }, pictures: pictures('b', [7]) },
    { request: { prompt: 'c' }, pictures: pictures('c', [1, 5]) },
  ];
  // One is there, and one was cut off.
  writeFileSync(join(folder, 'a-0.png'), png);
  writeFileSync(join(folder, 'c-5.png'), png.subarray(0, 6));
  const asked: GenerateRequest[] = [];
  const told: ProgressEvent[] = [];
  await drawMissingFiles(engineOf(4, asked), wanted, { onProgress: (event) => told.push(event) });

  expect(asked).toEqual([
    { prompt: 'a', seed: 1, count: 2 },
    { prompt: 'b', seed: 7, count: 1 },
    { prompt: 'c', seed: 1, count: 1 },
    { prompt: 'c', seed: 5, count: 1 },
  ]);
  const steps = told.flatMap((event) => (event.kind === 'step-end' ? [event] : []));
  expect(steps.filter(({ phase }) => phase === 'load')).toHaveLength(2);
  const drawing = steps.filter(({ phase }) => phase === 'sample');
  expect(drawing.map(({ step }) => step)).toEqual(Array.from({ length: 5 * 4 + 1 }, (_, i) => i));
  expect(new Set(drawing.map((event) => event.steps))).toEqual(new Set([20]));
  expect(drawing.at(-1)!.secondsLeft).toBe(0);
  for (const { secondsLeft } of drawing.slice(2)) expect(secondsLeft).not.toBeNull();
  for (const { pictures: own } of wanted)
    for (const { file } of own) expect(readFileSync(file).equals(png)).toBe(true);
});

test('nothing is asked for where all is there', async () => {
  const [one] = pictures('a', [0]);
  writeFileSync(one!.file, png);
  const asked: GenerateRequest[] = [];
  await drawMissingFiles(engineOf(4, asked), [{ request: { prompt: 'a' }, pictures: [one!] }], {});
  expect(asked).toEqual([]);
});

describe('pictures that take long to be kept', () => {
  const rowsFile = () => join(folder, 'rows.jsonl');
  const wanted = (): WantedPictures[] => [
    { request: { prompt: 'a' }, pictures: [0, 1, 2, 3].map((seed) => ({ seed, file: `${seed}.png` })) },
  ];

  test('are told of in order, and all are told of before it is done', async () => {
    // The first takes longest.
    const saveOf = (seed: number) => async (file: string) => {
      await sleep(20 - 5 * seed);
      await saveWhole(file);
    };
    const kept = openJsonLines<KeptPicture>(rowsFile());
    await drawMissing(engineOf(1, [], saveOf), folder, kept, wanted(), {});
    expect(kept.rows.map(({ seed }) => seed)).toEqual([0, 1, 2, 3]);
  });

  test('a picture that cannot be kept ends the drawing with its error; those before it are there', async () => {
    const full = new Error('the disk is full');
    const saveOf = (seed: number) => (seed === 1 ? () => Promise.reject(full) : saveWhole);
    const asked: number[] = [];
    const engine = engineOf(1, [], (seed) => {
      asked.push(seed);
      return saveOf(seed);
    });
    const kept = openJsonLines<KeptPicture>(rowsFile());
    await expect(drawMissing(engine, folder, kept, wanted(), {})).rejects.toBe(full);
    expect(kept.rows.map(({ seed }) => seed)).toEqual([0]);
    // The next was not begun.
    expect(asked).toEqual([0, 1]);
  });

  test('one who stops it is told so', async () => {
    const stop = new AbortController();
    stop.abort();
    const kept = openJsonLines<KeptPicture>(rowsFile());
    const drawing = drawMissing(engineOf(1, []), folder, kept, wanted(), { signal: stop.signal });
    await expect(drawing).rejects.toThrow(StoppedError);
  });
});

test('how pictures were drawn is what the first of them says of itself', async () => {
  const said = { steps: 30, guidanceScale: 7.5, scheduler: 'ddim', width: 64, height: 32 };
  const texts = pictureTexts({ prompt: 'a dog', seed: 1, subjects: [], settings: { ...said, batch: 4 } });
  const image = { width: 2, height: 1, data: new Uint8Array(6) };
  await writePng(join(folder, 'drawn.png'), image, texts);
  await writePng(join(folder, 'silent.png'), image);
  const [drawn, silent] = ['drawn.png', 'silent.png'].map((file) => ({ file, seed: 1 }));
  expect(drawnAs(folder, [drawn!, silent!])).toEqual(said);
  expect(drawnAs(folder, [silent!])).toBeNull();
  expect(drawnAs(folder, [])).toBeNull();
});
