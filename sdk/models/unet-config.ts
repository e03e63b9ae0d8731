/** What a UNet2DConditionModel's config.json says of its network. */
import type { Activation } from '../nn/layers';
import type { Sinusoid } from '../nn/time-embedding';
import { type ModelConfig, type ModelConfigReader, readModelConfig } from './config';

/** How the transformers of one place attend. */
export interface AttentionPlace {
  readonly heads: number;
  /** Whether both attentions of a transformer block look at the text, none at the picture. */
  readonly textOnly: boolean;
}

export interface UNetBlock extends AttentionPlace {
  readonly channels: number;
  /** Of each layer: how many blocks its transformer has. */
  readonly transformerLayers: readonly number[];
  readonly attends: boolean;
}

export interface UNetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** The latents' usual side. */
  readonly sampleSize: number;
  /** Features of the text embeddings. */
  readonly crossAttentionDim: number;
  /** From the largest pictures to the smallest. */
  readonly blockChannels: readonly number[];
  readonly down: readonly UNetBlock[];
  readonly up: readonly UNetBlock[];
  /** Absent in distilled models without a middle block; some have one without attention. */
  readonly mid?: {
    readonly channels: number;
    readonly attention?: AttentionPlace & { readonly layers: number };
    /** What the sum at the end of its residual blocks is divided by. */
    readonly outputScale: number;
  };
  readonly groups: number;
  readonly epsilon: number;
  readonly activation: Activation;
  readonly linearProjection: boolean;
  readonly time: Sinusoid;
  readonly timeEmbeddingDim: number;
  /** Applied to the timestep's embedding before anything is added to it. */
  readonly timePostActivation?: Activation;
  /** Applied to the whole time embedding. */
  readonly timeActivation?: Activation;
  /** Whether the time scales a residual block's features, beside shifting them. */
  readonly timeScalesToo: boolean;
  /** A further condition added to the time embedding: a guidance scale's embedding of this many features. */
  readonly timeCondDim?: number;
  /** SDXL's sizes and pooled text: each of six numbers is embedded in `features`, `input` features in all. */
  readonly addition?: { readonly features: number; readonly input: number };
  /** Whether samples in [0, 1] are first brought to [−1, 1]. */
  readonly centersInput: boolean;
  /** Sides of the first and the last convolution's windows. */
  readonly inKernel: number;
  readonly outKernel: number;
  /** [top, left, bottom, right] */
  readonly downsamplePadding: readonly [number, number, number, number];
}

const attending = 'UNetMidBlock2DCrossAttn';
const activationNames = ['silu', 'swish', 'gelu', 'relu'] as const;

/** Throws UnsupportedConfigError for a key or value that would change the result and is not implemented. */
export function readUNetConfig(config: ModelConfig): UNetConfig {
  const read = readModelConfig('unet', config);
  const blockChannels = read.numbers('block_out_channels');
  const groups = read.number('norm_num_groups', 32);
  if (blockChannels.some((channels) => channels % groups !== 0))
    read.refuse('norm_num_groups', [`a divisor of each of block_out_channels, ${blockChannels.join(', ')}`]);
  const { down, up } = readBlocks(read, config, blockChannels);

  const sides = config['sample_size'];
  const sampleSize = Array.isArray(sides)
    ? read.perBlock('sample_size', 2)[0]!
    : read.optionalNumber('sample_size');
  const timeCondDim = read.optionalNumber('time_cond_proj_dim');
  const timePostActivation = read.optionalChoice('timestep_post_act', activationNames);
  const timeActivation = read.optionalChoice('time_embedding_act_fn', activationNames);
  const parsed: UNetConfig = {
    inChannels: read.number('in_channels', 4),
    outChannels: read.number('out_channels', 4),
    sampleSize: sampleSize ?? 64,
    crossAttentionDim: crossAttentionDim(read, config, { down, up }),
    blockChannels,
    down,
    up,
    ...readMiddle(read, config, down.at(-1)!),
    groups,
    epsilon: read.number('norm_eps', 1e-5),
    activation: read.choice('act_fn', activationNames, 'silu'),
    linearProjection: read.flag('use_linear_projection', false),
    time: {
      features: blockChannels[0]!,
      flipSinToCos: read.flag('flip_sin_to_cos', true),
      frequencyShift: read.number('freq_shift', 0),
    },
    timeEmbeddingDim: read.optionalNumber('time_embedding_dim') ?? blockChannels[0]! * 4,
    ...(timePostActivation ? { timePostActivation } : {}),
    ...(timeActivation ? { timeActivation } : {}),
    timeScalesToo:
      read.choice('resnet_time_scale_shift', ['default', 'scale_shift'], 'default') !== 'default',
    ...(timeCondDim === undefined ? {} : { timeCondDim }),
    ...readAddition(read, config),
    centersInput: read.flag('center_input_sample', false),
    inKernel: read.number('conv_in_kernel', 3),
    outKernel: read.number('conv_out_kernel', 3),
    // Without padding on both sides, diffusers pads below and to the right.
    downsamplePadding: read.choice('downsample_padding', [0, 1], 1) === 0 ? [0, 0, 1, 1] : [1, 1, 1, 1],
  };
  read.only('attention_type', 'default');
  read.only('time_embedding_type', 'positional');
  // diffusers itself refuses to take it, the name having meant two things.
  read.only('num_attention_heads');
  for (const key of ['class_embed_type', 'encoder_hid_dim_type', 'num_class_embeds', 'encoder_hid_dim'])
    read.only(key);
  read.ignore(
    'dropout',
    'addition_embed_type_num_heads',
    // A precision hint for half types; our scores are float32.
    'upcast_attention',
    // Read by other kinds of block alone.
    'resnet_out_scale_factor',
    'resnet_skip_time_act',
    'mid_block_only_cross_attention',
    'cross_attention_norm',
  );
  read.close();
  return parsed;
}

function readBlocks(read: ModelConfigReader, config: ModelConfig, blockChannels: readonly number[]) {
  const count = blockChannels.length;
  const downTypes = read.names('down_block_types', ['DownBlock2D', 'CrossAttnDownBlock2D'], count);
  const upTypes = read.names('up_block_types', ['UpBlock2D', 'CrossAttnUpBlock2D'], count);
  const layers = read.perBlock('layers_per_block', count, 2);
  // Under this name the configs keep the number of heads.
  const heads = read.perBlock('attention_head_dim', count, 8);
  const textOnly = read.flagPerBlock('only_cross_attention', count, false);
  const depths = read.perLayer('transformer_layers_per_block', layers, 1);
  const upLayers = layers.toReversed().map((number) => number + 1);
  const mirrored = 'reverse_transformer_layers_per_block';
  const nested = [config['transformer_layers_per_block'] ?? []].flat().some(Array.isArray);
  if (nested && config[mirrored] == null)
    read.refuse(mirrored, ['a list for the way up, since the way down has one a layer']);
  const upDepths =
    config[mirrored] == null
      ? depths.toReversed().map((block, i) => new Array<number>(upLayers[i]!).fill(block[0]!))
      : read.perLayer(mirrored, upLayers);

  const down = blockChannels.map(
    (channels, i): UNetBlock => ({
      channels,
      heads: heads[i]!,
      transformerLayers: depths[i]!,
      attends: downTypes[i] === 'CrossAttnDownBlock2D',
      textOnly: textOnly[i]!,
    }),
  );
  const up = down.toReversed().map(
    (block, i): UNetBlock => ({
      ...block,
      transformerLayers: upDepths[i]!,
      attends: upTypes[i] === 'CrossAttnUpBlock2D',
    }),
  );
  return { down, up };
}

function readMiddle(read: ModelConfigReader, config: ModelConfig, last: UNetBlock): Pick<UNetConfig, 'mid'> {
  const outputScale = read.number('mid_block_scale_factor', 1);
  if (config['mid_block_type'] === null) return {};
  const type = read.choice('mid_block_type', [attending, 'UNetMidBlock2D'], attending);
  const attention = { heads: last.heads, layers: last.transformerLayers[0]!, textOnly: false };
  return {
    mid: { channels: last.channels, outputScale, ...(type === attending ? { attention } : {}) },
  };
}

/** Of a list only the blocks that attend count, and all of them see the same text. */
function crossAttentionDim(
  read: ModelConfigReader,
  config: ModelConfig,
  { down, up }: Pick<UNetConfig, 'down' | 'up'>,
): number {
  const each = read.perBlock('cross_attention_dim', down.length, 1280);
  const last = down.length - 1;
  const middle = config['mid_block_type'] === undefined || config['mid_block_type'] === attending;
  const used = each.filter((_, i) => down[i]!.attends || up[last - i]!.attends || (middle && i === last));
  if (new Set(used).size > 1)
    read.refuse('cross_attention_dim', ['one number for all blocks that attend to the text']);
  return used[0] ?? each[0]!;
}

function readAddition(read: ModelConfigReader, config: ModelConfig): Pick<UNetConfig, 'addition'> {
  read.only('addition_embed_type', 'text_time');
  const features = read.optionalNumber('addition_time_embed_dim');
  const input = read.optionalNumber('projection_class_embeddings_input_dim');
  if (config['addition_embed_type'] == null) return {};
  return {
    addition: {
      features: features ?? read.refuse('addition_time_embed_dim', ['a number']),
      input: input ?? read.refuse('projection_class_embeddings_input_dim', ['a number']),
    },
  };
}
