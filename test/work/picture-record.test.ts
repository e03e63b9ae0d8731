import { describe, expect, test } from 'vitest';
import { requestLike } from '../../sdk/jobs/made-picture';
import { schedulerNames } from '../../sdk/schedulers/index';
import { type PictureRecord, pictureTexts, readPictureTexts } from '../../sdk/work/picture-record';

const record: PictureRecord = {
  prompt: '@rex beside @mug, in the snow',
  text: 'olis dog beside <mug>, in the snow',
  negativeText: 'blurry,\nNegative: too',
  seed: 42,
  subjects: [
    { name: 'rex', kind: 'lora', identifier: 'olis', className: 'dog', weight: 0.7 },
    { name: 'mug', kind: 'embedding', identifier: '<mug>', className: 'cup', weight: 1 },
  ],
  base: { name: 'a, model: v1', fingerprint: 'abc' },
  settings: {
    steps: 25,
    guidanceScale: 7.5,
    width: 512,
    height: 768,
    scheduler: 'euler_ancestral',
    negativePrompt: 'blurry,\nNegative: too',
    clipSkip: 1,
    strength: 0.6,
    batch: 4,
    somethingNew: [1, 2],
  },
  versions: { dreambooth: '1.2.3' },
};

test('parameters are what the web UI writes of the same picture', () => {
  expect(pictureTexts(record)['parameters']).toBe(
    'olis dog beside mug, in the snow <lora:rex:0.7>\n' +
      'Negative prompt: blurry,\nNegative: too\n' +
      'Steps: 25, Sampler: Euler a, CFG scale: 7.5, Seed: 42, Size: 512x768, Model: "a, model: v1", ' +
      'Denoising strength: 0.6, Clip skip: 2, Version: dreambooth 1.2.3',
  );
});

test('ours come back whole, and as the request that makes the picture again', () => {
  const made = readPictureTexts(pictureTexts(record))!;
  expect(made).toMatchObject({
    source: 'dreambooth',
    prompt: record.prompt,
    negativePrompt: 'blurry,\nNegative: too',
    seed: 42,
    settings: record.settings,
    subjects: [
      { name: 'rex', weight: 0.7 },
      { name: 'mug', weight: 1 },
    ],
    base: record.base,
  });
  const { batch, somethingNew, ...asked } = record.settings;
  expect(requestLike(made)).toEqual({
    prompt: record.prompt,
    seed: 42,
    ...asked,
    baseFingerprint: 'abc',
  });
  // A masked photo that came back in its own size does so again: the size that was drawn in is not asked for.
  const { width, height, ...others } = asked;
  const own = { ...made, settings: { ...made.settings, photoSize: true } };
  expect(requestLike(own)).toEqual({ prompt: record.prompt, seed: 42, ...others, baseFingerprint: 'abc' });
  expect([width, height]).toEqual([512, 768]);
  // Who took part without a mention does so again.
  const bare = { ...made, prompt: 'a dog beside @mug' };
  expect(requestLike(bare)).toMatchObject({ prompt: 'a dog beside @mug', learned: { name: 'rex' } });
});

describe('without ours, the lines of the web UI are read', () => {
  const read = (parameters: string) => readPictureTexts({ parameters });

  test('as this package writes them', () => {
    expect(read(pictureTexts(record)['parameters']!)).toMatchObject({
      source: 'parameters',
      prompt: 'olis dog beside mug, in the snow',
      negativePrompt: 'blurry,\nNegative: too',
      seed: 42,
      settings: {
        steps: 25,
        guidanceScale: 7.5,
        width: 512,
        height: 768,
        scheduler: 'euler_ancestral',
        clipSkip: 1,
        strength: 0.6,
      },
      subjects: [{ name: 'rex', weight: 0.7 }],
      base: { name: 'a, model: v1', fingerprint: null },
    });
  });

  test('of its newer versions, with what they add', () => {
    const made = read(
      'a castle,\nat night <lora:fine_detail:0.5>\nNegative prompt: people\nSteps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6, Seed: 1234567890, Size: 640x512, Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Lora hashes: "fine_detail: 1a2b, other: 3c4d", Version: v1.10.1',
    );
    expect(made).toEqual({
      source: 'parameters',
      prompt: 'a castle,\nat night',
      negativePrompt: 'people',
      seed: 1234567890,
      settings: {
        steps: 30,
        guidanceScale: 6,
        width: 640,
        height: 512,
        scheduler: 'dpmpp_2m_karras',
        negativePrompt: 'people',
      },
      subjects: [{ name: 'fine_detail', weight: 0.5 }],
      base: { name: 'v1-5-pruned-emaonly', fingerprint: null },
      further: {
        'Model hash': '6ce0161689',
        'Lora hashes': 'fine_detail: 1a2b, other: 3c4d',
        Version: 'v1.10.1',
      },
    });
    expect(requestLike(made!)).not.toHaveProperty('baseFingerprint');
  });

  test.each(schedulerNames.map((name) => [name]))('%s comes back by its spelling there', (scheduler) => {
    const { parameters } = pictureTexts({ ...record, settings: { ...record.settings, scheduler } });
    expect(read(parameters!)!.settings['scheduler']).toBe(scheduler);
  });

  test('a sampler that is not here is told as it was written', () => {
    const made = read('x\nSteps: 3, Sampler: DPM++ 3M SDE, Schedule type: Karras, Seed: 1');
    expect(made!.settings).not.toHaveProperty('scheduler');
    expect(made!.further).toEqual({ Sampler: 'DPM++ 3M SDE', 'Schedule type': 'Karras' });
  });
});

test.each([
  [{}],
  [{ parameters: 'only words' }],
  [{ dreambooth: '{not json' }],
  [{ dreambooth: '{"prompt":1,"seed":"x"}' }],
  [{ Title: 'x' }],
])('%j says nothing', (texts) => expect(readPictureTexts(texts)).toBeNull());

test('a damaged text of ours gives way to the other', () => {
  const texts = { ...pictureTexts(record), dreambooth: '{"seed":-1}' };
  expect(readPictureTexts(texts)!.source).toBe('parameters');
});
