/** Base models that cannot be built are refused by name, when they are read or when their graph is built. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import {
  MissingWeightError,
  UnsupportedConfigError,
  UnsupportedModelError,
  WeightShapeError,
} from '../../sdk/errors';
import { Graph } from '../../sdk/graph/graph';
import { decodeLatents, readAutoencoderConfig } from '../../sdk/models/autoencoder-kl';
import { type BaseModel, readBaseModel, weightsOf } from '../../sdk/models/base-model';
import { readClipTextConfig } from '../../sdk/models/clip-text';
import { unet } from '../../sdk/models/unet';
import { readUNetConfig } from '../../sdk/models/unet-config';

const folder = join(import.meta.dirname, '../../fixtures/golden/sd15-tiny');
const base = readBaseModel(openDiffusersFolder(folder));
const config = (component: string) =>
  JSON.parse(readFileSync(join(folder, component, 'config.json'), 'utf8'));

/** Builds the UNet's graph with other tensors than its own. */
function build(
  change: (
    tensors: Map<string, BaseModel['unet']['tensors'] extends ReadonlyMap<string, infer T> ? T : never>,
  ) => void,
) {
  const tensors = new Map(base.unet.tensors);
  change(tensors);
  const graph = new Graph();
  const { inChannels, crossAttentionDim } = base.unet.config;
  unet(weightsOf({ ...base, unet: { ...base.unet, tensors } }, 'unet', graph), base.unet.config, {
    sample: graph.input('sample', 'float32', [1, inChannels, 8, 8]),
    timesteps: graph.input('timesteps', 'float32', [1]),
    textEmbeddings: graph.input('text', 'float32', [1, 77, crossAttentionDim]),
  });
  return graph;
}

describe('weights that do not fit their config', () => {
  test('all there: the graph is built', () => expect(build(() => {}).nodes.length).toBeGreaterThan(500));

  test('a missing one, with the nearest that is there', () => {
    const key = 'mid_block.resnets.0.conv1.weight';
    const refusal = () => build((tensors) => tensors.delete(key));
    expect(refusal).toThrow(MissingWeightError);
    expect(refusal).toThrow(
      /unet has no weight "mid_block\.resnets\.0\.conv1\.weight".*nearest is "mid_block\.resnets\.\d\.conv\d\.weight"/,
    );
  });

  test('one of another shape, with both', () => {
    const key = 'conv_in.weight';
    const refusal = () =>
      build((tensors) => tensors.set(key, { ...tensors.get(key)!, shape: [16, 5, 3, 3] }));
    expect(refusal).toThrow(WeightShapeError);
    expect(refusal).toThrow(/"conv_in\.weight" is \[16,5,3,3\].*asks for \[16,4,3,3\]/);
  });
});

describe('configs that ask for more than there is', () => {
  const readers = {
    unet: readUNetConfig,
    vae: readAutoencoderConfig,
    text_encoder: readClipTextConfig,
  } as const;

  test.each([
    ['unet', 'act_fn', 'mish'],
    ['unet', 'dual_cross_attention', true],
    ['unet', 'resnet_time_scale_shift', 'spatial'],
    ['unet', 'class_embed_type', 'timestep'],
    ['unet', 'num_class_embeds', 1000],
    ['unet', 'encoder_hid_dim', 768],
    ['unet', 'addition_embed_type', 'text'],
    ['unet', 'time_embedding_type', 'fourier'],
    ['unet', 'num_attention_heads', 8],
    ['unet', 'cross_attention_dim', [32, 32, 40, 32]],
    ['unet', 'transformer_layers_per_block', [1, 2, 3]],
    ['unet', 'only_cross_attention', [true, false]],
    ['unet', 'layers_per_block', [2, 2, 2, 0]],
    ['unet', 'norm_num_groups', 5],
    ['unet', 'norm_num_groups', null],
    ['unet', 'up_block_types', ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D']],
    ['unet', 'mid_block_type', 'UNetMidBlock2DSimpleCrossAttn'],
    [
      'unet',
      'down_block_types',
      ['AttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
    ],
    ['vae', 'latents_mean', [0, 0]],
    ['vae', 'act_fn', 'relu'],
    ['vae', 'down_block_types', ['AttnDownEncoderBlock2D']],
    ['text_encoder', 'hidden_act', 'swish'],
  ] as const)('%s: "%s" of %j is refused by name', (component, key, value) => {
    const read = readers[component];
    expect(() => read(config(component))).not.toThrow();
    expect(() => read({ ...config(component), [key]: value })).toThrow(UnsupportedConfigError);
    expect(() => read({ ...config(component), [key]: value })).toThrow(key);
  });

  test('unet: transformers of uneven depth on the way down name no way up', () => {
    const uneven = { ...config('unet'), transformer_layers_per_block: [1, [1, 2], 1, 1] };
    expect(() => readUNetConfig(uneven)).toThrow(/"reverse_transformer_layers_per_block" is null/);
  });

  test.each(Object.keys(readers) as (keyof typeof readers)[])(
    '%s: a key that nobody knows is refused, not ignored',
    (component) => {
      const strange = { ...config(component), attention_sparsity: 0.5 };
      expect(() => readers[component](strange)).toThrow(/"attention_sparsity" is 0\.5/);
    },
  );
});

test('an autoencoder graph is built from its config alone', () => {
  const graph = new Graph();
  const picture = decodeLatents(
    weightsOf(base, 'vae', graph),
    base.vae.config,
    graph.input('latents', 'float32', [1, base.vae.config.latentChannels, 4, 6]),
  );
  expect(picture.shape).toEqual([1, 3, 4 * base.vae.config.factor, 6 * base.vae.config.factor]);
});

describe('parts that do not belong together', () => {
  const opened = openDiffusersFolder(folder);
  const changed = (component: string, change: object) => {
    const part = opened.components.get(component)!;
    const components = new Map(opened.components);
    components.set(component, { ...part, config: { ...part.config, ...change } });
    return () => readBaseModel({ ...opened, components });
  };

  test.each([
    ['unet', { in_channels: 7 }, /takes 7 channels, as an upscaler has/],
    ['unet', { in_channels: 8 }, /takes 8 channels, as InstructPix2Pix has/],
    ['unet', { cross_attention_dim: 40 }, /attends to texts of 40 features; text_encoder give 32/],
    [
      'unet',
      {
        addition_embed_type: 'text_time',
        addition_time_embed_dim: 8,
        projection_class_embeddings_input_dim: 80,
      },
      /takes sizes and pooled text, as Stable Diffusion XL's does/,
    ],
  ])('%s with %j', (component, change, message) => {
    expect(changed(component, {})).not.toThrow();
    expect(changed(component, change)).toThrow(UnsupportedModelError);
    expect(changed(component, change)).toThrow(message);
  });
});
