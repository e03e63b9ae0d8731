import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { LoraFamilyError, NonFiniteWeightError, UnsupportedLoraError } from '../../sdk/errors';
import { kohyaNaming } from '../../sdk/lora/kohya-names';
import type { LoraLayers, LoraMatrices } from '../../sdk/lora/lora-layers';
import { type LoraModel, loraModel } from '../../sdk/lora/lora-model';
import * as reading from '../../sdk/lora/read-lora';
import { toDiffusers as toDiffusersAs, toKohya as toKohyaAs } from '../../sdk/lora/write-lora';
import { float32, type Shape, sizeOf, type Tensor } from '../../sdk/tensor';

type Keys = Record<string, [shape: Shape, first: number]>;
const keys: { diffusers: Keys; kohya: Keys } = JSON.parse(
  readFileSync(new URL('../../fixtures/lora/sd15-tiny-keys.json', import.meta.url), 'utf8'),
);

/** The file's tensors, each filled with its first value. */
const fileOf = (naming: Keys): Map<string, Tensor<'float32'>> =>
  new Map(
    Object.entries(naming).map(([key, [shape, first]]) => [
      key,
      float32(shape, new Float32Array(sizeOf(shape)).fill(first)),
    ]),
  );
const diffusers = fileOf(keys.diffusers);
const kohya = fileOf(keys.kohya);
/** A model of these layers. */
const modelOf = (layers: Iterable<readonly [name: string, shape: Shape]>): LoraModel => {
  const shapes = [...layers];
  return loraModel(
    (component) =>
      new Map(
        shapes.flatMap(([name, shape]) =>
          name.startsWith(`${component}.`) ? [[`${name.slice(component.length + 1)}.weight`, { shape }]] : [],
        ),
      ),
  );
};
/** The model that a LoRA fits. */
const modelBeside = (
  layers: Iterable<readonly [name: string, matrices: Pick<LoraMatrices, 'down' | 'up'>]>,
) =>
  modelOf([...layers].map(([name, { down, up }]) => [name, [up.shape[0]!, ...down.shape.slice(1)]] as const));
const fromFile = (
  tensors: ReadonlyMap<string, Tensor>,
  model: LoraModel,
  metadata?: Readonly<Record<string, string>>,
) => reading.fromFile(tensors, (tensor) => tensor, model, metadata);
const oneTextEncoder = kohyaNaming({ hasSecondTextEncoder: false, unetModules: [] });
const toKohya = (layers: LoraLayers) => toKohyaAs(layers, oneTextEncoder, 'float32');
const toDiffusers = (layers: LoraLayers) => toDiffusersAs(layers, 'float32');

const modules = [...diffusers.keys()]
  .filter((key) => key.endsWith('.down.weight'))
  .map((key) => key.replace(/\.(lora|lora_linear_layer)\.down\.weight$/, ''));

const model = modelOf(
  modules.map((name) => {
    const at = (part: string) =>
      diffusers.get(`${name}.lora.${part}.weight`) ??
      diffusers.get(`${name}.lora_linear_layer.${part}.weight`)!;
    return [name, [at('up').shape[0]!, at('down').shape[1]!]] as const;
  }),
);

const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
const renamed = (from: ReadonlyMap<string, Tensor>, ...changes: [RegExp, string][]) =>
  new Map(
    [...from].map(([key, tensor]) => [changes.reduce((name, [a, b]) => name.replace(a, b), key), tensor]),
  );

describe('the same LoRA in both namings', () => {
  test('has a layer for every attention projection', () => {
    expect(modules).toHaveLength(144);
    expect(modules).toContain('text_encoder.text_model.encoder.layers.0.self_attn.out_proj');
    expect(modules).toContain('unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0');
  });

  test('is read to the same layers', () => {
    const layers = fromFile(diffusers, model);
    expect(layers.size).toBe(144);
    expect(sorted(layers)).toEqual(sorted(fromFile(kohya, model)));
    expect(layers.get('unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q')!.alpha).toBe(8);
  });

  test('is written key for key, value for value', () => {
    const layers = fromFile(kohya, model);
    expect(sorted(toDiffusers(layers))).toEqual(sorted(diffusers));
    expect(sorted(toKohya(layers))).toEqual(sorted(kohya));
  });
});

describe('other spellings read to the same', () => {
  const wanted = sorted(fromFile(diffusers, model));
  const reads = (file: ReadonlyMap<string, Tensor>) => expect(sorted(fromFile(file, model))).toEqual(wanted);

  test('PEFT', () =>
    reads(
      renamed(
        diffusers,
        [/\.lora(_linear_layer)?\.down\./, '.lora_A.'],
        [/\.lora(_linear_layer)?\.up\./, '.lora_B.'],
      ),
    ));
  test('PEFT with the adapter’s name and base_model', () =>
    reads(
      renamed(
        diffusers,
        [/^/, 'base_model.model.'],
        [/\.lora(_linear_layer)?\.down\./, '.lora_A.default.'],
        [/\.lora(_linear_layer)?\.up\./, '.lora_B.default.'],
      ),
    ));
  test('attention processors, with and without `unet.`', () => {
    const old = renamed(
      diffusers,
      [/\.to_(q|k|v)\.lora\./, '.processor.to_$1_lora.'],
      [/\.to_out\.0\.lora\./, '.processor.to_out_lora.'],
    );
    expect([...old.keys()].some((key) => key.includes('attn1.processor.to_out_lora.down'))).toBe(true);
    reads(old);
    reads(renamed(old, [/^unet\./, '']));
  });
  test('text encoder keys without `text_model.`, dotted and flat', () => {
    reads(renamed(diffusers, [/^text_encoder\.text_model\./, 'text_encoder.']));
    reads(renamed(kohya, [/^lora_te_text_model_/, 'lora_te_']));
  });
  test('the first of two text encoders', () => reads(renamed(kohya, [/^lora_te_/, 'lora_te1_'])));
  test('half precision', () => {
    const layers = fromFile(diffusers, model);
    const half = fromFile(toKohyaAs(layers, oneTextEncoder, 'float16'), model);
    const name = 'unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q';
    expect(half.get(name)!.down.data[0]).toBeCloseTo(layers.get(name)!.down.data[0]!, 3);
    expect(half.get(name)!.alpha).toBe(8);
  });
});

describe('alpha', () => {
  const name = 'unet.a.to_q';
  const layers: LoraLayers = new Map([
    [name, { down: float32([2, 3], [1, 2, 3, 4, 5, 6]), up: float32([1, 2], [8, 16]), alpha: 1 }],
  ]);

  test('kohya’s naming keeps it', () => {
    expect(toKohya(layers).get('lora_unet_a_to_q.alpha')).toEqual(float32([], [1]));
    expect(fromFile(toKohya(layers), modelBeside(layers)).get(name)).toEqual(layers.get(name));
  });

  test('diffusers’ naming has it in the weights', () => {
    const read = fromFile(toDiffusers(layers), modelBeside(layers)).get(name)!;
    expect(read).toMatchObject({ alpha: 2, down: layers.get(name)!.down, up: float32([1, 2], [4, 8]) });
  });

  test('is read from diffusers’ metadata, and from keys of their own', () => {
    const metadata = (settings: object) => ({ lora_adapter_metadata: JSON.stringify(settings) });
    const file = toDiffusers(layers);
    expect(fromFile(file, modelBeside(layers), metadata({ 'unet.lora_alpha': 16 })).get(name)!.alpha).toBe(
      16,
    );
    const pattern = { 'unet.lora_alpha': 16, 'unet.alpha_pattern': { 'a.to_q': 3 } };
    expect(fromFile(file, modelBeside(layers), metadata(pattern)).get(name)!.alpha).toBe(3);
    expect(
      fromFile(new Map([...file, [`${name}.alpha`, float32([], [5])]]), modelBeside(layers)).get(name)!.alpha,
    ).toBe(5);
    expect(() => fromFile(file, modelBeside(layers), metadata({ 'unet.use_dora': true }))).toThrow(/DoRA/);
    expect(() => fromFile(file, modelBeside(layers), { lora_adapter_metadata: '{' })).toThrow(
      UnsupportedLoraError,
    );
  });
});

describe('what is no plain LoRA of this model is refused', () => {
  const value = float32([1], [0]);
  const [down, up] = [float32([2, 3], new Float32Array(6)), float32([4, 2], new Float32Array(8))];
  const small = modelOf([['unet.a.to_q', [4, 3]]]);
  const refused = (
    file: Record<string, Tensor>,
    message: RegExp,
    kind: new (...a: never[]) => Error = UnsupportedLoraError,
  ) => {
    const read = () => fromFile(new Map(Object.entries(file)), small);
    expect(read).toThrow(kind);
    expect(read).toThrow(message);
  };

  test.each([
    ['lora_unet_a_to_q.dora_scale', 'DoRA'],
    ['unet.a.to_q.lora_magnitude_vector', 'DoRA'],
    ['lora_unet_a_to_q.hada_w1_a', 'LoHa'],
    ['lora_unet_a_to_q.lokr_w1', 'LoKr'],
    ['lora_unet_a_to_q.oft_blocks', 'OFT'],
    ['lora_unet_a_to_q.oft_R.weight', 'OFT'],
    ['lora_unet_a_to_q.lora_mid.weight', 'Tucker'],
    ['lora_unet_a_to_q.on_input', '\\(IA\\)³'],
    ['lora_unet_a_to_q.diff', 'difference'],
    ['unet.a.to_q.lora_B.bias', 'biases'],
  ])('%s is %s', (key, kind) =>
    refused({ [key]: value }, new RegExp(`is .*${kind}.* \\(it holds ${key}\\)`)),
  );

  test.each([
    ['model.diffusion_model.input_blocks.0.0.weight', 'a UNet alone'],
    ['cond_stage_model.transformer.text_model.final_layer_norm.bias', 'a base model'],
    ['control_model.zero_convs.0.0.weight', 'a ControlNet'],
    ['controlnet_cond_embedding.conv_in.weight', 'a ControlNet'],
    ['emb_params', 'a textual-inversion embedding'],
    ['first_stage_model.encoder.conv_in.weight', 'an autoencoder alone'],
    ['image_proj.proj.weight', 'an IP-Adapter'],
  ])('%s says that the file is %s', (key, kind) =>
    refused({ [key]: value }, new RegExp(`The file is ${kind}, not a LoRA`)),
  );

  test('layers that the model does not have', () => {
    refused(
      { 'lora_unet_b_to_q.lora_up.weight': up, 'unet.a.to_q.lora.up.weight': up },
      /1 of the 2 keys .* name no layer of this base model \(lora_unet_b_to_q/,
    );
  });
  test('an empty file, and one of other tensors', () => {
    refused({}, /no tensors/);
    refused({ 'something.weight': value }, /1 of the 1 keys/);
  });
  test('a missing half', () => {
    refused(
      { 'unet.a.to_q.lora_A.weight': down },
      /unet\.a\.to_q lacks its up matrix.*unet\.a\.to_q\.lora_A\.weight/,
    );
    refused({ 'unet.a.to_q.lora_B.weight': up }, /unet\.a\.to_q lacks its down matrix/);
    refused({ 'unet.a.to_q.alpha': value }, /lacks its down matrix/);
  });
  test('a layer that stands there twice', () => {
    refused(
      { 'unet.a.to_q.lora_A.weight': down, 'lora_unet_a_to_q.lora_down.weight': down },
      /the down of unet\.a\.to_q twice, as unet\.a\.to_q\.lora_A\.weight and as lora_unet_a_to_q/,
    );
  });
  test('halves of different ranks', () => {
    const other = float32([4, 3], new Float32Array(12));
    refused(
      { 'unet.a.to_q.lora_A.weight': down, 'unet.a.to_q.lora_B.weight': other },
      /\[2,3\] \(unet\.a\.to_q\.lora_A\.weight\) and \[4,3\]: their ranks differ/,
    );
  });
  test('shapes that do not fit: key, found and wanted', () => {
    const wide = float32([2, 5], new Float32Array(10));
    refused(
      { 'unet.a.to_q.lora_A.weight': wide, 'unet.a.to_q.lora_B.weight': up },
      /unet\.a\.to_q\.lora_A\.weight is \[2,5\]; beside unet\.a\.to_q of this base model, \[4,3\], it must be \[2,3\]/,
    );
    const tall = float32([5, 2], new Float32Array(10));
    refused(
      { 'unet.a.to_q.lora_A.weight': down, 'unet.a.to_q.lora_B.weight': tall },
      /lora_B\.weight is \[5,2\].*must be \[4,2\]/,
    );
  });
  test('values that are no numbers', () => {
    refused(
      {
        'unet.a.to_q.lora_A.weight': float32([2, 3], [0, 0, Number.NaN, 0, 0, 0]),
        'unet.a.to_q.lora_B.weight': up,
      },
      /unet\.a\.to_q\.lora_A\.weight of the LoRA file holds NaN/,
      NonFiniteWeightError,
    );
  });
  test('nothing is read of a file that is refused', () => {
    const read = () => {
      throw new Error('read');
    };
    const tensors = new Map([['lora_unet_b.lora_down.weight', { shape: [2, 3] }]]);
    expect(() => reading.fromFile(tensors, read, small)).toThrow(UnsupportedLoraError);
  });
});

test('kernels of one pixel and matrices stand for each other; others keep their size', () => {
  const kernels = modelOf([
    ['unet.proj_in', [4, 3, 1, 1]],
    ['unet.to_q', [4, 3]],
    ['unet.conv1', [4, 3, 3, 3]],
  ]);
  const pair = (name: string, down: Shape, up: Shape): [string, Tensor][] => [
    [`lora_unet_${name}.lora_down.weight`, float32(down, new Float32Array(sizeOf(down)))],
    [`lora_unet_${name}.lora_up.weight`, float32(up, new Float32Array(sizeOf(up)))],
  ];
  const file = new Map([
    ...pair('proj_in', [2, 3], [4, 2]),
    ...pair('to_q', [5, 3, 1, 1], [4, 5, 1, 1]),
    ...pair('conv1', [7, 3, 3, 3], [4, 7, 1, 1]),
  ]);
  const shapes = [...fromFile(file, kernels).values()].map(({ down, up, alpha }) => [
    down.shape,
    up.shape,
    alpha,
  ]);
  expect(shapes).toEqual([
    [[2, 3, 1, 1], [4, 2, 1, 1], 2],
    [[5, 3], [4, 5], 5],
    [[7, 3, 3, 3], [4, 7, 1, 1], 7],
  ]);
  const flat = new Map(pair('conv1', [7, 27], [4, 7]));
  expect(() => fromFile(flat, kernels)).toThrow(/lora_down\.weight is \[7,27\].*\[4,3,3,3\].*\[7,3,3,3\]/);
});

describe('a LoRA of another line of models is refused with both named', () => {
  const text = 'text_encoder.text_model.encoder.layers.0.mlp.fc1';
  const attention = 'transformer_blocks.0.attn2.to_k';
  const line = (width: number, projection: Shape, more: [string, Shape][] = []) =>
    modelOf([
      [`unet.down_blocks.1.attentions.0.${attention}`, [8, width]],
      ['unet.down_blocks.1.attentions.0.proj_in', projection],
      ['unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q', [8, 8]],
      [text, [16, 4]],
      ...more,
    ]);
  const models = {
    'Stable Diffusion 1': line(768, [8, 8, 1, 1]),
    'Stable Diffusion 2': line(1024, [8, 8]),
    'Stable Diffusion XL': line(2048, [8, 8], [[text.replace('encoder', 'encoder_2'), [16, 4]]]),
  };
  const lora = (...layers: [string, number, number][]) =>
    new Map<string, Tensor>(
      layers.flatMap(([name, inputs, outputs]) => [
        [`${name}.lora_down.weight`, float32([1, inputs], new Float32Array(inputs))],
        [`${name}.lora_up.weight`, float32([outputs, 1], new Float32Array(outputs))],
      ]),
    );
  const at = `lora_unet_down_blocks_1_attentions_0_${attention.replaceAll('.', '_')}`;
  const files = {
    'Stable Diffusion 1': lora([at, 768, 8]),
    'Stable Diffusion 2': lora([at, 1024, 8]),
    'Stable Diffusion XL': lora([at, 2048, 8]),
  };
  const refused = (
    file: ReadonlyMap<string, Tensor>,
    own: keyof typeof models,
    made: string,
    metadata = {},
  ) => {
    const read = () => fromFile(file, models[own], metadata);
    expect(read).toThrow(LoraFamilyError);
    expect(read).toThrow(`This LoRA was made for ${made}:`);
    expect(read).toThrow(`this base model is ${own}`);
  };

  test.each(Object.keys(models) as (keyof typeof models)[])('%s', (made) => {
    for (const own of Object.keys(models) as (keyof typeof models)[]) {
      if (own === made) expect(fromFile(files[made], models[own]).size).toBe(1);
      else refused(files[made], own, made);
    }
  });
  test.each([
    ['lora_te2_text_model_encoder_layers_0_mlp_fc1', 'Stable Diffusion XL'],
    ['lora_unet_output_blocks_0_1_proj_in', 'Stable Diffusion XL'],
    ['lora_unet_down_blocks_1_attentions_0_transformer_blocks_4_attn1_to_q', 'Stable Diffusion XL'],
    ['lora_unet_double_blocks_0_img_attn_qkv', 'FLUX'],
    ['lora_unet_joint_blocks_0_x', 'Stable Diffusion 3'],
    ['transformer.transformer_blocks.0.attn.to_q', 'a diffusion transformer'],
  ])('%s tells', (key, made) => refused(lora([key, 4, 4]), 'Stable Diffusion 1', made));
  test('blocks that only 1 and 2 attend in', () => {
    const file = lora(['lora_unet_down_blocks_0_attentions_0_proj_in', 8, 8]);
    refused(file, 'Stable Diffusion XL', 'Stable Diffusion 1 or 2');
    expect(() => fromFile(file, models['Stable Diffusion 2'])).toThrow(UnsupportedLoraError);
  });
  test('its metadata, where everything fits', () => {
    const file = lora(['lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q', 8, 8]);
    const own = 'Stable Diffusion 1';
    refused(file, own, 'Stable Diffusion 2', { ss_base_model_version: 'sd_v2_v' });
    refused(file, own, 'Stable Diffusion XL', {
      'modelspec.architecture': 'stable-diffusion-xl-v1-base/lora',
    });
    expect(fromFile(file, models[own], { ss_base_model_version: 'sd_v1' }).size).toBe(1);
  });
  test('a width that is no published model’s', () =>
    refused(lora([at, 40, 8]), 'Stable Diffusion 1', 'a model whose text features are 40 wide'));
});
