/** What a personalisation can be told about its training: one list, for the SDK, `--set` and other hosts. */
import { z } from 'zod';
import { InvalidOptionError } from '../errors';
import { type LearningRateScheduleName, learningRateScheduleNames } from '../optimizers/learning-rate';
import { type SchedulerName, schedulerNames } from '../schedulers/index';
import { likelyMeant, nearestFirst } from '../subjects/subject-name';
import type { SettingValue } from '../subjects/subjects';
import { type PresetName, presetNames } from '../training/presets';
import { valueWords } from './value-words';

const count = z.number().int().min(1);
const rate = z.number().positive().max(1);
const scheduler = z.enum(schedulerNames as [SchedulerName, ...SchedulerName[]]);
const choose = <const T extends readonly [string, ...string[]]>(names: T) => z.enum(names);

export const priorKinds = ['images', 'adapter-off', 'none'] as const;
export type PriorKind = (typeof priorKinds)[number];
const maskKinds = ['none', 'file', 'alpha'] as const;

/** Every setting is optional; what is not given comes from the preset, and the preset from the base model. */
export const personalizationSettings = z.strictObject({
  preset: z.enum(presetNames as [PresetName, ...PresetName[]]).describe('a named set of the settings below'),
  kind: choose(['lora', 'full', 'embedding']).describe(
    'train a LoRA, every weight, or the vectors of one new word (textual inversion)',
  ),
  vectors: count.max(75).describe('vectors of an embedding'),
  steps: count.max(1_000_000).describe('optimiser steps'),
  prior: choose(priorKinds).describe(
    'what keeps the class: class images, the model without its LoRA, nothing',
  ),
  priorLossWeight: z.number().min(0).max(100).describe('weight of the prior term'),
  classImages: count.max(10_000).describe('class images that the frozen base draws first'),
  classGuidanceScale: z.number().min(1).max(100).describe('guidance of the class images'),
  rareIdentifier: z.boolean().describe('name the subject by a rare word before its class'),
  instancePrompt: z.string().min(1).describe('prompt of the photos, as "a photo of {subject}"'),
  promptTemplates: z
    .array(z.string().min(1))
    .max(1000)
    .describe('prompts of which a photo gets one at random each time, in place of instancePrompt'),
  classPrompt: z.string().min(1).describe('prompt of the class images, as "a photo of {class}"'),
  classPromptTemplates: z
    .array(z.string().min(1))
    .max(1000)
    .describe('prompts that share the class images evenly, in place of classPrompt'),
  rank: count.max(1024).describe('rank of the LoRA'),
  alpha: z.number().positive().describe('the LoRA is scaled by alpha / rank'),
  targetModules: z
    .array(z.string().min(1))
    .min(1)
    .describe('ends of the names of the layers that get a LoRA'),
  trainTextEncoder: z.boolean().describe('train the text encoder too'),
  clipSkip: z.number().int().min(0).max(100).describe('last layers of the text encoder that are skipped'),
  learningRate: rate.describe('of the UNet'),
  textEncoderLearningRate: rate.describe('of the text encoder'),
  learningRateSchedule: z
    .enum(learningRateScheduleNames as [LearningRateScheduleName, ...LearningRateScheduleName[]])
    .describe('how the rate changes'),
  warmupSteps: z.number().int().min(0).describe('steps over which the rate rises from 0'),
  learningRateCycles: count.max(10_000).describe('how often the rate of cosine_with_restarts falls'),
  learningRatePower: z.number().positive().describe('exponent of the polynomial schedule'),
  learningRateEnd: z.number().min(0).max(1).describe('rate at which the polynomial schedule ends'),
  learningRateRules: z
    .string()
    .describe('of piecewise_constant: factors and the steps they last to, as 1:100,0.1:200,0.01'),
  batchSize: count.max(256).describe('photos in one forward pass'),
  gradientAccumulationSteps: count.max(10_000).describe('forward passes in one optimiser step'),
  maxGradientNorm: z.number().min(0).describe('longer gradients are scaled down to this; 0: they are not'),
  weightDecay: z.number().min(0).max(1).describe('of AdamW'),
  textEncoderWeightDecay: z.number().min(0).max(1).describe('of AdamW, for the text encoder'),
  adamBeta1: z.number().min(0).lt(1).describe('decay of the mean gradient'),
  adamBeta2: z.number().min(0).lt(1).describe('decay of the mean squared gradient'),
  adamEpsilon: z.number().positive().describe('keeps AdamW from dividing by 0'),
  snrGamma: z.number().min(0).describe('min-SNR weighting; 5 is usual, 0 is none'),
  zeroTerminalSnr: z.boolean().describe('noise up to noise alone; for bases that predict velocity'),
  noiseOffset: z.number().min(0).max(1).describe('shifts the noise of whole channels; 0.05 to 0.1 is usual'),
  captionDropout: z.number().min(0).max(1).describe('share of the photos shown without a prompt'),
  emaDecay: z
    .number()
    .min(0)
    .lt(1)
    .describe(
      'keeps the average of the weights over the steps, with this decay at most; 0: the last weights',
    ),
  emaWarmup: z.boolean().describe('for long runs: the average follows ever more slowly'),
  emaUpdateAfter: z.number().int().min(0).describe('steps before the average begins'),
  resolution: count
    .max(4096)
    .nullable()
    .describe('photos are cut to squares of so many pixels; null: what the base is made for'),
  captions: z.boolean().describe('use texts beside the photos as their prompts'),
  masks: choose(maskKinds).describe(
    'which parts of a photo count: all, as NAME-masklabel.png beside it says, or by its transparency',
  ),
  unmaskedWeight: z.number().min(0).max(1).describe('how much the parts outside a mask count'),
  aspectBuckets: z.boolean().describe('cut photos to the size nearest to their shape, not to squares'),
  centerCrop: z.boolean().describe('cut the middle, not a random part'),
  flip: z.boolean().describe('mirror photos at random'),
  sizeConditioning: choose(['photo', 'constant']).describe(
    'what SDXL is told of sizes: of each photo, or that all are whole',
  ),
  checkpointEvery: count.describe('steps between checkpoints'),
  sampleEvery: z.number().int().min(0).describe('steps between sample pictures; 0: none'),
  keep: choose(['last', 'every', 'best']).describe(
    'the last weights alone, also those of every sample, or those of the best sample',
  ),
  stopWhen: choose(['steps', 'good']).describe('make all steps, or end when the samples grow no better'),
  encoders: z
    .array(z.string().min(1))
    .max(4)
    .describe('what tells how good samples are, as clip=PATH,dino=PATH'),
  samplePrompts: z
    .array(z.string().min(1))
    .min(1)
    .max(20)
    .describe('what the samples show, as "a {subject}"'),
  sampleSteps: count.max(1000).nullable().describe('sampling steps of the samples'),
  drawSteps: count.max(1000).nullable().describe('steps when the subject is drawn and nothing else is said'),
  drawGuidanceScale: z.number().min(0).max(100).nullable().describe('likewise, guidance'),
  drawScheduler: scheduler.nullable().describe('likewise, the sampler'),
});

export type PersonalizationSettings = {
  readonly [Name in keyof z.infer<typeof personalizationSettings>]?: z.infer<
    typeof personalizationSettings
  >[Name];
};
export type PersonalizationSettingName = keyof PersonalizationSettings;

export const settingNames = Object.keys(
  personalizationSettings.shape,
) as readonly PersonalizationSettingName[];

/**
 * Checks settings of unknown origin. Throws InvalidOptionError naming the setting, what was found, what is wanted,
 * and for an unknown name the likeliest of those there are, the caller's own `options` among them.
 */
export function checkSettings(
  settings: Readonly<Record<string, unknown>>,
  options: readonly string[] = [],
): PersonalizationSettings {
  const known: Record<string, SettingValue> = {};
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(personalizationSettings.shape, name)) {
      const names = [...options, ...settingNames];
      const meant = likelyMeant(name, names);
      const hint =
        meant === undefined
          ? `The nearest are ${nearestFirst(name, names).slice(0, 3).join(', ')}; README lists all.`
          : `Did you mean "${meant}"?`;
      const what = options.length > 0 ? 'option or training setting' : 'training setting';
      throw new InvalidOptionError(name, `There is no ${what} "${name}". ${hint}`);
    }
    const schema = personalizationSettings.shape[name as PersonalizationSettingName];
    const isText = schema instanceof z.ZodArray && typeof value === 'string';
    // A prompt may have commas.
    const list = isText
      ? name === 'samplePrompts' || name === 'promptTemplates' || name === 'classPromptTemplates'
        ? [value]
        : value.split(',')
      : value;
    const parsed = schema.safeParse(list);
    if (!parsed.success) {
      const reason = suggestion(value, optionsOf(schema)) ?? `give ${valueWords(schema)}`;
      throw new InvalidOptionError(name, `${name} is ${JSON.stringify(value)}: ${reason}.`);
    }
    known[name] = parsed.data as SettingValue;
  }
  return known as PersonalizationSettings;
}

/** What a setting that is one of several words may be. */
function optionsOf(schema: z.ZodType): readonly string[] {
  if (schema instanceof z.ZodNullable) return optionsOf(schema.unwrap() as z.ZodType);
  return schema instanceof z.ZodEnum ? schema.options.map(String) : [];
}

function suggestion(value: unknown, options: readonly string[]): string | undefined {
  if (options.length === 0) return undefined;
  const meant = typeof value === 'string' ? likelyMeant(value, options) : undefined;
  const choice = `choose one of ${options.join(', ')}`;
  return meant === undefined ? choice : `did you mean "${meant}"? There are ${options.join(', ')}`;
}
