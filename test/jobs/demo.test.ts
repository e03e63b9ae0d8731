/** The demo's part that touches what is a user's: on an engine that learns nothing. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runDemo } from '../../sdk/jobs/demo';
import { writeToyPhotos } from '../../sdk/jobs/toy-photos';
import { readSubject } from '../../sdk/subjects/subjects';
import { standInEngine } from '../protocols/stand-in-engine';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-demo-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('the subject of an earlier demo gives way, and both are drawn in the same way', async () => {
  const { engine, learned, measured } = standInEngine(join(folder, 'home'));
  const first = await runDemo(engine, { folder: join(folder, 'demo') });
  const second = await runDemo(engine, { folder: join(folder, 'demo'), seed: 7 });
  expect(learned).toHaveLength(2);
  expect(readSubject(engine.home, 'biscuit').seed).toBe(7);
  expect(readFileSync(second.sheet).length).toBeGreaterThan(1000);
  expect(measured[0]!.sources[0]).toMatchObject({ kind: 'base', settings: first.subject.settings });
});

test("a subject of the user's own that has its name stays", async () => {
  const { engine, learned } = standInEngine(join(folder, 'home'));
  const images = await writeToyPhotos(join(folder, 'own'), { class: 'dog', seed: 5 });
  const own = await engine.personalize({ images, className: 'dog', name: 'biscuit' });
  await expect(runDemo(engine, { folder: join(folder, 'demo') })).rejects.toMatchObject({
    code: 'name-taken',
    message: expect.stringMatching(/^@biscuit in .* was not learned by a demo.*: rename it, or .*--home/),
  });
  expect(readSubject(engine.home, 'biscuit').id).toBe(own.id);
  expect(learned).toHaveLength(1);
});
