/** UNet2DConditionModel: predicts the noise in latents from a timestep and a text (Rombach et al. 2022, figure 3). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { conv2d, groupNorm, linear, silu } from '../nn/layers';
import { type Sinusoid, sinusoid, timestepEmbedding } from '../nn/time-embedding';
import type { Weights } from '../nn/weights';
import { type ModelConfig, readModelConfig } from './config';
import { downsample, resnetBlock, transformer2d, upsample } from './unet-blocks';

interface Block {
  readonly channels: number;
  readonly layers: number;
  readonly heads: number;
  readonly transformerLayers: number;
  readonly attends: boolean;
}

export interface UNetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** The latents' usual side. */
  readonly sampleSize: number;
  /** Features of the text embeddings. */
  readonly crossAttentionDim: number;
  readonly down: readonly Block[];
  readonly up: readonly Block[];
  /** Absent in distilled models without a middle block. */
  readonly mid?: Block;
  readonly groups: number;
  readonly epsilon: number;
  readonly linearProjection: boolean;
  readonly time: Sinusoid;
  readonly timeEmbeddingDim: number;
  /** A further condition added to the time embedding: a guidance scale's embedding of this many features. */
  readonly timeCondDim?: number;
  /** SDXL's sizes and pooled text: each of six numbers is embedded in `features`, `input` features in all. */
  readonly addition?: { readonly features: number; readonly input: number };
}

/** Throws UnsupportedConfigError for a key or value that would change the result and is not implemented. */
export function readUNetConfig(config: ModelConfig): UNetConfig {
  const read = readModelConfig('unet', config);
  const blockChannels = read.perBlock(
    'block_out_channels',
    (config['block_out_channels'] as unknown[])?.length ?? 0,
  );
  const count = blockChannels.length;
  const downTypes = read.names('down_block_types', ['DownBlock2D', 'CrossAttnDownBlock2D']);
  const upTypes = read.names('up_block_types', ['UpBlock2D', 'CrossAttnUpBlock2D']);
  const layers = read.perBlock('layers_per_block', count, 2);
  // Under this name the configs keep the number of heads; num_attention_heads overrides it where it is set.
  const headsKey = config['num_attention_heads'] == null ? 'attention_head_dim' : 'num_attention_heads';
  const heads = read.perBlock(headsKey, count, 8);
  const depths = read.perBlock('transformer_layers_per_block', count, 1);
  read.ignore('attention_head_dim', 'dropout', 'addition_embed_type_num_heads');
  // A precision hint for half types; our scores are float32.
  read.ignore('upcast_attention');

  const down = blockChannels.map(
    (channels, i): Block => ({
      channels,
      layers: layers[i]!,
      heads: heads[i]!,
      transformerLayers: depths[i]!,
      attends: downTypes[i] === 'CrossAttnDownBlock2D',
    }),
  );
  const up = down.toReversed().map(
    (block, i): Block => ({
      ...block,
      layers: block.layers + 1,
      attends: upTypes[i] === 'CrossAttnUpBlock2D',
    }),
  );
  const hasMid = config['mid_block_type'] !== null;
  read.only('mid_block_type', 'UNetMidBlock2DCrossAttn');
  const timeEmbeddingDim = read.optionalNumber('time_embedding_dim') ?? blockChannels[0]! * 4;
  const timeCondDim = read.optionalNumber('time_cond_proj_dim');
  read.only('addition_embed_type', 'text_time');
  const adds = config['addition_embed_type'] != null;
  const additionFeatures = read.optionalNumber('addition_time_embed_dim');
  const additionInput = read.optionalNumber('projection_class_embeddings_input_dim');

  const inChannels = read.number('in_channels', 4);
  const parsed: UNetConfig = {
    inChannels,
    outChannels: read.number('out_channels', 4),
    sampleSize: read.number('sample_size', 64),
    crossAttentionDim: read.number('cross_attention_dim', 1280),
    down,
    up,
    ...(hasMid ? { mid: { ...down.at(-1)!, attends: true } } : {}),
    groups: read.number('norm_num_groups', 32),
    epsilon: read.number('norm_eps', 1e-5),
    linearProjection: read.flag('use_linear_projection', false),
    time: {
      features: blockChannels[0]!,
      flipSinToCos: read.flag('flip_sin_to_cos', true),
      frequencyShift: read.number('freq_shift', 0),
    },
    timeEmbeddingDim,
    ...(timeCondDim === undefined ? {} : { timeCondDim }),
    ...(adds ? { addition: { features: additionFeatures ?? 0, input: additionInput ?? 0 } } : {}),
  };
  read.only('act_fn', 'silu', 'swish');
  read.only('attention_type', 'default');
  read.only('conv_in_kernel', 3);
  read.only('conv_out_kernel', 3);
  read.only('downsample_padding', 1);
  read.only('mid_block_scale_factor', 1);
  read.only('resnet_out_scale_factor', 1);
  read.only('resnet_time_scale_shift', 'default');
  read.only('time_embedding_type', 'positional');
  for (const key of ['class_embed_type', 'encoder_hid_dim_type', 'num_class_embeds', 'encoder_hid_dim'])
    read.only(key);
  read.close();
  return parsed;
}

export interface UNetInputs {
  /** Noisy latents, [N, in channels, height, width]. */
  readonly sample: Value;
  /** float32 [N], 0 … number of training timesteps. */
  readonly timesteps: Value;
  /** [N, tokens, crossAttentionDim] */
  readonly textEmbeddings: Value;
  /** [N, timeCondDim] where the config has one. */
  readonly timestepCond?: Value;
  /** Where the config has `addition`: the pooled text [N, features] and the six sizes [N, 6]. */
  readonly added?: { readonly textEmbeds: Value; readonly timeIds: Value };
}

/** The model's output, [N, out channels, height, width]: what the scheduler's prediction type says it is. */
export function unet(w: Weights, config: UNetConfig, inputs: UNetInputs): Value {
  const { groups, epsilon } = config;

  // 1. time
  const timeEmbedding = silu(embedTime(w, config, inputs));

  const resnet = (at: Weights, x: Value, out: number) =>
    resnetBlock(at, x, { out, groups, epsilon, timeEmbedding });
  const layer = (at: Weights, i: number, x: Value, block: Block) => {
    const h = resnet(at.at('resnets').at(i), x, block.channels);
    return block.attends ? attend(at.at('attentions').at(i), h, block) : h;
  };
  const attend = (at: Weights, x: Value, { heads, transformerLayers }: Block) =>
    transformer2d(at, x, {
      heads,
      layers: transformerLayers,
      groups,
      linearProjection: config.linearProjection,
      textEmbeddings: inputs.textEmbeddings,
    });

  // 2. in
  let x = conv2d(w.at('conv_in'), inputs.sample, { out: config.time.features, kernel: 3, padding: 1 });

  // 3. down
  const skips = [x];
  config.down.forEach((block, i) => {
    const at = w.at('down_blocks').at(i);
    for (let j = 0; j < block.layers; j++) {
      x = layer(at, j, x, block);
      skips.push(x);
    }
    if (i < config.down.length - 1) {
      x = downsample(at.at('downsamplers').at(0), x, 1);
      skips.push(x);
    }
  });

  // 4. middle
  if (config.mid) {
    const at = w.at('mid_block');
    x = resnet(at.at('resnets').at(0), x, config.mid.channels);
    x = attend(at.at('attentions').at(0), x, config.mid);
    x = resnet(at.at('resnets').at(1), x, config.mid.channels);
  }

  // 5. up
  config.up.forEach((block, i) => {
    const at = w.at('up_blocks').at(i);
    for (let j = 0; j < block.layers; j++) {
      x = layer(at, j, op.Concat(x, skips.pop()!, { axis: 1 }), block);
    }
    if (i < config.up.length - 1) {
      // The skip that comes next says the size: twice this one, or one less where halving rounded up.
      const [, , height, width] = skips.at(-1)!.shape as [number, number, number, number];
      x = upsample(at.at('upsamplers').at(0), x, [height, width]);
    }
  });

  // 6. out
  x = silu(groupNorm(w.at('conv_norm_out'), x, { groups, epsilon }));
  return conv2d(w.at('conv_out'), x, { out: config.outChannels, kernel: 3, padding: 1 });
}

function embedTime(w: Weights, config: UNetConfig, { timesteps, timestepCond, added }: UNetInputs): Value {
  const { timeEmbeddingDim: out, time, timeCondDim, addition } = config;
  let waves = sinusoid(timesteps, time);
  if (timeCondDim !== undefined && timestepCond) {
    const condition = linear(w.at('time_embedding').at('cond_proj'), timestepCond, {
      out: time.features,
      bias: false,
    });
    waves = op.Add(waves, condition);
  }
  const embedding = timestepEmbedding(w.at('time_embedding'), waves, out);
  if (!addition || !added) return embedding;
  const sizes = sinusoid(op.Reshape(added.timeIds, { shape: [-1] }), {
    ...time,
    features: addition.features,
  });
  const batch = timesteps.shape[0]!;
  const joined = op.Concat(added.textEmbeds, op.Reshape(sizes, { shape: [batch, -1] }), { axis: 1 });
  return op.Add(embedding, timestepEmbedding(w.at('add_embedding'), joined, out));
}
