/** What is found where, told by names and headers alone. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { InvalidOptionError } from '../../sdk/errors';
import { baseName } from '../../sdk/jobs/base-path';
import { listModels } from '../../sdk/library/list-models';
import { openHome } from '../../sdk/subjects/home';
import { float32, sizeOf } from '../../sdk/tensor';
import { putIntoCache } from './hub-cache-layout';

const golden = join(import.meta.dirname, '../../fixtures/golden');
const root = mkdtempSync(join(tmpdir(), 'dreambooth-list-models-'));
let user: string;
let made = 0;

beforeEach(() => {
  user = join(root, `user-${made++}`);
  mkdirSync(user);
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HOME', 'XDG_CACHE_HOME', 'COMFYUI_PATH'])
    vi.stubEnv(name, '');
  vi.stubEnv('HOME', user);
});
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(root, { recursive: true, force: true }));

const home = () => openHome(join(user, 'dreambooth'));
const list = (options: Parameters<typeof listModels>[1] = {}) => listModels(home(), options).models;
const at = (...path: string[]) => {
  const file = join(user, ...path);
  mkdirSync(dirname(file), { recursive: true });
  return file;
};

const sign = {
  'SD 1': 'cond_stage_model.transformer.text_model.embeddings.token_embedding.weight',
  'SD 2': 'cond_stage_model.model.token_embedding.weight',
  SDXL: 'conditioner.embedders.1.model.token_embedding.weight',
} as const;

/** The keys by which a single file is known, with tensors of a few numbers. */
function putCheckpoint(file: string, family: keyof typeof sign, channels = 4): string {
  const linear = family !== 'SD 1';
  const shapes: Record<string, number[]> = {
    [sign[family]]: [4, 8],
    ...(family === 'SDXL'
      ? { 'conditioner.embedders.0.transformer.text_model.final_layer_norm.bias': [8] }
      : {}),
    'first_stage_model.decoder.conv_in.weight': [8, 4, 1, 1],
    'model.diffusion_model.input_blocks.0.0.weight': [8, channels, 3, 3],
    'model.diffusion_model.input_blocks.1.0.out_layers.3.weight': [8, 8, 3, 3],
    'model.diffusion_model.input_blocks.1.1.proj_in.weight': linear ? [8, 8] : [8, 8, 1, 1],
    'model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight': [8, 8],
    'model.diffusion_model.output_blocks.0.0.out_layers.3.weight': [8, 8, 3, 3],
    'model.diffusion_model.out.2.weight': [4, 8, 3, 3],
  };
  writeSafetensors(
    at(file),
    Object.entries(shapes).map(([key, shape]) => [key, float32(shape, new Float32Array(sizeOf(shape)))]),
  );
  return join(user, file);
}

test('every place, each with the name that --base takes, its line, layout, precision and size', () => {
  const { snapshot } = putIntoCache(at('.cache/huggingface/hub'), 'org/tiny', join(golden, 'sd21-tiny'));
  putIntoCache(at('.cache/huggingface/hub'), 'org/tiny', join(golden, 'sdxl-tiny'), {
    reference: 'v2',
    commit: 'c2',
  });
  cpSync(join(golden, 'sd15-tiny'), at('ComfyUI/models/diffusers/fifteen'), { recursive: true });
  putCheckpoint('ComfyUI/models/checkpoints/sub folder/dream.safetensors', 'SD 1');
  putCheckpoint('stable-diffusion-webui-forge/models/Stable-diffusion/xl.safetensors', 'SDXL');
  putCheckpoint('stable-diffusion-webui/models/Stable-diffusion/two.safetensors', 'SD 2');
  putCheckpoint('dreambooth/models/fill.safetensors', 'SD 1', 9);
  const found = list();
  expect(found.map(({ id, family, layout, place, state }) => [id, family, layout, place, state])).toEqual([
    ['org/tiny', 'SD 2', 'diffusers', 'Hugging Face cache', 'usable'],
    ['org/tiny@v2', 'SDXL', 'diffusers', 'Hugging Face cache', 'usable'],
    ['fill', 'SD 1 inpainting', 'single-file', 'dreambooth', 'usable'],
    ['dream', 'SD 1', 'single-file', 'ComfyUI', 'usable'],
    ['fifteen', 'SD 1', 'diffusers', 'ComfyUI', 'usable'],
    ['two', 'SD 2', 'single-file', 'Stable Diffusion web UI', 'usable'],
    ['xl', 'SDXL', 'single-file', 'Stable Diffusion web UI', 'usable'],
  ]);
  expect(found[0]).toMatchObject({ path: snapshot, precision: 'float32' });
  expect(found[4]!.bytes).toBe(3_388_048 + 1_063_188 + 479_440);
  for (const { id, path } of found) {
    const name = baseName(home(), id);
    if (!id.includes('/')) expect(name).toBe(path);
  }
});

test("ComfyUI's own place, and the folders that its extra_model_paths.yaml adds", () => {
  vi.stubEnv('COMFYUI_PATH', join(user, 'comfy here'));
  putCheckpoint('comfy here/models/checkpoints/own.safetensors', 'SD 1');
  putCheckpoint('webui/models/Stable-diffusion/shared.safetensors', 'SD 1');
  putCheckpoint('more/one.safetensors', 'SD 1');
  putCheckpoint('loras/none.safetensors', 'SD 1');
  writeFileSync(
    join(user, 'comfy here/extra_model_paths.yaml'),
    `# comment\na111:\n    base_path: ${user}/webui/\n    checkpoints: models/Stable-diffusion # a comment\n    loras: |\n        ../loras\n        ../loras\nother:\n    base_path: "~"\n    checkpoints: |\n        more\n        absent\n`,
  );
  expect(list().map(({ id }) => id)).toEqual(['own', 'shared', 'one']);
});

test('a name that two have is given as paths, and refused where it is typed', () => {
  const one = putCheckpoint('ComfyUI/models/checkpoints/dream.safetensors', 'SD 1');
  const two = putCheckpoint('stable-diffusion-webui/models/Stable-diffusion/dream.safetensors', 'SDXL');
  expect(list().map(({ id }) => id)).toEqual([one, two]);
  expect(() => baseName(home(), 'dream')).toThrow(InvalidOptionError);
  expect(() => baseName(home(), 'dream')).toThrow(`${one}, ${two}`);
  expect(() => baseName(home(), 'draem')).toThrow(
    /no base model "draem".*did you mean dream\?.*dreambooth models/,
  );
});

describe('what cannot be used is said, and spoils nothing', () => {
  test('damage, other kinds and half downloads', () => {
    putCheckpoint('dreambooth/models/good.safetensors', 'SD 1');
    writeFileSync(at('dreambooth/models/cut.safetensors'), Buffer.alloc(5));
    writeFileSync(at('dreambooth/models/empty.safetensors'), '');
    writeFileSync(at('dreambooth/models/old.ckpt'), 'pickle');
    writeFileSync(at('dreambooth/models/small.gguf'), 'GGUF');
    writeFileSync(at('dreambooth/models/folder/model_index.json'), '{"_class_name": ');
    writeFileSync(at('dreambooth/models/flux/model_index.json'), '{"_class_name": "FluxPipeline"}');
    writeSafetensors(at('dreambooth/models/lora.safetensors'), [['x.lora_up.weight', float32([1], [1])]]);
    symlinkSync(join(user, 'nowhere'), join(user, 'dreambooth/models/dangling.safetensors'));
    symlinkSync(join(user, 'dreambooth/models'), join(user, 'dreambooth/models/circle'));
    putIntoCache(at('.cache/huggingface/hub'), 'org/half', join(golden, 'sd15-tiny'), {
      files: ['model_index.json'],
    });
    writeFileSync(at('.cache/huggingface/hub/models--org--begun/blobs/ab.incomplete'), '');
    const found = Object.fromEntries(list().map((model) => [model.id, model]));
    const states = Object.fromEntries(Object.entries(found).map(([id, { state }]) => [id, state]));
    expect(states).toEqual({
      good: 'usable',
      cut: 'broken',
      empty: 'broken',
      'old.ckpt': 'unsupported',
      'small.gguf': 'unsupported',
      folder: 'broken',
      flux: 'unsupported',
      lora: 'unsupported',
      'org/half': 'broken',
      'org/begun': 'broken',
    });
    expect(found['old.ckpt']!.problem).toMatch(/pickle/);
    expect(found['lora']!.problem).toMatch(/is a LoRA\b/);
    expect(found['flux']!.problem).toMatch(/FluxPipeline \(FLUX\), which is not supported/);
    expect(found['org/half']!.problem).toMatch(/get the rest with dreambooth models pull org\/half: /);
    expect(found['org/begun']!.problem).toMatch(/get the rest with dreambooth models pull org\/begun: /);
    expect(found['good']!.problem).toBeUndefined();
  });

  test('a folder within that cannot be read', () => {
    putCheckpoint('dreambooth/models/good.safetensors', 'SD 1');
    writeFileSync(at('dreambooth/models/models--a--b/snapshots'), 'a file where a folder should be');
    const told: string[] = [];
    expect(list({ onWarning: (message) => told.push(message) }).map(({ id }) => id)).toEqual(['good']);
    expect(told).toEqual([expect.stringMatching(/models--a--b cannot be looked into/)]);
  });

  test('a place that is a file', () => {
    writeFileSync(at('.cache/huggingface/hub'), '');
    const told: string[] = [];
    expect(list({ onWarning: (message) => told.push(message) })).toEqual([]);
    expect(told).toEqual([expect.stringMatching(/hub cannot be looked into.*ENOTDIR/)]);
  });
});

test('nothing: where it was looked', () => {
  const { models, places } = listModels(home());
  expect(models).toEqual([]);
  const folders = places.map(({ folder }) => folder);
  expect(folders).toContain(join(user, '.cache/huggingface/hub'));
  expect(folders).toContain(join(user, 'ComfyUI/models/checkpoints'));
  expect(folders).toContain(join(user, 'stable-diffusion-webui/models/Stable-diffusion'));
  expect(folders).toContain(home().models);
});

test('folders that are named are looked into alone, and their models have paths for names', () => {
  putCheckpoint('dreambooth/models/good.safetensors', 'SD 1');
  const here = putCheckpoint('elsewhere/deep/er/dream.safetensors', 'SD 1');
  putCheckpoint('elsewhere/.hidden/no.safetensors', 'SD 1');
  const { snapshot: inCache } = putIntoCache(at('elsewhere/cache'), 'org/tiny', join(golden, 'sd15-tiny'));
  const ids = list({ in: [join(user, 'elsewhere')] }).map(({ id }) => id);
  expect(ids).toEqual([inCache, here]);
});
