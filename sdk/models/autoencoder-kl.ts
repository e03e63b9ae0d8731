/** AutoencoderKL: pictures to latents and back (Rombach et al. 2022, §3.1). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { attention } from '../nn/attention';
import { conv2d, groupNorm, linear, silu } from '../nn/layers';
import type { Weights } from '../nn/weights';
import { type ModelConfig, readModelConfig } from './config';
import { downsample, resnetBlock, upsample } from './unet-blocks';

export interface AutoencoderConfig {
  readonly pictureChannels: number;
  readonly latentChannels: number;
  readonly blockChannels: readonly number[];
  readonly layers: number;
  readonly groups: number;
  readonly midAttention: boolean;
  readonly quantConv: boolean;
  readonly postQuantConv: boolean;
  /** Latents as the UNet sees them: z · scale, or by channel (z − mean) · scale / std. */
  readonly scalingFactor: number;
  readonly latentsMean?: readonly number[];
  readonly latentsStd?: readonly number[];
  /** The side of the pictures it was made for, in pixels. */
  readonly sampleSize: number;
  /** Pixels a latent: 8 with four blocks. */
  readonly factor: number;
}

/** Throws UnsupportedConfigError for a key or value that would change the result and is not implemented. */
export function readAutoencoderConfig(config: ModelConfig): AutoencoderConfig {
  const read = readModelConfig('vae', config);
  read.only('act_fn', 'silu');
  // A precision hint for half types, and what diffusers' pipelines of these lines do not look at (those of Stable
  // Diffusion 3 and FLUX do).
  read.ignore('force_upcast', 'shift_factor');
  const blockChannels = read.numbers('block_out_channels');
  read.names('down_block_types', ['DownEncoderBlock2D'], blockChannels.length);
  read.names('up_block_types', ['UpDecoderBlock2D'], blockChannels.length);
  const pictureChannels = read.number('in_channels', 3);
  read.only('out_channels', pictureChannels);
  const latentChannels = read.number('latent_channels', 4);
  const mean = read.optionalNumbers('latents_mean', latentChannels);
  const std = read.optionalNumbers('latents_std', latentChannels);
  const parsed: AutoencoderConfig = {
    pictureChannels,
    latentChannels,
    blockChannels,
    layers: read.number('layers_per_block', 1),
    groups: read.number('norm_num_groups', 32),
    midAttention: read.flag('mid_block_add_attention', true),
    quantConv: read.flag('use_quant_conv', true),
    postQuantConv: read.flag('use_post_quant_conv', true),
    scalingFactor: read.number('scaling_factor', 0.18215),
    ...(mean && std ? { latentsMean: mean, latentsStd: std } : {}),
    sampleSize: read.number('sample_size', 32),
    factor: 2 ** (blockChannels.length - 1),
  };
  read.close();
  return parsed;
}

const epsilon = 1e-6;

/** Pictures [N, 3, H, W] in [−1, 1] to the distribution of their latents: mean and log variance, unscaled. */
export function encodePicture(
  w: Weights,
  config: AutoencoderConfig,
  picture: Value,
): { mean: Value; logvar: Value } {
  const at = w.at('encoder');
  const { groups, latentChannels } = config;
  let x = conv2d(at.at('conv_in'), picture, { out: config.blockChannels[0]!, kernel: 3, padding: 1 });
  config.blockChannels.forEach((out, i) => {
    const block = at.at('down_blocks').at(i);
    for (let j = 0; j < config.layers; j++)
      x = resnetBlock(block.at('resnets').at(j), x, { out, groups, epsilon, activate: silu });
    if (i < config.blockChannels.length - 1) x = downsample(block.at('downsamplers').at(0), x, [0, 0, 1, 1]);
  });
  x = midBlock(at.at('mid_block'), config, x);
  x = silu(groupNorm(at.at('conv_norm_out'), x, { groups, epsilon }));
  x = conv2d(at.at('conv_out'), x, { out: 2 * latentChannels, kernel: 3, padding: 1 });
  if (config.quantConv) x = conv2d(w.at('quant_conv'), x, { out: 2 * latentChannels, kernel: 1 });
  const [mean, logvar] = op.Split(x, { split: [latentChannels, latentChannels], axis: 1 }) as [Value, Value];
  return { mean, logvar };
}

/** Unscaled latents [N, latent channels, h, w] to pictures [N, 3, H, W] in about [−1, 1]. */
export function decodeLatents(w: Weights, config: AutoencoderConfig, latents: Value): Value {
  const at = w.at('decoder');
  const { groups } = config;
  const blocks = config.blockChannels.toReversed();
  let x = config.postQuantConv
    ? conv2d(w.at('post_quant_conv'), latents, { out: config.latentChannels, kernel: 1 })
    : latents;
  x = conv2d(at.at('conv_in'), x, { out: blocks[0]!, kernel: 3, padding: 1 });
  x = midBlock(at.at('mid_block'), config, x);
  blocks.forEach((out, i) => {
    const block = at.at('up_blocks').at(i);
    for (let j = 0; j <= config.layers; j++)
      x = resnetBlock(block.at('resnets').at(j), x, { out, groups, epsilon, activate: silu });
    if (i < blocks.length - 1) {
      x = upsample(block.at('upsamplers').at(0), x, [x.shape[2]! * 2, x.shape[3]! * 2]);
    }
  });
  x = silu(groupNorm(at.at('conv_norm_out'), x, { groups, epsilon }));
  return conv2d(at.at('conv_out'), x, { out: config.pictureChannels, kernel: 3, padding: 1 });
}

function midBlock(w: Weights, config: AutoencoderConfig, x: Value): Value {
  const options = { out: x.shape[1]!, groups: config.groups, epsilon, activate: silu };
  let h = resnetBlock(w.at('resnets').at(0), x, options);
  if (config.midAttention) h = pixelAttention(w.at('attentions').at(0), h, config.groups);
  return resnetBlock(w.at('resnets').at(1), h, options);
}

/** One head over all pixels, with biases and its own norm. */
function pixelAttention(w: Weights, x: Value, groups: number): Value {
  const [n, out, height, width] = x.shape as [number, number, number, number];
  const normalized = groupNorm(w.at('group_norm'), x, { groups, epsilon });
  const tokens = op.Transpose(op.Reshape(normalized, { shape: [n, out, height * width] }), {
    perm: [0, 2, 1],
  });
  const [q, k, v] = ['to_q', 'to_k', 'to_v'].map((name) => linear(w.at(name), tokens, { out })) as [
    Value,
    Value,
    Value,
  ];
  const y = linear(w.at('to_out').at(0), attention(q, k, v, 1), { out });
  return op.Add(op.Reshape(op.Transpose(y, { perm: [0, 2, 1] }), { shape: x.shape }), x);
}
