/** Another autoencoder in place of a checkpoint's own, in every form that people have one. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../sdk/checkpoint/checkpoint';
import { autoencoderFingerprint } from '../../sdk/checkpoint/fingerprint';
import { ldmAutoencoderModules, renamer } from '../../sdk/checkpoint/ldm-keys';
import { readFloat32, readTensor, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { MissingFileError, UnsupportedModelError } from '../../sdk/errors';
import { readAutoencoderConfig } from '../../sdk/models/autoencoder-kl';
import type { Tensor } from '../../sdk/tensor';
import { openBase } from '../../sdk/work/loaded-base';

const fixtures = join(import.meta.dirname, '../../fixtures/golden');
const base = join(fixtures, 'sd15-tiny');
const other = openCheckpoint(join(fixtures, 'sd21-tiny')).components.get('vae')!;
const folder = mkdtempSync(join(tmpdir(), 'dreambooth-vae-'));
const place = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The weights under the original code's names, which keep an attention's matrices as 1×1 kernels. */
const original = (prefix: string): [string, Tensor][] => {
  const rename = renamer(ldmAutoencoderModules(other.config), 'ldm');
  return [...other.tensors].map(([key, stored]) => {
    const tensor = readTensor(stored);
    const kernel = /mid_block\.attentions\.0\.to_.*weight$/.test(key);
    return [prefix + rename(key), kernel ? { ...tensor, shape: [...tensor.shape, 1, 1] } : tensor];
  });
};

beforeAll(() => {
  cpSync(join(fixtures, 'sd21-tiny/vae'), place('folder'), { recursive: true });
  const config = { ...other.config, scaling_factor: 0.5 };
  writeFileSync(place('folder/config.json'), JSON.stringify(config));
  const diffusers = [...other.tensors].map(([key, stored]) => [key, readTensor(stored)] as const);
  writeSafetensors(place('diffusers.safetensors'), diffusers);
  writeSafetensors(place('original.safetensors'), original(''));
  writeSafetensors(place('prefixed.safetensors'), original('first_stage_model.'));
  const fewer = { ...other.config, latent_channels: 16 };
  cpSync(place('folder'), place('wide'), { recursive: true });
  writeFileSync(place('wide/config.json'), JSON.stringify(fewer));
  writeFileSync(place('pickle.ckpt'), '');
  mkdirSync(place('empty'));
});

test.each([
  ['a folder as diffusers saves one', 'folder', 0.5],
  ['a whole checkpoint’s', join(fixtures, 'sd21-tiny'), Number(other.config['scaling_factor'])],
  ['one file in diffusers’ names', 'diffusers.safetensors', 0.18215],
  ['one file in the original names', 'original.safetensors', 0.18215],
  ['one file in a checkpoint’s names', 'prefixed.safetensors', 0.18215],
])('%s takes the place of the checkpoint’s own', (_, name, scalingFactor) => {
  const path = name.includes('tiny') ? name : place(name);
  const opened = openCheckpoint(base, path);
  const vae = opened.components.get('vae')!;
  expect(readAutoencoderConfig(vae.config)).toMatchObject({
    ...readAutoencoderConfig(other.config),
    scalingFactor,
    sampleSize: expect.any(Number),
  });
  expect([...vae.tensors.keys()].sort()).toEqual([...other.tensors.keys()].sort());
  for (const [key, stored] of other.tensors)
    expect(readFloat32(vae.tensors.get(key)!)).toEqual(readFloat32(stored));
  expect(opened.components.get('unet')).toEqual(openCheckpoint(base).components.get('unet'));
});

test('a subject is learned on the checkpoint; what is kept is told apart by the autoencoder, too', () => {
  const own = openBase(base);
  const others = ['folder', 'diffusers.safetensors'].map((name) => openBase(base, place(name)));
  for (const { fingerprint } of others) expect(fingerprint).toBe(own.fingerprint);
  expect(new Set([own, ...others].map(({ contents }) => contents)).size).toBe(3);
  cpSync(place('folder'), place('moved'), { recursive: true });
  expect(autoencoderFingerprint(place('moved'))).toBe(autoencoderFingerprint(place('folder')));
});

describe('what is none is told for what it is', () => {
  test.each([
    ['wide', UnsupportedModelError, /latents of 16 channels; this base model's have 4/],
    ['pickle.ckpt', UnsupportedModelError, /is a Python pickle/],
    ['empty', MissingFileError, /config\.json/],
    ['nowhere', MissingFileError, /no autoencoder at .*nowhere.*"base"/],
    [
      join(fixtures, 'sd15-tiny/unet'),
      UnsupportedModelError,
      /is a UNet2DConditionModel, not an autoencoder/,
    ],
    [
      join(fixtures, 'sd15-tiny/golden/lora.kohya.safetensors'),
      UnsupportedModelError,
      /is a LoRA: --vae takes/,
    ],
  ])('%s', (name, error, message) => {
    const open = () => openCheckpoint(base, name.includes('tiny') ? name : place(name));
    expect(open).toThrow(error);
    expect(open).toThrow(message);
  });
});
