/** The main job on the embedded base model, as a newcomer runs it, with what it must reach. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readImage } from '../../sdk/images/read-image';

const folder = mkdtempSync(join(tmpdir(), 'dreambooth-demo-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function dreambooth(...parameters: string[]): Record<string, unknown>[] {
  const program = join(import.meta.dirname, '../../dist/adapters/cli.js');
  const run = spawnSync(process.execPath, [program, ...parameters, '--json'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  return run.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('the demo', () => {
  test('learns a subject, and the oracle agrees: itself, where it was asked to be, without taking its class along', async () => {
    const out = join(folder, 'demo');
    const events = dreambooth('demo', '--out', out);
    expect(events[0]).toMatchObject({ event: 'started' });
    const done = events.at(-1) as {
      event: string;
      files: string[];
      measured: Record<'base' | 'personalized', Record<string, number>>;
    };
    expect(done.event).toBe('done');
    const { base, personalized } = done.measured;
    // The direction of the paper's table 1: fidelity up strongly, prompts followed nearly as well, no leak into the class.
    expect(base['CP']).toBeLessThan(0.3);
    expect(personalized['CP']).toBeGreaterThan(base['CP']! + 0.3);
    expect(personalized['PF']).toBeGreaterThan(0.7);
    expect(personalized['LEAK']).toBeLessThan(0.2);

    const sheet = await readImage(join(out, 'contact-sheet.png'));
    expect(sheet.width).toBeGreaterThan(1000);
    expect(done.files).toHaveLength(5);
    for (const file of done.files) expect(readFileSync(file).subarray(1, 4).toString()).toBe('PNG');

    const picture = join(folder, 'night.png');
    const home = join(out, 'home');
    dreambooth('generate', 'a photo of @biscuit at night', '--seed', '3', '--out', picture, '--home', home);
    expect(await readImage(picture)).toMatchObject({ width: 64, height: 64 });
  });
});
