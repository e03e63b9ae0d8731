/** What is timed: two UNets, each in a training step and in a sampling run. */

export interface BenchCase {
  readonly name: string;
  readonly title: string;
  /** `unet-35m` or `toybox`: which checkpoint. */
  readonly model: 'unet-35m' | 'toybox';
  readonly kind: 'training' | 'sampling';
  /** Of a training step. LoRA of the attention, rank 4, or every weight of the UNet. */
  readonly trained?: 'lora' | 'full';
  /** Pictures of a training step; of a sampling run, each with and without the prompt. */
  readonly batch: number;
  /** Height and width of the latents. */
  readonly size: readonly [number, number];
  /** Timed: training steps, or denoising steps of one run. */
  readonly steps: number;
}

export const cases: readonly BenchCase[] = [
  {
    name: 'train-35m',
    title: 'training step, UNet of 35 M, LoRA r4, batch 2, 32×32',
    model: 'unet-35m',
    kind: 'training',
    trained: 'lora',
    batch: 2,
    size: [32, 32],
    steps: 12,
  },
  {
    name: 'sample-35m',
    title: 'denoising step with guidance, UNet of 35 M, 32×32',
    model: 'unet-35m',
    kind: 'sampling',
    batch: 1,
    size: [32, 32],
    steps: 20,
  },
  {
    name: 'train-toybox',
    title: 'training step, Toybox UNet, all weights, batch 8, 8×8',
    model: 'toybox',
    kind: 'training',
    trained: 'full',
    batch: 8,
    size: [8, 8],
    steps: 40,
  },
  {
    name: 'sample-toybox',
    title: 'denoising step with guidance, Toybox UNet, 8×8',
    model: 'toybox',
    kind: 'sampling',
    batch: 1,
    size: [8, 8],
    steps: 50,
  },
];

export const rank = 4;
export const learningRate = 1e-4;

/** Channels of published models, halved and more, so that a step fits a benchmark: 35 M weights. */
export const unet35m = {
  _class_name: 'UNet2DConditionModel',
  act_fn: 'silu',
  attention_head_dim: 8,
  block_out_channels: [64, 128, 256, 256],
  center_input_sample: false,
  cross_attention_dim: 768,
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
  mid_block_type: 'UNetMidBlock2DCrossAttn',
  downsample_padding: 1,
  flip_sin_to_cos: true,
  freq_shift: 0,
  in_channels: 4,
  out_channels: 4,
  layers_per_block: 2,
  norm_eps: 1e-5,
  norm_num_groups: 32,
  sample_size: 32,
} as const;

/** The embedded model's, where its weights are not at hand. */
export const toyboxUNet = {
  ...unet35m,
  attention_head_dim: 4,
  block_out_channels: [64, 128],
  cross_attention_dim: 96,
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
  in_channels: 16,
  out_channels: 16,
  layers_per_block: 1,
  norm_num_groups: 8,
  sample_size: 8,
  use_linear_projection: true,
} as const;

export const schedulerConfig = {
  _class_name: 'DDIMScheduler',
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  num_train_timesteps: 1000,
  prediction_type: 'epsilon',
  clip_sample: false,
  set_alpha_to_one: false,
  steps_offset: 1,
  timestep_spacing: 'leading',
} as const;
