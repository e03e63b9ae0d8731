/** A single file has no configs: what diffusers' would say, from the shapes of its tensors. */
import { UnsupportedModelError } from '../errors';
import type { StoredTensor } from '../tensor';
import type { JsonObject } from './json-file';

/** Tensors of one network by the single file's keys, its prefix taken off. */
export type LdmTensors = ReadonlyMap<string, StoredTensor>;

/** What cannot be told from shapes. */
export interface LdmFamily {
  /** Attention heads of a UNet block: a fixed number, or one for so many channels. */
  readonly heads: number | { readonly channelsEach: number };
  readonly sampleSize: number;
  readonly scalingFactor: number;
}

const shapeOf = (tensors: LdmTensors, key: string): readonly number[] => {
  const tensor = tensors.get(key);
  if (!tensor)
    throw new UnsupportedModelError(`The checkpoint has no ${key}: it is incomplete, or of another kind.`);
  return tensor.shape;
};

/** How many numbers 0, 1, … follow one another as `before.N.`. */
function countOf(tensors: LdmTensors, before: string): number {
  const found = new Set<number>();
  for (const key of tensors.keys()) {
    if (key.startsWith(before)) found.add(Number.parseInt(key.slice(before.length), 10));
  }
  let count = 0;
  while (found.has(count)) count++;
  return count;
}

interface Level {
  channels: number;
  layers: number;
  /** Transformer blocks of each attention; 0: no attention. */
  depth: number;
}

export function ldmUNetConfig(tensors: LdmTensors, { heads, sampleSize }: LdmFamily): JsonObject {
  const depthAt = (place: string) => countOf(tensors, `${place}.transformer_blocks.`);
  const down: Level[] = [{ channels: 0, layers: 0, depth: 0 }];
  for (let i = 1; i < countOf(tensors, 'input_blocks.'); i++) {
    if (tensors.has(`input_blocks.${i}.0.op.weight`)) {
      down.push({ channels: 0, layers: 0, depth: 0 });
      continue;
    }
    const level = down.at(-1)!;
    level.channels = shapeOf(tensors, `input_blocks.${i}.0.out_layers.3.weight`)[0]!;
    level.layers += 1;
    level.depth = Math.max(level.depth, depthAt(`input_blocks.${i}.1`));
  }
  const up: boolean[] = [false];
  for (let i = 0; i < countOf(tensors, 'output_blocks.'); i++) {
    if (depthAt(`output_blocks.${i}.1`) > 0) up[up.length - 1] = true;
    const upsamples = [1, 2].some((part) => tensors.has(`output_blocks.${i}.${part}.conv.weight`));
    if (upsamples) up.push(false);
  }
  const midDepth = depthAt('middle_block.1');
  const depths = down.map(({ depth }, i) => (depth > 0 ? depth : i === down.length - 1 ? midDepth : 1));
  const channels = down.map((level) => level.channels);
  const attention = [...tensors.keys()].find((key) =>
    key.endsWith('.transformer_blocks.0.attn2.to_k.weight'),
  );
  const projection = [...tensors].find(([key]) => key.endsWith('.1.proj_in.weight'));
  if (!attention || !projection)
    throw new UnsupportedModelError('The UNet of this checkpoint attends to no text.');
  const adds = tensors.get('label_emb.0.0.weight');
  const condition = tensors.get('time_embed.cond_proj.weight');
  return {
    _class_name: 'UNet2DConditionModel',
    in_channels: shapeOf(tensors, 'input_blocks.0.0.weight')[1]!,
    out_channels: shapeOf(tensors, 'out.2.weight')[0]!,
    sample_size: sampleSize,
    block_out_channels: channels,
    down_block_types: down.map(({ depth }) => (depth > 0 ? 'CrossAttnDownBlock2D' : 'DownBlock2D')),
    up_block_types: up.map((attends) => (attends ? 'CrossAttnUpBlock2D' : 'UpBlock2D')),
    mid_block_type: 'UNetMidBlock2DCrossAttn',
    layers_per_block: down.map(({ layers }) => layers),
    transformer_layers_per_block: depths,
    attention_head_dim: channels.map((count) =>
      typeof heads === 'number' ? heads : Math.max(1, Math.floor(count / heads.channelsEach)),
    ),
    cross_attention_dim: shapeOf(tensors, attention)[1]!,
    use_linear_projection: projection[1].shape.length === 2,
    ...(condition ? { time_cond_proj_dim: condition.shape[1]! } : {}),
    ...(adds
      ? {
          addition_embed_type: 'text_time',
          addition_time_embed_dim: 256,
          projection_class_embeddings_input_dim: adds.shape[1]!,
        }
      : {}),
  };
}

export function ldmAutoencoderConfig(
  tensors: LdmTensors,
  { sampleSize, scalingFactor }: LdmFamily,
): JsonObject {
  const blocks = countOf(tensors, 'encoder.down.');
  const channels = Array.from(
    { length: blocks },
    (_, i) => shapeOf(tensors, `encoder.down.${i}.block.0.conv1.weight`)[0]!,
  );
  return {
    _class_name: 'AutoencoderKL',
    in_channels: shapeOf(tensors, 'encoder.conv_in.weight')[1]!,
    out_channels: shapeOf(tensors, 'decoder.conv_out.weight')[0]!,
    latent_channels: shapeOf(tensors, 'decoder.conv_in.weight')[1]!,
    block_out_channels: channels,
    down_block_types: channels.map(() => 'DownEncoderBlock2D'),
    up_block_types: channels.map(() => 'UpDecoderBlock2D'),
    layers_per_block: countOf(tensors, 'encoder.down.0.block.'),
    sample_size: sampleSize * 2 ** (blocks - 1),
    use_quant_conv: tensors.has('quant_conv.weight'),
    use_post_quant_conv: tensors.has('post_quant_conv.weight'),
    mid_block_add_attention: tensors.has('encoder.mid.attn_1.q.weight'),
    scaling_factor: scalingFactor,
  };
}

/** `tensors` have transformers' names; `activation` is CLIP's or OpenCLIP's. */
export function clipTextConfig(tensors: LdmTensors, activation: 'quick_gelu' | 'gelu'): JsonObject {
  const [vocabulary, hidden] = shapeOf(tensors, 'text_model.embeddings.token_embedding.weight') as [
    number,
    number,
  ];
  const projection = tensors.get('text_projection.weight');
  return {
    model_type: 'clip_text_model',
    architectures: [projection ? 'CLIPTextModelWithProjection' : 'CLIPTextModel'],
    vocab_size: vocabulary,
    hidden_size: hidden,
    intermediate_size: shapeOf(tensors, 'text_model.encoder.layers.0.mlp.fc1.weight')[0]!,
    projection_dim: projection?.shape[0] ?? hidden,
    num_hidden_layers: countOf(tensors, 'text_model.encoder.layers.'),
    // Every published one has 64 features a head.
    num_attention_heads: Math.max(1, Math.floor(hidden / 64)),
    max_position_embeddings: shapeOf(tensors, 'text_model.embeddings.position_embedding.weight')[0]!,
    hidden_act: activation,
    layer_norm_eps: 1e-5,
    eos_token_id: 2,
  };
}
