/** Training recipes as data: what a subject is learned with, where the caller says nothing else. */
import { InvalidOptionError } from '../errors';
import { textEncoderAttention, unetAttention } from '../lora/lora';
import type { LearningRateScheduleName } from '../optimizers/learning-rate';
import type { SchedulerName } from '../schedulers/index';

/** Everything that decides a training run beside the photos, the class and the seed. */
export interface TrainingSettings {
  readonly kind: 'lora' | 'full' | 'embedding';
  /** How many vectors an embedding has. */
  readonly vectors: number;
  /** Whether a rare word before the class names the subject (the paper's [V]); without one the class alone does. */
  readonly rareIdentifier: boolean;
  /** Prompt of the photos: `{subject}` stands for identifier and class, `{class}` for the class. */
  readonly instancePrompt: string;
  /** Prompts of which each photo gets one at random each time, in place of `instancePrompt`; empty: that one. */
  readonly promptTemplates: readonly string[];
  /** Prompt of the class images; `{class}` as above. */
  readonly classPrompt: string;
  /** Prompts that share the class images evenly, in place of `classPrompt`; empty: that one. */
  readonly classPromptTemplates: readonly string[];
  /** Side of the squares that photos are cut to, in pixels; null: what the base is made for. */
  readonly resolution: number | null;
  readonly steps: number;
  readonly prior: 'images' | 'adapter-off' | 'none';
  /** λ of the paper's eq. 2. */
  readonly priorLossWeight: number;
  readonly classImages: number;
  /** Guidance of the class images; low keeps them as various as the class. */
  readonly classGuidanceScale: number;
  readonly rank: number;
  readonly alpha: number;
  /** Ends of the names of the layers that get a LoRA; `*` for all. */
  readonly targetModules: readonly string[];
  readonly trainTextEncoder: boolean;
  /** How many of the text encoders' last layers are skipped, as diffusers counts. */
  readonly clipSkip: number;
  readonly learningRate: number;
  readonly textEncoderLearningRate: number;
  readonly learningRateSchedule: LearningRateScheduleName;
  readonly warmupSteps: number;
  /** `cosine_with_restarts`: how often the rate falls. */
  readonly learningRateCycles: number;
  /** `polynomial`: exponent of the decay, and the rate at its end. */
  readonly learningRatePower: number;
  readonly learningRateEnd: number;
  /** `piecewise_constant`: factors and the steps they last to, as "1:100,0.1:200,0.01"; else not read. */
  readonly learningRateRules: string;
  readonly batchSize: number;
  readonly gradientAccumulationSteps: number;
  /** Longer gradients are scaled down to this; 0: they are not. */
  readonly maxGradientNorm: number;
  readonly weightDecay: number;
  readonly textEncoderWeightDecay: number;
  readonly adamBeta1: number;
  readonly adamBeta2: number;
  readonly adamEpsilon: number;
  /** Min-SNR weighting of the instance loss (Hang et al. 2023); 0: none. */
  readonly snrGamma: number;
  /** Noise that ends in noise alone (Lin et al. 2023); for bases that predict velocity. */
  readonly zeroTerminalSnr: boolean;
  /** Each channel's noise is shifted by so much of one more normal draw; 0: not. */
  readonly noiseOffset: number;
  /** Share of the photos that are shown without a prompt. */
  readonly captionDropout: number;
  /** Decay of the average of the weights over the updates, which is what is kept (diffusers' EMAModel); 0: none. */
  readonly emaDecay: number;
  readonly emaWarmup: boolean;
  readonly emaUpdateAfter: number;
  /** Texts beside the photos as their prompts. */
  readonly captions: boolean;
  /** What says which parts of a photo count: nothing, a picture beside it, its own transparency. */
  readonly masks: 'none' | 'file' | 'alpha';
  /** How much the parts outside a mask count, from 0 to 1. */
  readonly unmaskedWeight: number;
  /** Photos in sizes near their own shape instead of squares. */
  readonly aspectBuckets: boolean;
  readonly centerCrop: boolean;
  readonly flip: boolean;
  /** What SDXL is told of a photo's sizes: its own, or of every one that it is uncut and of the resolution. */
  readonly sizeConditioning: 'photo' | 'constant';
  readonly checkpointEvery: number;
  /** Steps between pictures of the subject as it is so far, drawn at the end, too; 0: none. */
  readonly sampleEvery: number;
  /** Which weights are kept: the last, with each sample those of its step, too, or those of the best sample alone. */
  readonly keep: 'last' | 'every' | 'best';
  /** Whether all steps are made, or the training ends when its samples grow no better. */
  readonly stopWhen: 'steps' | 'good';
  /** What tells how good samples are, as `clip=PATH`; the embedded base has its own. */
  readonly encoders: readonly string[];
  /** `{subject}` stands for the subject. */
  readonly samplePrompts: readonly string[];
  /** Null: what the base is usually drawn with. */
  readonly sampleSteps: number | null;
  /** How the subject is drawn where nothing else is said; null: as the base usually is. */
  readonly drawSteps: number | null;
  readonly drawGuidanceScale: number | null;
  readonly drawScheduler: SchedulerName | null;
}

/** A recipe and where it is from. */
export interface Preset {
  /** In a line. */
  readonly summary: string;
  readonly source: string;
  /** Where the recipe has one. */
  readonly seed?: number;
  /** It is made for a single photo. */
  readonly onePhoto?: true;
  readonly settings: TrainingSettings;
}

/** diffusers' DreamBooth LoRA script for Stable Diffusion 1.5, with the paper's prior preservation. */
const sd15Lora: TrainingSettings = {
  kind: 'lora',
  vectors: 1,
  rareIdentifier: true,
  instancePrompt: 'a photo of {subject}',
  promptTemplates: [],
  classPrompt: 'a photo of {class}',
  classPromptTemplates: [],
  resolution: null,
  steps: 500,
  prior: 'images',
  priorLossWeight: 1,
  classImages: 100,
  classGuidanceScale: 7.5,
  rank: 4,
  alpha: 4,
  targetModules: [...unetAttention, ...textEncoderAttention],
  trainTextEncoder: false,
  clipSkip: 0,
  learningRate: 1e-4,
  textEncoderLearningRate: 1e-4,
  learningRateSchedule: 'constant',
  warmupSteps: 0,
  learningRateCycles: 1,
  learningRatePower: 1,
  learningRateEnd: 1e-7,
  learningRateRules: '',
  batchSize: 1,
  gradientAccumulationSteps: 1,
  maxGradientNorm: 1,
  weightDecay: 1e-2,
  textEncoderWeightDecay: 1e-2,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  snrGamma: 0,
  zeroTerminalSnr: false,
  noiseOffset: 0,
  captionDropout: 0,
  emaDecay: 0,
  emaWarmup: false,
  emaUpdateAfter: 0,
  captions: true,
  masks: 'none',
  unmaskedWeight: 0.1,
  aspectBuckets: false,
  centerCrop: false,
  flip: false,
  sizeConditioning: 'photo',
  checkpointEvery: 100,
  sampleEvery: 0,
  keep: 'last',
  stopWhen: 'steps',
  encoders: [],
  samplePrompts: ['a photo of {subject}', 'a photo of {subject} in the snow'],
  sampleSteps: null,
  drawSteps: null,
  drawGuidanceScale: null,
  drawScheduler: null,
};

/** Ruiz et al.: "a [identifier] [class noun]", "a [class noun]". */
const paperPrompts = { instancePrompt: 'a {subject}', classPrompt: 'a {class}' };

/** What both baselines of DreamBench++ share: one photo, its caption's noun in place of an identifier, no prior. */
const dreamBenchPlus = {
  ...sd15Lora,
  rareIdentifier: false,
  prior: 'none',
  batchSize: 1,
  drawSteps: 100,
  drawGuidanceScale: 7.5,
} as const satisfies TrainingSettings;

/** Sentences of an embedding's training: its word in plain surroundings, so that it comes to mean the thing and nothing else. */
const plainSentences = [
  'a photo of {subject}',
  'a picture of {subject}',
  'a close-up of {subject}',
  'a good photo of {subject}',
  'a dark photo of {subject}',
  'a bright photo of {subject}',
  'a cropped photo of {subject}',
  'a photo of one {subject}',
  'a photo of the {subject}',
  'a photo of my {subject}',
  'a photo of a small {subject}',
  'a photo of a large {subject}',
  'a rendering of {subject}',
];

export const presets = {
  'sd15-lora': {
    summary: 'LoRA of rank 4 on the attention of the UNet, 500 steps at 1e-4, 100 class images',
    source:
      'diffusers, train_dreambooth_lora.py and its README (rank 4, 1e-4, 500 steps); class images after the paper',
    settings: sd15Lora,
  },
  'sdxl-lora': {
    summary: 'LoRA of rank 4 on the attention of the UNet, 500 steps of four photos at 1e-4, no prior',
    source:
      'diffusers, train_dreambooth_lora_sdxl.py and its README (rank 4, 1e-4, accumulation 4, 500 steps, weight decay 1e-4, no prior)',
    settings: {
      ...sd15Lora,
      prior: 'none',
      classGuidanceScale: 5,
      textEncoderLearningRate: 5e-6,
      gradientAccumulationSteps: 4,
      weightDecay: 1e-4,
      textEncoderWeightDecay: 1e-3,
    },
  },
  paper: {
    summary: 'every weight of the UNet, 1000 steps at 5e-6, λ 1, 1000 class images',
    source:
      'Ruiz et al. 2023, §3 and §4 (Stable Diffusion: 5e-6, λ 1, about 1000 steps, about 1000 class images); AdamW as in diffusers, train_dreambooth.py',
    settings: {
      ...sd15Lora,
      ...paperPrompts,
      kind: 'full',
      steps: 1000,
      learningRate: 5e-6,
      textEncoderLearningRate: 5e-6,
      classImages: 1000,
    },
  },
  'dreambench-plus-sd15': {
    summary: 'every weight of the UNet, 250 steps at 2.5e-6 on one photo, no identifier, no prior',
    source:
      'DreamBench++ (Peng et al. 2025), "DreamBooth SD v1.5": generate_models.py with train_dreambooth.py of diffusers 0.24; drawn with 100 steps of PNDM, guidance 7.5',
    seed: 42,
    onePhoto: true,
    settings: {
      ...dreamBenchPlus,
      kind: 'full',
      resolution: 512,
      steps: 250,
      learningRate: 2.5e-6,
      textEncoderLearningRate: 2.5e-6,
      drawScheduler: 'pndm',
    },
  },
  'dreambench-plus-sdxl-lora': {
    summary: 'LoRA of rank 4, 500 steps at 5e-5 on one photo, 1024 pixels, no identifier, no prior',
    source:
      'DreamBench++ (Peng et al. 2025), "DreamBooth LoRA SDXL v1.0": generate_models.py with train_dreambooth_lora_sdxl.py of diffusers 0.24 and the VAE madebyollin/sdxl-vae-fp16-fix (--vae); drawn with 100 steps of Euler, guidance 7.5, by the VAE of the base',
    seed: 42,
    onePhoto: true,
    settings: {
      ...dreamBenchPlus,
      resolution: 1024,
      steps: 500,
      learningRate: 5e-5,
      textEncoderLearningRate: 5e-5,
      weightDecay: 1e-4,
      textEncoderWeightDecay: 1e-4,
      sizeConditioning: 'constant',
      drawScheduler: 'euler',
    },
  },
  'textual-inversion': {
    summary: 'an embedding of one vector, 3000 steps at 5e-4, no prior; no network changes',
    source:
      'Gal et al. 2022 by diffusers, textual_inversion.py and its README (5e-4, 3000 steps, no clipping), with the batches of DreamBench++ (Peng et al. 2025); --scale_lr there multiplies the rate by batch size and accumulation, which here are 1',
    settings: {
      ...sd15Lora,
      kind: 'embedding',
      promptTemplates: plainSentences,
      steps: 3000,
      prior: 'none',
      learningRate: 5e-4,
      maxGradientNorm: 0,
      flip: true,
    },
  },
  toybox: {
    summary:
      'LoRA of rank 16 on every layer, text encoder included, 600 steps of four photos at 3e-3, 200 class images',
    source:
      'measured on two development subjects of the embedded world, two seeds each, photos captioned with where they were taken: dreambooth evaluate toybox --development',
    settings: {
      ...sd15Lora,
      ...paperPrompts,
      // What the subject never wore is forgotten, unless pictures of the class wear it.
      classPromptTemplates: [
        'a {class}',
        'a {class}',
        'a {class} wearing a red hat',
        'a {class} wearing a blue scarf',
      ],
      steps: 600,
      priorLossWeight: 0.5,
      classImages: 200,
      classGuidanceScale: 1.5,
      rank: 16,
      alpha: 16,
      targetModules: ['*'],
      trainTextEncoder: true,
      learningRate: 3e-3,
      // Learned as fast as the UNet, the text encoder writes the subject into the sentence as a whole, and another
      // sentence ("… wearing a red hat") loses it.
      textEncoderLearningRate: 3e-4,
      learningRateSchedule: 'cosine',
      batchSize: 4,
      centerCrop: true,
      flip: true,
      drawGuidanceScale: 5,
    },
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as readonly PresetName[];

/** The settings of `preset` with `given` over them, all written out. Throws InvalidOptionError for an unknown preset. */
export function effectiveSettings(preset: string, given: Partial<TrainingSettings>): TrainingSettings {
  const name = presetNames.find((one) => one === preset);
  if (!name) {
    throw new InvalidOptionError(
      'preset',
      `There is no preset "${preset}"; choose one of ${presetNames.join(', ')}.`,
    );
  }
  const { settings } = presets[name];
  // A rank without an alpha keeps the LoRA's strength.
  const alpha = given.alpha ?? given.rank ?? settings.alpha;
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  // A prompt that is given is the prompt.
  const templates = {
    ...(given.instancePrompt === undefined ? {} : { promptTemplates: [] }),
    ...(given.classPrompt === undefined ? {} : { classPromptTemplates: [] }),
  };
  return { ...settings, ...templates, ...defined, alpha };
}
