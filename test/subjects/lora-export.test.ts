/** Exported LoRA as other programs read them: names, metadata, hashes; and back again. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openSafetensors, readFloat32, safetensorsChunks } from '../../sdk/checkpoint/safetensors';
import { InvalidOptionError, LoraFamilyError } from '../../sdk/errors';
import { loraComponents } from '../../sdk/lora/lora-layers';
import { openHome } from '../../sdk/subjects/home';
import { exportLora, type LoraExport, loraFile } from '../../sdk/subjects/lora-export';
import { importSubject } from '../../sdk/subjects/lora-import';
import type { Subject } from '../../sdk/subjects/subjects';
import { float32 } from '../../sdk/tensor';
import { learned, randomLora } from '../exports/subject';

const folder = mkdtempSync(join(tmpdir(), 'dreambooth-lora-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const home = openHome(join(folder, 'home'));
const baseOf = (name: string) => join(import.meta.dirname, '../../fixtures/golden', name);

const written = (subject: Subject, how: Partial<LoraExport>, basePath: string | null = subject.base.path) => {
  const path = exportLora(
    subject,
    {
      format: 'kohya',
      dtype: 'float16',
      out: join(folder, `${subject.name}.safetensors`),
      overwrite: true,
      ...how,
    },
    basePath,
  );
  return { path, ...openSafetensors(path) };
};

test('a file that is there is kept, unless it may be written over', () => {
  const subject = learned(home, 'kept', randomLora(baseOf('sd15-tiny')), baseOf('sd15-tiny'));
  const out = join(folder, 'mine');
  const before = readFileSync(written(subject, { out }).path);
  const again = () => written(subject, { out, dtype: 'float32', overwrite: false });
  expect(again).toThrow(InvalidOptionError);
  expect(again).toThrow(/mine\/kept\.safetensors is there already: .*--overwrite/);
  expect(readFileSync(join(out, 'kept.safetensors')).equals(before)).toBe(true);
});

const families = [
  ['sd15-tiny', 'sd_v1', 'stable-diffusion-v1/lora', 'epsilon', 'False'],
  ['sd21-tiny', 'sd_v2_v', 'stable-diffusion-v2-768-v/lora', 'v', 'True'],
  ['sdxl-tiny', 'sdxl_base_v1-0', 'stable-diffusion-xl-v1-base/lora', 'epsilon', 'False'],
] as const;

describe.each(families)('%s', (name, version, architecture, prediction, v2) => {
  const base = baseOf(name);
  const layers = randomLora(base);
  const subject = learned(home, name, layers, base);

  test('says in kohya’s metadata what it is', () => {
    const { metadata } = written(subject, {});
    expect(metadata).toMatchObject({
      ss_base_model_version: version,
      ss_v2: v2,
      ss_network_module: 'networks.lora',
      ss_network_dim: '2',
      ss_network_alpha: '2',
      ss_output_name: name,
      ss_sd_model_name: name,
      ss_steps: '12',
      ss_epoch: '3',
      ss_seed: '7',
      ss_learning_rate: '0.0001',
      ss_unet_lr: '0.0001',
      ss_text_encoder_lr: '0.00005',
      ss_lr_scheduler: 'cosine',
      ss_prior_loss_weight: '1',
      ss_min_snr_gamma: '5',
      ss_num_train_images: '4',
      ss_num_reg_images: '100',
      ss_session_id: String(0x0123abcd),
      'modelspec.sai_model_spec': '1.0.0',
      'modelspec.architecture': architecture,
      'modelspec.title': name,
      'modelspec.prediction_type': prediction,
      'modelspec.date': '2026-01-02T03:04:05Z',
      'modelspec.trigger_phrase': 'olis dog',
    });
    expect(JSON.parse(metadata['ss_network_args']!)).toEqual({ conv_dim: '2', conv_alpha: '2' });
    expect(JSON.parse(metadata['ss_tag_frequency']!)).toEqual({ '1_olis dog': { 'olis dog': 4 } });
    expect(metadata['ss_optimizer']).toMatch(/AdamW\(weight_decay=0\.01,betas=\(0\.9, 0\.999\),eps=1e-8\)/);
    expect(Object.keys(metadata)).not.toContain('modelspec.author');
    expect(Object.keys(metadata)).not.toContain('ss_noise_offset');
  });

  test('carries the hashes by which web interfaces know it again', () => {
    const { path, metadata, tensors } = written(subject, { dtype: 'float32' });
    const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    const bytes = readFileSync(path);
    expect(metadata['sshs_model_hash']).toBe(sha256(bytes.subarray(8 + Number(bytes.readBigUInt64LE()))));
    // The older hash is of a file whose header says of itself what the training wrote, and nothing else.
    const training = Object.entries(metadata).filter(([key]) => key.startsWith('ss_'));
    const numbers = [...tensors].map(
      ([key, stored]) => [key, float32(stored.shape, readFloat32(stored))] as const,
    );
    const plain = Buffer.concat([...safetensorsChunks(numbers, Object.fromEntries(training))]);
    expect(metadata['sshs_legacy_hash']).toBe(sha256(plain.subarray(0x100000, 0x110000)).slice(0, 8));
  });

  test('comes back the same from either naming, at either precision', () => {
    for (const [i, how] of (
      [
        { format: 'kohya', dtype: 'float32' },
        { format: 'diffusers', dtype: 'float32' },
        { format: 'kohya', dtype: 'float16' },
        { format: 'diffusers', dtype: 'float16' },
      ] as const
    ).entries()) {
      const { path, tensors } = written(subject, how);
      expect(new Set([...tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set([how.dtype]));
      const again = importSubject(home, path, {
        ...{ name: `${name}-${i}`, className: 'dog', identifier: 'olis' },
        ...{ base, basePath: base },
      });
      const [ours, theirs] = [subject, again].map(
        (one) => openSafetensors(join(one.folder, loraFile)).tensors,
      );
      expect([...theirs!.keys()].sort()).toEqual([...ours!.keys()].sort());
      for (const [key, stored] of ours!) {
        const [wanted, found] = [readFloat32(stored), readFloat32(theirs!.get(key)!)];
        const worst = Math.max(...wanted.map((value, at) => Math.abs(value - found[at]!)));
        expect(worst, key).toBeLessThanOrEqual(how.dtype === 'float32' ? 1e-7 : 2 ** -9);
      }
    }
  });

  test('of another line of models is refused at import, with both named', () => {
    const other = baseOf(name === 'sdxl-tiny' ? 'sd15-tiny' : 'sdxl-tiny');
    const to = { name: 'other', className: 'dog', identifier: 'olis', base: other, basePath: other };
    for (const format of ['kohya', 'diffusers'] as const) {
      const { path } = written(subject, { format });
      expect(() => importSubject(home, path, to)).toThrow(LoraFamilyError);
      expect(() => importSubject(home, path, to)).toThrow(
        name === 'sdxl-tiny'
          ? /made for Stable Diffusion XL.*this base model is Stable Diffusion 1/
          : /made for Stable Diffusion 1 or 2.*this base model is Stable Diffusion XL/,
      );
    }
  });
});

test('Stable Diffusion XL has the original code’s block names, 1 and 2 diffusers’', () => {
  const flat = (name: string) =>
    [...openSafetensors(join(folder, `${name}.safetensors`)).tensors.keys()].filter((key) =>
      key.endsWith('.alpha'),
    );
  const subject = (name: string) => learned(home, `names-${name}`, randomLora(baseOf(name)), baseOf(name));
  written(subject('sdxl-tiny'), {});
  written(subject('sd15-tiny'), {});
  expect(flat('names-sdxl-tiny')).toEqual(
    expect.arrayContaining([
      'lora_unet_input_blocks_0_0.alpha',
      'lora_unet_input_blocks_3_0_op.alpha',
      'lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.alpha',
      'lora_unet_input_blocks_4_0_in_layers_2.alpha',
      'lora_unet_middle_block_1_proj_in.alpha',
      'lora_unet_output_blocks_0_1_transformer_blocks_2_ff_net_0_proj.alpha',
      'lora_unet_time_embed_0.alpha',
      'lora_unet_label_emb_0_2.alpha',
      'lora_unet_out_2.alpha',
      'lora_te1_text_model_encoder_layers_0_self_attn_q_proj.alpha',
      'lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha',
    ]),
  );
  expect(flat('names-sdxl-tiny').filter((key) => /down_blocks|up_blocks|mid_block/.test(key))).toEqual([]);
  expect(flat('names-sd15-tiny')).toEqual(
    expect.arrayContaining([
      'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0.alpha',
      'lora_unet_conv_in.alpha',
      'lora_te_text_model_encoder_layers_0_self_attn_out_proj.alpha',
    ]),
  );
});

test('where its base is gone, the LoRA itself says which names it takes', () => {
  const layers = new Map(
    [...randomLora(baseOf('sdxl-tiny'))].filter(([name]) => /attn|proj_in|mlp|time_emb/.test(name)),
  );
  const subject = learned(home, 'gone', layers, baseOf('sdxl-tiny'));
  const [there, gone] = [subject.base.path, null].map((path) => written(subject, {}, path));
  expect([...gone!.tensors.keys()].sort()).toEqual([...there!.tensors.keys()].sort());
  expect(gone!.metadata['ss_base_model_version']).toBe('sdxl_base_v1-0');
  expect(Object.keys(gone!.metadata)).not.toContain('modelspec.prediction_type');
});

test('values beyond half precision ask for float32', () => {
  const [name, { down, up }] = [...randomLora(baseOf('sd15-tiny'))][0]!;
  const large = new Map([
    [
      name,
      {
        down,
        up: float32(
          up.shape,
          up.data.map(() => 1e5),
        ),
        alpha: 3,
      },
    ],
  ]);
  const subject = learned(home, 'large', large, baseOf('sd15-tiny'));
  expect(() => written(subject, {})).toThrow(InvalidOptionError);
  expect(written(subject, { dtype: 'float32' }).tensors.size).toBe(3);
});

test('diffusers’ naming tells several ranks in its metadata, one rank needs none', () => {
  const layers = randomLora(baseOf('sdxl-tiny'));
  const { metadata } = written(learned(home, 'ranks', layers, baseOf('sdxl-tiny')), { format: 'diffusers' });
  const told = JSON.parse(metadata['lora_adapter_metadata']!);
  for (const component of loraComponents) {
    expect(new Set(told[`${component}.target_modules`]).size).toBe(
      [...layers.keys()].filter((layer) => layer.startsWith(`${component}.`)).length,
    );
    expect(told[`${component}.lora_alpha`]).toBe(told[`${component}.r`]);
    expect(told[`${component}.alpha_pattern`]).toEqual(told[`${component}.rank_pattern`]);
  }
  const one = new Map([...layers].filter(([, { alpha }]) => alpha === 2));
  expect(written(learned(home, 'rank', one, baseOf('sdxl-tiny')), { format: 'diffusers' }).metadata).toEqual({
    format: 'pt',
  });
});
