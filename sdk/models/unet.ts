/** UNet2DConditionModel: predicts the noise in latents from a timestep and a text (Rombach et al. 2022, figure 3). */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { activations, conv2d, groupNorm, linear } from '../nn/layers';
import { sinusoid, timestepEmbedding } from '../nn/time-embedding';
import type { Weights } from '../nn/weights';
import { downsample, resnetBlock, transformer2d, upsample } from './unet-blocks';
import type { AttentionPlace, UNetConfig } from './unet-config';

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
  const activate = activations[config.activation];
  const samePadding = (kernel: number) => Math.floor((kernel - 1) / 2);

  // 1. time
  const timeEmbedding = activate(embedTime(w, config, inputs));

  const resnet = (at: Weights, x: Value, out: number, outputScale = 1) =>
    resnetBlock(at, x, {
      out,
      groups,
      epsilon,
      activate,
      timeEmbedding,
      timeScalesToo: config.timeScalesToo,
      outputScale,
    });
  const attend = (at: Weights, x: Value, place: AttentionPlace, layers: number) =>
    transformer2d(at, x, {
      heads: place.heads,
      layers,
      groups,
      linearProjection: config.linearProjection,
      textEmbeddings: inputs.textEmbeddings,
      textOnly: place.textOnly,
    });

  // 2. in
  const sample = config.centersInput
    ? op.Sub(op.Add(inputs.sample, inputs.sample), inputs.sample.graph.scalar(1))
    : inputs.sample;
  let x = conv2d(w.at('conv_in'), sample, {
    out: config.blockChannels[0]!,
    kernel: config.inKernel,
    padding: samePadding(config.inKernel),
  });

  // 3. down
  const skips = [x];
  config.down.forEach((block, i) => {
    const at = w.at('down_blocks').at(i);
    block.transformerLayers.forEach((layers, j) => {
      x = resnet(at.at('resnets').at(j), x, block.channels);
      if (block.attends) x = attend(at.at('attentions').at(j), x, block, layers);
      skips.push(x);
    });
    if (i < config.down.length - 1) {
      x = downsample(at.at('downsamplers').at(0), x, config.downsamplePadding);
      skips.push(x);
    }
  });

  // 4. middle
  if (config.mid) {
    const { channels, outputScale, attention } = config.mid;
    const at = w.at('mid_block');
    x = resnet(at.at('resnets').at(0), x, channels, outputScale);
    if (attention) {
      x = attend(at.at('attentions').at(0), x, attention, attention.layers);
      x = resnet(at.at('resnets').at(1), x, channels, outputScale);
    }
  }

  // 5. up
  config.up.forEach((block, i) => {
    const at = w.at('up_blocks').at(i);
    block.transformerLayers.forEach((layers, j) => {
      x = resnet(at.at('resnets').at(j), op.Concat(x, skips.pop()!, { axis: 1 }), block.channels);
      if (block.attends) x = attend(at.at('attentions').at(j), x, block, layers);
    });
    if (i < config.up.length - 1) {
      // The skip that comes next says the size: twice this one, or one less where halving rounded up.
      const [, , height, width] = skips.at(-1)!.shape as [number, number, number, number];
      x = upsample(at.at('upsamplers').at(0), x, [height, width]);
    }
  });

  // 6. out
  x = activate(groupNorm(w.at('conv_norm_out'), x, { groups, epsilon }));
  return conv2d(w.at('conv_out'), x, {
    out: config.outChannels,
    kernel: config.outKernel,
    padding: samePadding(config.outKernel),
  });
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
  let embedding = timestepEmbedding(w.at('time_embedding'), waves, out, activations[config.activation]);
  if (config.timePostActivation) embedding = activations[config.timePostActivation](embedding);
  if (addition && added) embedding = op.Add(embedding, embedAddition(w, config, addition, added));
  return config.timeActivation ? activations[config.timeActivation](embedding) : embedding;
}

/** SDXL's §2.2: the pooled text and the waves of each size, side by side, through a network of their own. */
function embedAddition(
  w: Weights,
  { time, timeEmbeddingDim }: UNetConfig,
  addition: NonNullable<UNetConfig['addition']>,
  added: NonNullable<UNetInputs['added']>,
): Value {
  const sizes = sinusoid(op.Reshape(added.timeIds, { shape: [-1] }), {
    ...time,
    features: addition.features,
  });
  const batch = added.timeIds.shape[0]!;
  const joined = op.Concat(added.textEmbeds, op.Reshape(sizes, { shape: [batch, -1] }), { axis: 1 });
  return timestepEmbedding(w.at('add_embedding'), joined, timeEmbeddingDim, activations.silu);
}
