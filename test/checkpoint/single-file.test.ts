/** Single files are made here from random weights under diffusers' names, and must come back as those. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../sdk/checkpoint/checkpoint';
import { checkpointFingerprint } from '../../sdk/checkpoint/fingerprint';
import { ldmAutoencoderModules, ldmUNetModules, renamer } from '../../sdk/checkpoint/ldm-keys';
import { openSafetensors, readFloat32, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { UnsupportedModelError } from '../../sdk/errors';
import { reportBase } from '../../sdk/library/base-report';
import { decodeLatents, encodePicture, readAutoencoderConfig } from '../../sdk/models/autoencoder-kl';
import { readBaseModel, tensorsOf } from '../../sdk/models/base-model';
import { clipText, readClipTextConfig } from '../../sdk/models/clip-text';
import { tokenizePrompt } from '../../sdk/models/text-condition';
import { unet } from '../../sdk/models/unet';
import { readUNetConfig } from '../../sdk/models/unet-config';
import { declaredWeights, initialWeight } from '../../sdk/nn/initial-weights';
import type { Weights } from '../../sdk/nn/weights';
import { createRandom } from '../../sdk/random';
import { createSession } from '../../sdk/runtime/session';
import { createTextEncoder } from '../../sdk/sampling/text-encoder';
import { float32, sizeOf, type Tensor } from '../../sdk/tensor';

const folder = mkdtempSync(join(tmpdir(), 'dreambooth-single-file-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Tensors = Map<string, Tensor<'float32'>>;
type Config = Record<string, unknown>;
const random = createRandom(5);

function weightsFor(build: (w: Weights, graph: Weights['graph']) => void): Tensors {
  return new Map(
    declaredWeights(build).map((weight) => {
      // Norms and biases off their ones and zeros, so that exchanged ones would show.
      const off = random.normals(sizeOf(weight.shape));
      const values = initialWeight(weight, random).map((x, i) => x + 0.1 * off[i]!);
      return [weight.key, float32(weight.shape, values)];
    }),
  );
}

function unetWeights(config: Config): Tensors {
  const parsed = readUNetConfig(config);
  return weightsFor((w, graph) => {
    unet(w, parsed, {
      sample: graph.input('sample', 'float32', [1, parsed.inChannels, 8, 8]),
      timesteps: graph.input('timesteps', 'float32', [1]),
      textEmbeddings: graph.input('text', 'float32', [1, 77, parsed.crossAttentionDim]),
      ...(parsed.addition
        ? {
            added: {
              textEmbeds: graph.input('embeds', 'float32', [1, parsed.addition.input - 6 * 256]),
              timeIds: graph.input('ids', 'float32', [1, 6]),
            },
          }
        : {}),
    });
  });
}

function autoencoderWeights(config: Config): Tensors {
  const parsed = readAutoencoderConfig(config);
  return weightsFor((w, graph) => {
    encodePicture(w, parsed, graph.input('picture', 'float32', [1, 3, 32, 32]));
    decodeLatents(w, parsed, graph.input('latents', 'float32', [1, 4, 16, 16]));
  });
}

function textWeights(config: Config, projected: boolean): Tensors {
  return weightsFor((w, graph) => {
    const inputs = {
      inputIds: graph.input('ids', 'int64', [1, 77]),
      endTokens: graph.input('ends', 'float32', [1, 77]),
    };
    const output = clipText(w, readClipTextConfig(config), inputs);
    if (projected) output.textEmbeds();
    else output.finalNorm(output.hiddenStates.at(-1)!);
  });
}

const textConfig = (hidden: number, layers: number, activation: string, vocabulary = 512): Config => ({
  vocab_size: vocabulary,
  hidden_size: hidden,
  intermediate_size: 4 * hidden,
  projection_dim: hidden,
  num_hidden_layers: layers,
  num_attention_heads: hidden / 64,
  max_position_embeddings: 77,
  hidden_act: activation,
  layer_norm_eps: 1e-5,
  eos_token_id: 2,
});

const autoencoderConfig: Config = {
  sample_size: 128,
  block_out_channels: [32, 64],
  down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
  up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D'],
  layers_per_block: 2,
  scaling_factor: 0.18215,
};

const sd1UNet: Config = {
  sample_size: 64,
  block_out_channels: [32, 64, 64],
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
  layers_per_block: 2,
  attention_head_dim: 8,
  cross_attention_dim: 64,
};

const xlUNet: Config = {
  sample_size: 128,
  block_out_channels: [64, 128, 128],
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  layers_per_block: 2,
  transformer_layers_per_block: [1, 2, 3],
  attention_head_dim: [1, 2, 2],
  cross_attention_dim: 192,
  use_linear_projection: true,
  addition_embed_type: 'text_time',
  addition_time_embed_dim: 256,
  projection_class_embeddings_input_dim: 6 * 256 + 128,
};

/** OpenCLIP's names and layout of transformers' weights. */
function asOpenClip(tensors: Tensors): Tensors {
  const out: Tensors = new Map();
  for (const [key, tensor] of tensors) {
    const layer = /^text_model\.encoder\.layers\.(\d+)\.(.*)$/.exec(key);
    if (key === 'text_projection.weight') {
      const [rows, columns] = tensor.shape as [number, number];
      const turned = tensor.data.map((_, i) => tensor.data[(i % rows) * columns + Math.floor(i / rows)]!);
      out.set('text_projection', float32([columns, rows], turned));
    } else if (layer) {
      const at = `transformer.resblocks.${layer[1]}`;
      const attention = /^self_attn\.([qkv])_proj\.(weight|bias)$/.exec(layer[2]!);
      if (attention?.[1] === 'q') {
        const three = ['q', 'k', 'v'].map((name) => tensors.get(key.replace('q_proj', `${name}_proj`))!);
        const joined = Float32Array.from(three.flatMap(({ data }) => [...data]));
        out.set(
          `${at}.attn.in_proj_${attention[2]}`,
          float32([3 * tensor.shape[0]!, ...tensor.shape.slice(1)], joined),
        );
      } else if (!attention) {
        const name = layer[2]!
          .replace('layer_norm', 'ln_')
          .replace('fc1', 'c_fc')
          .replace('fc2', 'c_proj')
          .replace('self_attn', 'attn');
        out.set(`${at}.${name}`, tensor);
      }
    } else {
      const name = key
        .replace('text_model.embeddings.token_embedding', 'token_embedding')
        .replace('text_model.embeddings.position_embedding.weight', 'positional_embedding')
        .replace('text_model.final_layer_norm', 'ln_final');
      out.set(name, tensor);
    }
  }
  return out;
}

const prefixed = (prefix: string, tensors: Tensors, rename: (key: string) => string = (key) => key) =>
  [...tensors].map(([key, tensor]) => [prefix + rename(key), tensor] as const);

/** What Stable Diffusion 1 and XL have in common in a file. */
function pixels(unetConfig: Config, unetTensors: Tensors, vae: Tensors) {
  return [
    ...prefixed('model.diffusion_model.', unetTensors, renamer(ldmUNetModules(unetConfig), 'ldm')),
    ...prefixed('first_stage_model.', vae, renamer(ldmAutoencoderModules(autoencoderConfig), 'ldm')),
    ['model_ema.decay', float32([], [1])] as const,
  ];
}

function expectSame(found: ReadonlyMap<string, Parameters<typeof readFloat32>[0]>, wanted: Tensors) {
  expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
  for (const [key, tensor] of wanted) {
    expect(found.get(key)!.shape, key).toEqual(tensor.shape);
    const bytes = (data: Float32Array) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    expect(bytes(readFloat32(found.get(key)!)).equals(bytes(tensor.data)), key).toBe(true);
  }
}

/** Every weight is there, every key read once, but those that are known not to be. */
function expectReport(file: string, leftOver: readonly string[]): void {
  const report = reportBase(file);
  expect(report.components.flatMap(({ missing, misshapen }) => [...missing, ...misshapen])).toEqual([]);
  expect([...report.leftOver].sort()).toEqual([...leftOver, 'model_ema.decay'].sort());
  expect(report.readTwice).toEqual([]);
  expect(report.layout).toBe('single-file');
}

describe('a checkpoint in one file', () => {
  const vae = autoencoderWeights(autoencoderConfig);

  test('of Stable Diffusion 1: configs from the shapes, every weight under the name that diffusers gives it', () => {
    const weights = unetWeights(sd1UNet);
    const text = textWeights(textConfig(64, 2, 'quick_gelu'), false);
    const file = join(folder, 'sd1.safetensors');
    writeSafetensors(file, [
      ...pixels(sd1UNet, weights, vae),
      ...prefixed('cond_stage_model.transformer.', text),
      ['cond_stage_model.transformer.text_model.embeddings.position_ids', float32([1], [0])],
    ]);
    const base = readBaseModel(openCheckpoint(file));
    expect(base.family.title).toBe('Stable Diffusion 1 and 2');
    expect(base.unet.config).toEqual(readUNetConfig(sd1UNet));
    expect(base.vae.config).toEqual(readAutoencoderConfig(autoencoderConfig));
    expect(base.textEncoders[0]!.config).toEqual(readClipTextConfig(textConfig(64, 2, 'quick_gelu')));
    expectSame(base.unet.tensors, weights);
    expectSame(base.vae.tensors, vae);
    expectSame(tensorsOf(base, 'text_encoder'), text);
    expect(base.tokenizer.tokenize('a photo of sks dog').ids.slice(0, 7)).toEqual(
      Int32Array.of(49_406, 320, 1125, 539, 48_136, 1929, 49_407),
    );
    expect(base.schedulerConfig).toMatchObject({ prediction_type: 'epsilon', steps_offset: 1 });
    expect(checkpointFingerprint(file)).toMatch(/^[0-9a-f]{64}$/);
    expectReport(file, ['cond_stage_model.transformer.text_model.embeddings.position_ids']);
  });

  test('of Stable Diffusion 2: OpenCLIP without its last layer, velocity, `!` for padding', () => {
    const config = {
      ...sd1UNet,
      attention_head_dim: [1, 1, 1],
      use_linear_projection: true,
      sample_size: 96,
    };
    const weights = unetWeights(config);
    const whole = textWeights(textConfig(64, 3, 'gelu'), true);
    const file = join(folder, 'sd2.safetensors');
    const entries = [
      ...pixels(config, weights, vae),
      ...prefixed('cond_stage_model.model.', asOpenClip(whole)),
    ];
    writeSafetensors(file, entries);
    const base = readBaseModel(openCheckpoint(file));
    expect(base.unet.config).toEqual(readUNetConfig(config));
    const used = [...whole].filter(([key]) => !/layers\.2\.|text_projection/.test(key));
    expectSame(tensorsOf(base, 'text_encoder'), new Map(used));
    expect(base.textEncoders[0]!.config.layers).toBe(2);
    expect(base.schedulerConfig['prediction_type']).toBe('v_prediction');
    expect(base.tokenizer.padId).toBe(0);
    const dropped = [...asOpenClip(whole)].flatMap(([key]) =>
      /resblocks\.2\.|^text_projection$/.test(key) ? [`cond_stage_model.model.${key}`] : [],
    );
    expectReport(file, dropped);
    // A file may say itself what it predicts.
    writeSafetensors(file, entries, { 'modelspec.prediction_type': 'epsilon' });
    expect(openCheckpoint(file).schedulerConfig['prediction_type']).toBe('epsilon');
  });

  test('of Stable Diffusion XL: both text encoders, and the projection right side up', async () => {
    const weights = unetWeights(xlUNet);
    const first = textWeights(textConfig(64, 3, 'quick_gelu', 49_408), false);
    const second = textWeights(textConfig(128, 3, 'gelu', 49_408), true);
    const file = join(folder, 'sdxl.safetensors');
    writeSafetensors(file, [
      ...pixels(xlUNet, weights, vae),
      ...prefixed('conditioner.embedders.0.transformer.', first),
      ...prefixed('conditioner.embedders.1.model.', asOpenClip(second)),
    ]);
    const base = readBaseModel(openCheckpoint(file));
    expect(base.family.title).toBe('Stable Diffusion XL');
    expect(base.unet.config).toEqual(readUNetConfig(xlUNet));
    expectSame(base.unet.tensors, weights);
    expectSame(tensorsOf(base, 'text_encoder'), first);
    expectSame(tensorsOf(base, 'text_encoder_2'), second);
    expect(base.vae.config.scalingFactor).toBe(0.13025);
    expectReport(file, []);
    // The same numbers as from a file that has the projection as transformers does.
    const upright = join(folder, 'upright.safetensors');
    writeSafetensors(upright, second);
    const other = readBaseModel(openCheckpoint(file));
    const asStored = {
      ...other,
      textEncoders: other.textEncoders.map((part) =>
        part.name === 'text_encoder_2' ? { ...part, tensors: openSafetensors(upright).tensors } : part,
      ),
    };
    const { tokens } = tokenizePrompt(base, 'a photo of a dog');
    const [ours, theirs] = await Promise.all(
      [base, asStored].map(async (one) => {
        const encoder = await createTextEncoder(one, { loraPaths: [] }, createSession);
        const [condition] = await encoder.encode([[tokens]]);
        await encoder.release();
        return condition!;
      }),
    );
    expect(ours).toEqual(theirs);
  });

  test.each([
    ['a FLUX checkpoint', 'double_blocks.0.img_attn.qkv.weight'],
    ['a Stable Diffusion 3 checkpoint', 'model.diffusion_model.joint_blocks.0.x.weight'],
    ['a LoRA', 'lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight'],
    ['an autoencoder alone', 'encoder.conv_in.weight'],
    ['a UNet alone', 'down_blocks.0.resnets.0.conv1.weight'],
    ['a textual-inversion embedding', 'emb_params'],
    ['a textual-inversion embedding', '<sks>'],
    ['a FLUX checkpoint', 'single_transformer_blocks.0.attn.to_q.weight'],
    ['a Stable Diffusion 3 checkpoint', 'transformer_blocks.0.attn.add_k_proj.weight'],
    ['a Stable Cascade checkpoint', 'down_blocks.0.0.channelwise.0.weight'],
    ['a diffusion transformer', 'model.diffusion_model.x_embedder.proj.weight'],
    ['a LoRA', 'lora_unet_down_blocks_0_attentions_0_proj_in.hada_w1_a'],
    ['a ControlNet', 'controlnet_cond_embedding.conv_in.weight'],
    ['a ControlNet', 'control_model.input_blocks.0.0.weight'],
    ['a T2I-Adapter', 'adapter.body.0.resnets.0.block1.weight'],
    ['an IP-Adapter', 'image_proj.proj.weight'],
    ['an AnimateDiff motion module', 'down_blocks.0.motion_modules.0.norm.weight'],
    ['an upscaler of finished pictures', 'model.1.sub.0.RDB1.conv1.0.weight'],
    ['a tiny autoencoder', 'decoder.layers.0.weight'],
    ['a text encoder alone', 'text_model.encoder.layers.0.layer_norm1.weight'],
    ['a T5 text encoder', 'encoder.block.0.layer.0.SelfAttention.q.weight'],
    ['a Stable Diffusion XL refiner', 'conditioner.embedders.0.model.ln_final.bias'],
    ['no checkpoint that is known here', 'something.weight'],
  ])('%s is named for what it is', (what, key) => {
    const file = join(folder, 'other.safetensors');
    writeSafetensors(file, [[key, float32([1], [1])]]);
    expect(() => openCheckpoint(file)).toThrow(UnsupportedModelError);
    expect(() => openCheckpoint(file)).toThrow(what);
  });

  test('a pickle is refused with the reason', () => {
    const file = join(folder, 'model.ckpt');
    writeFileSync(file, 'x');
    expect(() => openCheckpoint(file)).toThrow(/pickle.*run code/);
  });
});
