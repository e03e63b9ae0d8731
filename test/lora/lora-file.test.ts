import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { UnsupportedLoraError } from '../../sdk/errors';
import { fromFile, type LoraLayers, toDiffusers, toKohya } from '../../sdk/lora/lora-file';
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
const modules = [...diffusers.keys()]
  .filter((key) => key.endsWith('.down.weight'))
  .map((key) => key.replace(/\.(lora|lora_linear_layer)\.down\.weight$/, ''));

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
    const layers = fromFile(diffusers, modules);
    expect(layers.size).toBe(144);
    expect(sorted(layers)).toEqual(sorted(fromFile(kohya, modules)));
    expect(layers.get('unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q')!.alpha).toBe(8);
  });

  test('is written key for key, value for value', () => {
    const layers = fromFile(kohya, modules);
    expect(sorted(toDiffusers(layers))).toEqual(sorted(diffusers));
    expect(sorted(toKohya(layers))).toEqual(sorted(kohya));
  });
});

describe('other spellings read to the same', () => {
  const wanted = sorted(fromFile(diffusers, modules));
  const reads = (file: ReadonlyMap<string, Tensor>) =>
    expect(sorted(fromFile(file, modules))).toEqual(wanted);

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
    const layers = fromFile(diffusers, modules);
    const half = fromFile(toKohya(layers, { dtype: 'float16' }), modules);
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
    expect(fromFile(toKohya(layers), [name]).get(name)).toEqual(layers.get(name));
  });

  test('diffusers’ naming has it in the weights', () => {
    const read = fromFile(toDiffusers(layers), [name]).get(name)!;
    expect(read).toMatchObject({ alpha: 2, down: layers.get(name)!.down, up: float32([1, 2], [4, 8]) });
  });

  test('is read from diffusers’ metadata, and from keys of their own', () => {
    const metadata = (settings: object) => ({ lora_adapter_metadata: JSON.stringify(settings) });
    const file = toDiffusers(layers);
    expect(fromFile(file, [name], metadata({ 'unet.lora_alpha': 16 })).get(name)!.alpha).toBe(16);
    const pattern = { 'unet.lora_alpha': 16, 'unet.alpha_pattern': { 'a.to_q': 3 } };
    expect(fromFile(file, [name], metadata(pattern)).get(name)!.alpha).toBe(3);
    expect(fromFile(new Map([...file, [`${name}.alpha`, float32([], [5])]]), [name]).get(name)!.alpha).toBe(
      5,
    );
    expect(() => fromFile(file, [name], metadata({ 'unet.use_dora': true }))).toThrow(/DoRA/);
    expect(() => fromFile(file, [name], { lora_adapter_metadata: '{' })).toThrow(UnsupportedLoraError);
  });
});

test('beside a second text encoder the first is te1', () => {
  const pair = { down: float32([1, 1], [1]), up: float32([1, 1], [1]), alpha: 1 };
  const names = ['text_encoder.text_model.x', 'text_encoder_2.text_model.x'];
  const written = toKohya(new Map(names.map((name) => [name, pair])));
  expect([...written.keys()].filter((key) => key.endsWith('alpha'))).toEqual([
    'lora_te1_text_model_x.alpha',
    'lora_te2_text_model_x.alpha',
  ]);
  expect([...fromFile(written, names).keys()]).toEqual(names);
});

describe('what is no plain LoRA of this model is refused', () => {
  const value = float32([1], [0]);
  const [down, up] = [float32([2, 3], new Float32Array(6)), float32([4, 2], new Float32Array(8))];
  const refused = (file: Record<string, Tensor>, message: RegExp) => {
    const read = () => fromFile(new Map(Object.entries(file)), ['unet.a.to_q']);
    expect(read).toThrow(UnsupportedLoraError);
    expect(read).toThrow(message);
  };

  test.each([
    ['lora_unet_a_to_q.dora_scale', 'DoRA'],
    ['unet.a.to_q.lora_magnitude_vector', 'DoRA'],
    ['lora_unet_a_to_q.hada_w1_a', 'LoHa'],
    ['lora_unet_a_to_q.lokr_w1', 'LoKr'],
    ['lora_unet_a_to_q.oft_blocks', 'OFT'],
    ['lora_unet_a_to_q.lora_mid.weight', 'Tucker'],
    ['lora_unet_a_to_q.diff', 'difference'],
  ])('%s is %s', (key, kind) => refused({ [key]: value }, new RegExp(kind)));

  test('layers that the model does not have', () => {
    const file = {
      'lora_unet_input_blocks_4_1_proj_in.lora_up.weight': up,
      'unet.a.to_q.lora.up.weight': up,
    };
    refused(file, /1 of the 2 keys .* name no layer of this base model \(lora_unet_input_blocks_4_1_proj_in/);
  });
  test('an empty file, and one of other tensors', () => {
    refused({}, /no tensors/);
    refused({ 'conv_in.weight': value }, /1 of the 1 keys/);
  });
  test('a missing half', () => {
    refused({ 'unet.a.to_q.lora_A.weight': down }, /unet\.a\.to_q lacks its up matrix/);
    refused({ 'unet.a.to_q.lora_B.weight': up }, /unet\.a\.to_q lacks its down matrix/);
  });
  test('halves of different ranks', () => {
    const other = float32([4, 3], new Float32Array(12));
    refused(
      { 'unet.a.to_q.lora_A.weight': down, 'unet.a.to_q.lora_B.weight': other },
      /\[2,3\] and \[4,3\]: their ranks differ/,
    );
  });
});
