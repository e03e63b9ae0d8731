/** Learning a subject anew: what its job takes over from it, down to captions and masks, and what it does not. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InvalidOptionError, UnknownSubjectError } from '../../sdk/errors';
import { type PersonalizationRequest, startPersonalization } from '../../sdk/jobs/personalization';
import { type Home, openHome } from '../../sdk/subjects/home';
import { createSubject, type NewSubject } from '../../sdk/subjects/subjects';
import { effectiveSettings } from '../../sdk/training/presets';

const base = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
let folder: string;
let home: Home;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-again-'));
  home = openHome(join(folder, 'home'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function learned(changes: Partial<NewSubject> = {}): void {
  const draft = join(folder, 'draft');
  mkdirSync(join(draft, 'photos'), { recursive: true });
  writeFileSync(join(draft, 'photos', '01'), 'a photo');
  writeFileSync(join(draft, 'photos', '01-mask'), 'a mask');
  writeFileSync(join(draft, 'lora.safetensors'), 'weights');
  const settings = effectiveSettings('paper', {
    kind: 'lora',
    rank: 8,
    masks: 'file',
    keep: 'every',
    instancePrompt: 'a drawing of olis dog',
    classPrompt: 'a drawing of dog',
    samplePrompts: ['@rex in the snow'],
  });
  createSubject(
    home,
    'rex',
    {
      id: 's-1',
      className: 'dog',
      identifier: 'olis',
      instancePrompt: settings.instancePrompt,
      kind: 'lora',
      base: { path: base, fingerprint: 'f', vae: join(base, 'vae') },
      settings: { ...settings, preset: 'paper' },
      seed: 7,
      steps: 600,
      createdAt: '2026-01-01T00:00:00.000Z',
      photos: [
        {
          name: '1.jpg',
          sha256: '0'.repeat(64),
          caption: 'my @Rex on a mat',
          file: 'photos/01',
          mask: 'photos/01-mask',
        },
      ],
      versions: {},
      consent: { by: 'ann', at: '2026-01-01T00:00:00.000Z', words: 'mine' },
      ...changes,
    },
    draft,
  );
}

/** The record of the job that is made of a request, and its folder. */
async function jobOf(request: Partial<PersonalizationRequest> = {}) {
  const { held, reservation } = await startPersonalization(
    home,
    { images: [], again: '@rex', ...request },
    { base: 'toybox', vae: undefined },
    () => ({ owner: 'local', scope: null, host: 'test', attended: true, turn: 0, replyTo: null }),
    () => {},
  );
  const record = held.record();
  held.release();
  reservation.release();
  return { record, folder: held.folder };
}

test('all that it was learned by is the default, and what is said goes before', async () => {
  learned();
  const { record, folder: place } = await jobOf({ settings: { steps: 350, learningRate: 1e-5, rank: 16 } });
  expect(record).toMatchObject({
    name: 'rex-1',
    className: 'dog',
    identifier: 'olis',
    base,
    vae: join(base, 'vae'),
    seed: 7,
    continueFrom: null,
    consent: { by: 'ann' },
    settings: { preset: 'paper', kind: 'lora', rank: 16, alpha: 16, steps: 350, learningRate: 1e-5 },
  });
  expect(record.settings).toMatchObject({ masks: 'file', keep: 'every', classPrompt: 'a drawing of dog' });
  expect(record.photos).toMatchObject([{ name: '1.jpg', caption: 'my {subject} on a mat' }]);
  const [photo] = record.photos;
  expect(readFileSync(join(place, photo!.file), 'utf8')).toBe('a photo');
  expect(readFileSync(join(place, photo!.mask!), 'utf8')).toBe('a mask');
});

test('its prompts speak of whoever it becomes', async () => {
  learned();
  const { record } = await jobOf({ name: 'max', identifier: 'sks' });
  expect(record).toMatchObject({ name: 'max', identifier: 'sks' });
  expect(record.settings).toMatchObject({
    instancePrompt: 'a drawing of {subject}',
    samplePrompts: ['{subject} in the snow'],
  });
});

test('of another kind or preset it is learned by that one, and an embedding gives its word to nobody', async () => {
  learned({ kind: 'embedding', identifier: '*rex*', seed: 3 });
  const lora = await jobOf({ settings: { kind: 'lora' } });
  expect(lora.record).toMatchObject({ identifier: null, settings: { kind: 'lora' }, seed: 3 });
  expect(lora.record.settings).toEqual({ kind: 'lora' });
  const full = await jobOf({ settings: { preset: 'paper' } });
  expect(full.record).toMatchObject({ identifier: null, settings: { preset: 'paper' } });
});

test('is refused with a subject to go on with, without photos, and of nobody', async () => {
  learned();
  const both = await jobOf({ continueFrom: 'rex' }).catch((error) => error);
  expect(both).toBeInstanceOf(InvalidOptionError);
  expect(both.message).toMatch(/continueFrom.*again.*leave one/);
  await expect(jobOf({ again: 'rax' })).rejects.toBeInstanceOf(UnknownSubjectError);
  rmSync(join(home.subjects, 'rex'), { recursive: true });
  learned({ photos: [{ name: '1.jpg', sha256: '0'.repeat(64) }] });
  await expect(jobOf()).rejects.toThrow(/@rex keeps no photos.*give some/);
});
