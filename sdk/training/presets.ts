/** Training recipes as data: what a subject is learned with, where the caller says nothing else. */
import { InvalidOptionError } from '../errors';
import { textEncoderAttention, unetAttention } from '../lora/lora';
import type { LearningRateScheduleName } from '../optimizers/learning-rate';

/** Everything that decides a training run beside the photos, the class and the seed. */
export interface TrainingSettings {
  readonly kind: 'lora' | 'full';
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
  readonly maxGradientNorm: number;
  readonly weightDecay: number;
  readonly adamBeta1: number;
  readonly adamBeta2: number;
  readonly adamEpsilon: number;
  /** Min-SNR weighting of the instance loss (Hang et al. 2023); 0: none. */
  readonly snrGamma: number;
  readonly centerCrop: boolean;
  readonly flip: boolean;
  readonly checkpointEvery: number;
}

/** diffusers' DreamBooth LoRA script for Stable Diffusion 1.5, with the paper's prior preservation. */
const sd15Lora: TrainingSettings = {
  kind: 'lora',
  steps: 500,
  prior: 'images',
  priorLossWeight: 1,
  classImages: 100,
  classGuidanceScale: 7.5,
  rank: 4,
  alpha: 4,
  targetModules: [...unetAttention, ...textEncoderAttention],
  trainTextEncoder: false,
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
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  snrGamma: 0,
  centerCrop: false,
  flip: false,
  checkpointEvery: 100,
};

export const presets = {
  'sd15-lora': {
    source:
      'diffusers, train_dreambooth_lora.py and its README (rank 4, 1e-4, 500 steps); class images after the paper',
    settings: sd15Lora,
  },
  paper: {
    source: 'Ruiz et al. 2023, §4 (Stable Diffusion: 5e-6, λ 1, about 1000 steps, about 1000 class images)',
    settings: {
      ...sd15Lora,
      kind: 'full',
      steps: 1000,
      learningRate: 5e-6,
      textEncoderLearningRate: 5e-6,
      classImages: 1000,
    },
  },
  toybox: {
    source:
      'measured on two development subjects of the embedded world: dreambooth evaluate toybox --development',
    settings: {
      ...sd15Lora,
      steps: 700,
      classImages: 200,
      classGuidanceScale: 1.5,
      rank: 16,
      alpha: 16,
      targetModules: ['*'],
      trainTextEncoder: true,
      learningRate: 1e-3,
      // Learned as fast as the UNet, the text encoder writes the subject into the sentence as a whole, and another
      // sentence ("… wearing a red hat") loses it.
      textEncoderLearningRate: 3e-4,
      learningRateSchedule: 'cosine',
      batchSize: 4,
      centerCrop: true,
    },
  },
} as const satisfies Readonly<Record<string, { source: string; settings: TrainingSettings }>>;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as readonly PresetName[];

/** The settings of `preset` with `given` over them. Throws InvalidOptionError for an unknown preset. */
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
  return { ...settings, ...defined, alpha };
}
