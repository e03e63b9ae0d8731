/** The recipes' numbers, as their sources give them, and how a caller changes them. */
import { describe, expect, test } from 'vitest';
import { InvalidOptionError } from '../../sdk/errors';
import { effectiveSettings, presetNames, presets } from '../../sdk/training/presets';
import { checkSettings, settingNames } from '../../sdk/work/personalization-settings';

/** AdamW and clipping are the same in every script. */
const adamW = { adamBeta1: 0.9, adamBeta2: 0.999, adamEpsilon: 1e-8, maxGradientNorm: 1, warmupSteps: 0 };
const onePhoto = {
  ...adamW,
  prior: 'none',
  rareIdentifier: false,
  instancePrompt: 'a photo of {subject}',
  trainTextEncoder: false,
  batchSize: 1,
  gradientAccumulationSteps: 1,
  learningRateSchedule: 'constant',
  centerCrop: false,
  flip: false,
  snrGamma: 0,
  drawSteps: 100,
  drawGuidanceScale: 7.5,
};

test.each([
  [
    'paper',
    {
      ...adamW,
      kind: 'full',
      steps: 1000,
      learningRate: 5e-6,
      prior: 'images',
      priorLossWeight: 1,
      classImages: 1000,
      rareIdentifier: true,
      instancePrompt: 'a {subject}',
      classPrompt: 'a {class}',
    },
  ],
  [
    'dreambench-plus-sd15',
    {
      ...onePhoto,
      kind: 'full',
      resolution: 512,
      steps: 250,
      learningRate: 2.5e-6,
      weightDecay: 1e-2,
      drawScheduler: 'pndm',
    },
  ],
  [
    'dreambench-plus-sdxl-lora',
    {
      ...onePhoto,
      kind: 'lora',
      rank: 4,
      alpha: 4,
      targetModules: expect.arrayContaining(['to_q', 'to_k', 'to_v', 'to_out.0']),
      resolution: 1024,
      steps: 500,
      learningRate: 5e-5,
      weightDecay: 1e-4,
      sizeConditioning: 'constant',
      drawScheduler: 'euler',
    },
  ],
  [
    'sdxl-lora',
    {
      ...adamW,
      kind: 'lora',
      rank: 4,
      steps: 500,
      learningRate: 1e-4,
      gradientAccumulationSteps: 4,
      batchSize: 1,
      weightDecay: 1e-4,
      textEncoderWeightDecay: 1e-3,
      sizeConditioning: 'photo',
    },
  ],
  ['sd15-lora', { ...adamW, kind: 'lora', rank: 4, steps: 500, learningRate: 1e-4, weightDecay: 1e-2 }],
] as const)('%s', (name, numbers) => {
  expect(effectiveSettings(name, {})).toMatchObject(numbers);
});

describe('a preset', () => {
  test.each(presetNames)(
    '%s cites its source, and every value of it is a setting that may be given',
    (name) => {
      expect(presets[name].source.length).toBeGreaterThan(20);
      const { settings } = presets[name];
      expect(checkSettings({ ...settings })).toEqual(settings);
      for (const key of Object.keys(settings)) expect(settingNames).toContain(key);
    },
  );

  test('is changed value by value; a rank keeps the strength', () => {
    const changed = effectiveSettings('dreambench-plus-sdxl-lora', { rank: 16, prior: 'adapter-off' });
    expect(changed).toMatchObject({ rank: 16, alpha: 16, prior: 'adapter-off', steps: 500 });
    expect(effectiveSettings('sd15-lora', { rank: 16, alpha: 1 }).alpha).toBe(1);
  });

  test.each([
    ['sd15-lroa', 'sd15-lora'],
    ['dreambench-plus-sdxl', 'dreambench-plus-sdxl-lora'],
    ['Papre', 'paper'],
    ['sd15_lora', 'sd15-lora'],
  ])('misspelt as %s is answered with the nearest', (typed, meant) => {
    const check = () => checkSettings({ preset: typed });
    expect(check).toThrow(InvalidOptionError);
    expect(check).toThrow(`preset is "${typed}": did you mean "${meant}"? There are sd15-lora, sdxl-lora`);
  });

  test('that is like none is answered with all', () => {
    expect(() => checkSettings({ rank: 0 })).toThrow('rank is 0: give a whole number from 1 to');
    expect(() => checkSettings({ learningRate: 'fast' })).toThrow('give a number above 0');
    expect(() => checkSettings({ resolution: 1e6 })).toThrow('give a whole number from 1 to 4096 or null');
    expect(() => checkSettings({ samplePrompts: [] })).toThrow('give a list of 1 to 20 of text');
    expect(() => checkSettings({ preset: 'fast' })).toThrow(`choose one of ${presetNames.join(', ')}`);
    expect(() => checkSettings({ drawScheduler: 'eulr' })).toThrow('did you mean "euler"?');
  });
});
