import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { checkpointFingerprint } from '../../sdk/checkpoint/fingerprint';
import { assertFinite } from '../../sdk/checkpoint/finite-weights';
import { openSafetensors, readFloat32, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import {
  BrokenFileError,
  type DreamBoothError,
  MissingFileError,
  NonFiniteWeightError,
  UnsupportedModelError,
} from '../../sdk/errors';
import { float32, type Tensor } from '../../sdk/tensor';

let root: string;
let base: string;

const one = (value: number) => float32([1], [value]);
const json = (path: string, value: unknown) => writeFileSync(join(base, path), JSON.stringify(value));

const modelIndex = {
  _class_name: 'StableDiffusionPipeline',
  _diffusers_version: '0.6.0',
  requires_safety_checker: false,
  safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
  feature_extractor: ['transformers', 'CLIPImageProcessor'],
  image_encoder: [null, null],
  unet: ['diffusers', 'UNet2DConditionModel'],
  vae: ['diffusers', 'AutoencoderKL'],
  text_encoder: ['transformers', 'CLIPTextModel'],
  tokenizer: ['transformers', 'CLIPTokenizer'],
  scheduler: ['diffusers', 'PNDMScheduler'],
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'base-'));
  base = join(root, 'model');
  for (const name of ['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler']) {
    mkdirSync(join(base, name), { recursive: true });
  }
  json('model_index.json', modelIndex);
  json('unet/config.json', { sample_size: 8 });
  json('vae/config.json', { latent_channels: 4 });
  json('text_encoder/config.json', { hidden_size: 32 });
  json('scheduler/scheduler_config.json', { beta_start: 0.00085 });
  json('tokenizer/vocab.json', { a: 0, b: 1, ab: 2 });
  writeFileSync(join(base, 'tokenizer/merges.txt'), '#version: 0.2\na b\n');
  json('tokenizer/tokenizer_config.json', { model_max_length: 77 });
  weights('unet/diffusion_pytorch_model.safetensors', { 'conv_in.weight': one(1) });
  weights('vae/diffusion_pytorch_model.safetensors', {
    'encoder.mid_block.attentions.0.query.weight': one(1),
    'encoder.mid_block.attentions.0.key.weight': one(2),
    'encoder.mid_block.attentions.0.value.bias': one(3),
    'encoder.mid_block.attentions.0.proj_attn.weight': one(4),
    'encoder.mid_block.attentions.0.group_norm.weight': one(5),
  });
  weights('text_encoder/model.safetensors', {
    'text_model.embeddings.position_ids': { dtype: 'int64', shape: [1], data: BigInt64Array.of(0n) },
    'text_model.final_layer_norm.weight': one(1),
  });
});
afterEach(() => rmSync(root, { recursive: true }));

const weights = (path: string, tensors: Record<string, Tensor>) =>
  writeSafetensors(join(base, path), Object.entries(tensors));

const keysOf = (name: string) => [...openDiffusersFolder(base).components.get(name)!.tensors.keys()].sort();

function refusal(path = base): DreamBoothError {
  try {
    openDiffusersFolder(path);
  } catch (error) {
    return error as DreamBoothError;
  }
  throw new Error('it was opened');
}

describe('opening', () => {
  test('every part, without reading a weight', () => {
    const folder = openDiffusersFolder(base);
    expect([...folder.components].map(([name, part]) => [name, part.className])).toEqual([
      ['unet', 'UNet2DConditionModel'],
      ['vae', 'AutoencoderKL'],
      ['text_encoder', 'CLIPTextModel'],
    ]);
    expect(folder.components.get('unet')!.config).toEqual({ sample_size: 8 });
    expect(folder.schedulerConfig).toEqual({ beta_start: 0.00085 });
    expect(folder.tokenizers.get('tokenizer')).toEqual({
      vocab: { a: 0, b: 1, ab: 2 },
      merges: '#version: 0.2\na b\n',
      config: { model_max_length: 77 },
      specialTokens: {},
    });
  });

  test('a tokenizer.json stands for vocab.json and merges.txt', () => {
    rmSync(join(base, 'tokenizer/vocab.json'));
    json('tokenizer/tokenizer.json', { model: { vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] } });
    expect(openDiffusersFolder(base).tokenizers.get('tokenizer')).toMatchObject({
      vocab: { ab: 2 },
      merges: 'a b',
    });
  });

  test('old spellings of the autoencoder’s attention become today’s', () => {
    const attention = 'encoder.mid_block.attentions.0';
    expect(keysOf('vae')).toEqual(
      ['group_norm.weight', 'to_k.weight', 'to_out.0.weight', 'to_q.weight', 'to_v.bias'].map(
        (k) => `${attention}.${k}`,
      ),
    );
    const { tensors } = openDiffusersFolder(base).components.get('vae')!;
    expect(readFloat32(tensors.get(`${attention}.to_out.0.weight`)!)).toEqual(Float32Array.of(4));
  });

  test('a text encoder’s keys get the published prefix, buffers are left out', () => {
    expect(keysOf('text_encoder')).toEqual(['text_model.final_layer_norm.weight']);
    weights('text_encoder/model.safetensors', {
      'embeddings.position_ids': one(0),
      'embeddings.token_embedding.weight': one(0),
      'encoder.layers.0.layer_norm1.bias': one(0),
      'final_layer_norm.weight': one(0),
      'text_projection.weight': one(0),
    });
    expect(keysOf('text_encoder')).toEqual([
      'text_model.embeddings.token_embedding.weight',
      'text_model.encoder.layers.0.layer_norm1.bias',
      'text_model.final_layer_norm.weight',
      'text_projection.weight',
    ]);
  });

  test('half-precision files are taken where there are no others', () => {
    const full = join(base, 'unet/diffusion_pytorch_model.safetensors');
    cpSync(full, join(base, 'unet/diffusion_pytorch_model.fp16.safetensors'));
    const file = () => openDiffusersFolder(base).components.get('unet')!.tensors.get('conv_in.weight')!.file;
    expect(file()).toBe(realpathSync(full));
    rmSync(full);
    expect(file()).toMatch(/fp16\.safetensors$/);
  });

  test('shards are read through their index', () => {
    rmSync(join(base, 'unet/diffusion_pytorch_model.safetensors'));
    weights('unet/part-1.safetensors', { a: one(1) });
    weights('unet/part-2.safetensors', { b: one(2) });
    const index = 'unet/diffusion_pytorch_model.safetensors.index.json';
    json(index, { weight_map: { a: 'part-1.safetensors', b: 'part-2.safetensors' } });
    expect(keysOf('unet')).toEqual(['a', 'b']);

    json(index, { weight_map: { a: 'part-1.safetensors', c: 'part-2.safetensors' } });
    expect(refusal()).toBeInstanceOf(BrokenFileError);
    expect(refusal().message).toMatch(/Tensor c is not in .*part-2/);
    json(index, { weight_map: { a: 'part-9.safetensors' } });
    expect(refusal().message).toMatch(/no file .*part-9/);
  });

  test('a Hugging Face cache: snapshots of links into blobs', () => {
    const cache = join(root, 'models--owner--name');
    const snapshot = join(cache, 'snapshots', 'abc');
    cpSync(base, snapshot, { recursive: true });
    mkdirSync(join(cache, 'refs'));
    mkdirSync(join(cache, 'blobs'));
    writeFileSync(join(cache, 'refs', 'main'), 'abc\n');
    renameSync(join(snapshot, 'unet/diffusion_pytorch_model.safetensors'), join(cache, 'blobs/0123'));
    symlinkSync('../../../blobs/0123', join(snapshot, 'unet/diffusion_pytorch_model.safetensors'));
    const stored = openDiffusersFolder(cache).components.get('unet')!.tensors.get('conv_in.weight')!;
    expect(stored.file).toBe(realpathSync(join(cache, 'blobs/0123')));
    expect(readFloat32(stored)).toEqual(Float32Array.of(1));
  });
});

describe('refusing', () => {
  test('a path that is not there, and a file', () => {
    expect(refusal(join(root, 'elsewhere'))).toBeInstanceOf(MissingFileError);
    expect(refusal(join(root, 'elsewhere')).message).toMatch(/elsewhere.*`toybox`.*diffusers layout/);
    expect(refusal(join(base, 'model_index.json')).message).toMatch(/is a file, not a folder/);
  });

  test('a folder of something else', () => {
    expect(refusal(join(base, 'unet')).message).toMatch(/no file .*model_index\.json.*diffusers folder/);
  });

  test.each([
    ['config.json', { _class_name: 'AutoencoderKL' }, /an autoencoder alone \(AutoencoderKL\)/],
    ['config.json', { architectures: ['CLIPTextModel'] }, /a text encoder alone \(CLIPTextModel\)/],
    ['config.json', { _class_name: 'ControlNetModel' }, /a ControlNet \(/],
    ['adapter_config.json', { peft_type: 'LORA' }, /holds a LoRA .*dreambooth subjects import/],
    ['model_index.json', { _class_name: 'StableDiffusion3Pipeline' }, /\(Stable Diffusion 3\), which is not/],
    [
      'model_index.json',
      { _class_name: 'StableDiffusionUpscalePipeline' },
      /\(an upscaler of finished pictures\)/,
    ],
  ])('a folder whose %s is %j, in words', (name, json, message) => {
    const folder = mkdtempSync(join(tmpdir(), 'base-other-'));
    writeFileSync(join(folder, name), JSON.stringify(json));
    expect(refusal(folder)).toBeInstanceOf(UnsupportedModelError);
    expect(refusal(folder).message).toMatch(message);
    rmSync(folder, { recursive: true });
  });

  test('a file that is no checkpoint, by its first bytes', () => {
    const folder = mkdtempSync(join(tmpdir(), 'base-other-'));
    writeFileSync(join(folder, 'model.gguf'), 'GGUF\u0003\0\0\0');
    expect(refusal(join(folder, 'model.gguf'))).toBeInstanceOf(UnsupportedModelError);
    expect(refusal(join(folder, 'model.gguf')).message).toMatch(/a GGUF file/);
    rmSync(folder, { recursive: true });
  });

  test('shards: a missing one, a tensor in two, one in another than the index says', () => {
    const unet = join(base, 'unet');
    const part = (n: number) => join(unet, `diffusion_pytorch_model-0000${n}-of-00002.safetensors`);
    const one = float32([1], Float32Array.of(1));
    const index = join(unet, 'diffusion_pytorch_model.safetensors.index.json');
    const list = (map: object) => writeFileSync(index, JSON.stringify({ weight_map: map }));
    const whole = join(unet, 'diffusion_pytorch_model.safetensors');
    const kept = readFileSync(whole);
    rmSync(whole);
    const [first, second] = [part(1), part(2)].map((path) => basename(path)) as [string, string];
    list({ a: first, b: second });
    writeSafetensors(part(1), [['a', one]]);
    expect(refusal(base)).toBeInstanceOf(MissingFileError);
    expect(refusal(base).message).toMatch(/no file .*00002-of.*which .*index\.json names/);
    writeSafetensors(part(2), [
      ['b', one],
      ['a', one],
    ]);
    expect(refusal(base)).toBeInstanceOf(BrokenFileError);
    expect(refusal(base).message).toMatch(/Tensor a is in .*00001-of.* and in .*00002-of/);
    writeSafetensors(part(2), [['b', one]]);
    list({ a: second, b: second });
    expect(refusal(base).message).toMatch(/Tensor a is not in .*00002-of.*where .*index\.json says/);
    for (const path of [part(1), part(2), index]) rmSync(path);
    writeFileSync(whole, kept);
  });

  test.each(['unet', 'vae', 'text_encoder'])('a %s without its config or weights', (name) => {
    const files = readdirSync(join(base, name));
    for (const file of files) {
      const away = join(root, 'away');
      renameSync(join(base, name, file), away);
      expect(refusal()).toBeInstanceOf(MissingFileError);
      expect(refusal().message).toContain(join(base, name));
      expect(refusal().message).toContain(file);
      renameSync(away, join(base, name, file));
    }
  });

  test.each(['tokenizer/vocab.json', 'tokenizer/merges.txt', 'scheduler/scheduler_config.json'])(
    'no %s',
    (file) => {
      rmSync(join(base, file));
      expect(refusal()).toBeInstanceOf(MissingFileError);
      expect(refusal().message).toContain(file);
    },
  );

  test('weights cut short', () => {
    const path = join(base, 'unet/diffusion_pytorch_model.safetensors');
    truncateSync(path, readFileSync(path).length - 1);
    expect(refusal()).toBeInstanceOf(BrokenFileError);
    expect(refusal().message).toMatch(/conv_in\.weight/);
  });

  test('broken JSON', () => {
    writeFileSync(join(base, 'unet/config.json'), '{"sample_size":');
    expect(refusal()).toBeInstanceOf(BrokenFileError);
    writeFileSync(join(base, 'unet/config.json'), '');
    expect(refusal().message).toMatch(/config\.json is not valid JSON \(it is empty\)/);
    json('unet/config.json', [1]);
    expect(refusal().message).toMatch(/does not hold a JSON object/);
    json('unet/config.json', {});
    json('tokenizer/vocab.json', { a: 'x' });
    expect(refusal().message).toMatch(/Token "a" .* id "x"/);
  });

  test('pickles, with the reason and the mend', () => {
    rmSync(join(base, 'unet/diffusion_pytorch_model.safetensors'));
    writeFileSync(join(base, 'unet/diffusion_pytorch_model.bin'), '');
    expect(refusal()).toBeInstanceOf(UnsupportedModelError);
    expect(refusal().message).toMatch(/\.bin is a Python pickle.*run code.*safe_serialization/);
    writeFileSync(join(root, 'model.ckpt'), '');
    expect(refusal(join(root, 'model.ckpt')).message).toMatch(/Python pickle/);
  });

  test('classes that are not supported, listing those that are', () => {
    json('model_index.json', { ...modelIndex, _class_name: 'FluxPipeline' });
    expect(refusal()).toBeInstanceOf(UnsupportedModelError);
    expect(refusal().message).toMatch(/FluxPipeline.*supported: StableDiffusionPipeline/);
    json('model_index.json', { ...modelIndex, unet: ['diffusers', 'UNet3DConditionModel'] });
    expect(refusal().message).toMatch(
      /unet .* UNet3DConditionModel.*supported: UNet2DConditionModel, AutoencoderKL/,
    );
    json('model_index.json', { ...modelIndex, tokenizer: ['transformers', 'T5Tokenizer'] });
    expect(refusal().message).toMatch(/T5Tokenizer.*CLIPTokenizer/);
    json('model_index.json', { ...modelIndex, vae: [null, null] });
    expect(refusal().message).toMatch(/lists no vae/);
  });
});

describe('weights that are not finite', () => {
  const check = (tensor: Tensor) => {
    weights('unet/diffusion_pytorch_model.safetensors', { good: one(1), bad: tensor });
    assertFinite(openSafetensors(join(base, 'unet/diffusion_pytorch_model.safetensors')).tensors);
  };
  const large = new Float32Array(5_000_000).fill(3e38);

  test('large but finite numbers, subnormals and integers pass', () => {
    expect(() => check(float32([large.length], large))).not.toThrow();
    expect(() => check({ dtype: 'float16', shape: [2], data: Uint16Array.of(0x7bff, 0x0001) })).not.toThrow();
    expect(() => check({ dtype: 'int32', shape: [1], data: Int32Array.of(0x7f800000) })).not.toThrow();
    expect(() => check({ dtype: 'float64', shape: [2], data: Float64Array.of(1e308, 5e-324) })).not.toThrow();
  });

  test.each<[string, Tensor, number]>([
    ['float32', float32([3], [1, 2, Number.NaN]), 2],
    [
      'float32 beyond the first piece',
      float32([5_000_000], large.with(4_999_999, Number.NEGATIVE_INFINITY)),
      4_999_999,
    ],
    ['float16', { dtype: 'float16', shape: [2], data: Uint16Array.of(0, 0xfe00) }, 1],
    ['bfloat16', { dtype: 'bfloat16', shape: [2], data: Uint16Array.of(0, 0x7f80) }, 1],
    ['float64', { dtype: 'float64', shape: [3], data: Float64Array.of(1, 1, Number.NaN) }, 2],
  ])('%s', (_, tensor, element) => {
    expect(() => check(tensor)).toThrow(NonFiniteWeightError);
    expect(() => check(tensor)).toThrow(new RegExp(`Weight bad .* at element ${element}:`));
  });
});

describe('fingerprint', () => {
  test('is the content’s: equal for a copy, another after any change', () => {
    const first = checkpointFingerprint(base);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    cpSync(base, join(root, 'copy'), { recursive: true });
    expect(checkpointFingerprint(join(root, 'copy'))).toBe(first);

    weights('unet/diffusion_pytorch_model.safetensors', { 'conv_in.weight': one(1.0001) });
    const second = checkpointFingerprint(base);
    expect(second).not.toBe(first);
    json('scheduler/scheduler_config.json', { beta_start: 0.001 });
    expect(checkpointFingerprint(base)).not.toBe(second);
  });

  test('of large files, from samples', () => {
    const values = new Float32Array(3_000_000).fill(1);
    weights('unet/diffusion_pytorch_model.safetensors', { w: float32([values.length], values) });
    const first = checkpointFingerprint(base);
    weights('unet/diffusion_pytorch_model.safetensors', {
      w: float32(
        [values.length],
        values.map((v) => v + 1e-3),
      ),
    });
    expect(checkpointFingerprint(base)).not.toBe(first);
  });
});
