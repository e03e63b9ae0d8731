import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BrokenFileError, InvalidOptionError, UnknownSubjectError } from '../../sdk/errors';
import { prepareGeneration } from '../../sdk/jobs/generation';
import { type Home, openHome } from '../../sdk/subjects/home';
import { chooseSnapshot, snapshotSteps } from '../../sdk/subjects/snapshots';
import { createSubject, type NewSubject, readSubject } from '../../sdk/subjects/subjects';

let home: Home;
beforeEach(() => {
  home = openHome(mkdtempSync(join(tmpdir(), 'dreambooth-snapshots-')));
});
afterEach(() => rmSync(home.folder, { recursive: true }));

const record: NewSubject = {
  id: 's-1',
  className: 'dog',
  identifier: 'olis',
  instancePrompt: 'a photo of olis dog',
  kind: 'lora',
  base: { path: 'toybox', fingerprint: 'f' },
  settings: { rank: 4 },
  seed: 0,
  steps: 600,
  createdAt: '2026-01-01T00:00:00.000Z',
  photos: [],
  versions: {},
};

/** With weights in one file, or of a whole model in a folder of a component. */
function learned(file: string, kept: readonly number[]): void {
  const folder = mkdtempSync(join(home.folder, 'draft-'));
  const write = (place: string, words: string) => {
    mkdirSync(join(folder, place, file, '..'), { recursive: true });
    writeFileSync(join(folder, place, file), words);
  };
  write('.', 'of 600');
  writeFileSync(join(folder, 'log.jsonl'), 'log');
  for (const step of kept) write(join('snapshots', String(step)), `of ${step}`);
  createSubject(home, 'rex', record, folder);
}
const weights = (file: string, ...place: string[]) =>
  readFileSync(join(home.subjects, 'rex', ...place, file), 'utf8');

test.each([
  ['a LoRA', 'lora.safetensors'],
  ['a whole model', 'unet/diffusion_pytorch_model.safetensors'],
])('a kept step of %s becomes the subject, and the last ones stay to be chosen again', (_, file) => {
  learned(file, [200, 400]);
  const before = readSubject(home, 'rex');
  const chosen = chooseSnapshot(home, 'rex', 400);
  expect(weights(file)).toBe('of 400');
  expect(weights(file, 'snapshots', '600')).toBe('of 600');
  expect(snapshotSteps(chosen.folder)).toEqual([200, 600]);
  expect(weights('log.jsonl')).toBe('log');
  expect({ ...chosen, files: [] }).toEqual({ ...before, steps: 400, files: [] });
  const hashOf = (files: typeof chosen.files, name: string) => files.find((one) => one.file === name)!.sha256;
  expect(hashOf(chosen.files, file)).toBe(hashOf(before.files, `snapshots/400/${file}`));

  const back = chooseSnapshot(home, 'rex', 600);
  expect(weights(file)).toBe('of 600');
  expect(snapshotSteps(back.folder)).toEqual([200, 400]);
  expect(back).toEqual(before);
  expect(readdirSync(home.cache)).toEqual([]);
});

test('where the end was kept as a step, too, it is there once', () => {
  learned('lora.safetensors', [300, 600]);
  const chosen = chooseSnapshot(home, 'rex', 300);
  expect(snapshotSteps(chosen.folder)).toEqual([600]);
  expect(chooseSnapshot(home, 'rex', 300)).toEqual(chosen);
});

test('a step that was not kept is refused, and says which were; nothing changes', () => {
  learned('lora.safetensors', [200, 400]);
  const before = readSubject(home, 'rex');
  const refused = () => chooseSnapshot(home, 'rex', 300);
  expect(refused).toThrow(InvalidOptionError);
  expect(refused).toThrow('@rex has no weights of step 300; there are those of 200, 400.');
  expect(readSubject(home, 'rex')).toEqual(before);
  expect(existsSync(home.cache)).toBe(false);
  expect(() => chooseSnapshot(home, 'max', 1)).toThrow(UnknownSubjectError);
  rmSync(join(home.subjects, 'rex'), { recursive: true });
  learned('lora.safetensors', []);
  expect(refused).toThrow(/only its last weights: learn it with keep=every/);
});

test('a step that holds no weights is refused, and leaves nothing behind', () => {
  learned('lora.safetensors', [200]);
  rmSync(join(home.subjects, 'rex', 'snapshots', '200', 'lora.safetensors'));
  const before = readSubject(home, 'rex');
  expect(() => chooseSnapshot(home, 'rex', 200)).toThrow(BrokenFileError);
  expect(readSubject(home, 'rex')).toEqual(before);
  expect(weights('lora.safetensors')).toBe('of 600');
  expect(readdirSync(home.cache)).toEqual([]);
});

test('a picture is asked for with the weights of a kept step, whether the prompt speaks of the subject or not', () => {
  learned('lora.safetensors', [200]);
  const asked = (prompt: string, step?: number) =>
    prepareGeneration(
      home,
      { prompt, seed: 1, learned: { name: 'rex', ...(step === undefined ? {} : { step }) } },
      'toybox',
    );
  const folder = join(home.subjects, 'rex');
  expect(asked('a @rex', 200)).toMatchObject({
    text: 'a olis dog',
    subjects: [{ subject: { folder: join(folder, 'snapshots', '200'), steps: 200 }, weight: 1 }],
  });
  expect(asked('a dog')).toMatchObject({ text: 'a dog', subjects: [{ subject: { folder, steps: 600 } }] });
  expect(() => asked('a dog', 100)).toThrow(/no weights of step 100/);
});
