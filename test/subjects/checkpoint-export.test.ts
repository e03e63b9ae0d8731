/** A base with a subject merged in, as a file and as a folder: opened again it is W + ΔW, and nothing else changed. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { openCheckpoint } from '../../sdk/checkpoint/checkpoint';
import type { DiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { checkpointFingerprint } from '../../sdk/checkpoint/fingerprint';
import { openSafetensors, readFloat32, readTensor, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { weightsFile } from '../../sdk/checkpoint/write-folder';
import { DiskFullError, InvalidOptionError, WrongBaseError } from '../../sdk/errors';
import { exportLearned } from '../../sdk/jobs/learned-files';
import type { LoraLayers } from '../../sdk/lora/lora-layers';
import { readBaseModel } from '../../sdk/models/base-model';
import { exportCheckpoint } from '../../sdk/subjects/checkpoint-export';
import { openHome } from '../../sdk/subjects/home';
import { createSubject } from '../../sdk/subjects/subjects';
import { learned, randomLora } from '../exports/subject';

const disk = vi.hoisted(() => ({ full: false }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const writeSync = (...call: unknown[]) => {
    if (disk.full) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    return (real.writeSync as (...call: unknown[]) => number)(...call);
  };
  return { ...real, writeSync };
});
afterEach(() => {
  disk.full = false;
});

const folder = mkdtempSync(join(tmpdir(), 'dreambooth-checkpoint-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const home = openHome(join(folder, 'home'));
const baseOf = (name: string) => join(import.meta.dirname, '../../fixtures/golden', name);

/** W + (alpha / rank) · up · down, one number after the other. */
function merged(weight: Float32Array, name: string, layers: LoraLayers, strength = 1): Float32Array {
  const lora = layers.get(name);
  if (!lora) return weight;
  const rank = lora.down.shape[0]!;
  const columns = lora.down.data.length / rank;
  return weight.map((value, at) => {
    let sum = 0;
    for (let r = 0; r < rank; r++)
      sum +=
        lora.up.data[Math.floor(at / columns) * rank + r]! * lora.down.data[r * columns + (at % columns)]!;
    return value + (strength * sum * lora.alpha) / rank;
  });
}

function expectMerged(found: DiffusersFolder, base: DiffusersFolder, layers: LoraLayers, strength = 1) {
  expect([...found.components.keys()].sort()).toEqual([...base.components.keys()].sort());
  let changed = 0;
  for (const [component, { tensors }] of base.components) {
    const theirs = found.components.get(component)!;
    expect([...theirs.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [key, stored] of tensors) {
      const other = theirs.tensors.get(key)!;
      expect(other.dtype, key).toBe(stored.dtype);
      const own = readFloat32(stored);
      const wanted = merged(own, `${component}.${key.replace(/\.weight$/, '')}`, layers, strength);
      const values = readFloat32(other);
      const worst = values.reduce((most, value, at) => Math.max(most, Math.abs(value - wanted[at]!)), 0);
      expect(values.length).toBe(wanted.length);
      expect(worst, `${component}.${key}`).toBeLessThan(1e-6);
      if (wanted !== own) changed++;
    }
  }
  expect(changed).toBe(layers.size);
  expect(found.schedulerConfig).toEqual(base.schedulerConfig);
  for (const [name, { vocab, merges }] of base.tokenizers) {
    expect(found.tokenizers.get(name)!.vocab).toEqual(vocab);
    expect(found.tokenizers.get(name)!.merges.trim()).toBe(merges.trim());
  }
  const [ours, wanted] = [found, base].map((checkpoint) => {
    const { unet, vae, textEncoders } = readBaseModel(checkpoint);
    return [unet.config, vae.config, ...textEncoders.map(({ config }) => config)];
  });
  expect(ours).toEqual(wanted);
}

describe.each(['sd15-tiny', 'sd21-tiny', 'sdxl-tiny'])('%s', (name) => {
  const base = baseOf(name);
  const layers = randomLora(base);
  const subject = learned(home, name, layers, base);
  const opened = openCheckpoint(base);
  const warnings: string[] = [];
  const exported = (out: string, how: Partial<Parameters<typeof exportCheckpoint>[1]> = {}) =>
    exportCheckpoint(
      [{ subject, weight: 1 }],
      { dtype: null, onWarning: (message) => warnings.push(message), ...how, out: join(folder, out) },
      base,
    );

  test('as one file, and as a folder from that and from its own layout', async () => {
    const file = await exported(`${name}.safetensors`);
    expectMerged(openCheckpoint(file), opened, layers);
    // These have other groups than any published model, which a file's other readers cannot see.
    expect(warnings.join()).toMatch(/Other programs .*\(unet norm_num_groups\).*a folder keeps them/);
    expectMerged(openCheckpoint(await exported(name)), opened, layers);

    const more = randomLora(file, ['to_q', 'q_proj']);
    const again = learned(home, `${name}-again`, more, file);
    const single = openCheckpoint(file);
    for (const out of [`${name}-again`, `${name}-again.safetensors`]) {
      const path = await exportCheckpoint(
        [{ subject: again, weight: 0.5 }],
        { out: join(folder, out), dtype: null },
        file,
      );
      expectMerged(openCheckpoint(path), single, more, 0.5);
    }
  });

  test('in half precision', async () => {
    const file = await exported(`${name}-half.safetensors`, { dtype: 'float16' });
    const types = new Set([...openSafetensors(file).tensors.values()].map(({ dtype }) => dtype));
    expect([...types].filter((type) => type !== 'int64')).toEqual(['float16']);
    const half = openCheckpoint(file);
    expect([...half.components.keys()]).toHaveLength(opened.components.size);
  });
});

test('keys of each line of models', async () => {
  const keys = (name: string) => [...openSafetensors(join(folder, `${name}.safetensors`)).tensors.keys()];
  const one = keys('sd15-tiny');
  expect(one).toEqual(
    expect.arrayContaining([
      'model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight',
      'model.diffusion_model.output_blocks.2.1.conv.weight',
      'first_stage_model.decoder.mid.attn_1.proj_out.weight',
      'first_stage_model.encoder.down.0.downsample.conv.weight',
      'cond_stage_model.transformer.text_model.embeddings.position_ids',
    ]),
  );
  const { tensors } = openSafetensors(join(folder, 'sd15-tiny.safetensors'));
  expect(tensors.get('first_stage_model.encoder.mid.attn_1.q.weight')!.shape.slice(2)).toEqual([1, 1]);
  const positions = readTensor(
    tensors.get('cond_stage_model.transformer.text_model.embeddings.position_ids')!,
  );
  expect([...positions.data].slice(0, 3)).toEqual([0n, 1n, 2n]);
  // As diffusers' converter writes it: no layer that is not run, no projection.
  expect(keys('sd21-tiny').filter((key) => key.startsWith('cond_stage_model.'))).toEqual(
    expect.arrayContaining([
      'cond_stage_model.model.transformer.resblocks.2.attn.in_proj_weight',
      'cond_stage_model.model.ln_final.bias',
      'cond_stage_model.model.positional_embedding',
    ]),
  );
  expect(keys('sd21-tiny').filter((key) => /text_projection|resblocks\.3\./.test(key))).toEqual([]);
  expect(keys('sdxl-tiny')).toEqual(
    expect.arrayContaining([
      'conditioner.embedders.0.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight',
      'conditioner.embedders.1.model.transformer.resblocks.0.mlp.c_fc.weight',
      'conditioner.embedders.1.model.text_projection',
      'model.diffusion_model.label_emb.0.0.weight',
    ]),
  );
});

test('several subjects, each with its weight', async () => {
  const base = baseOf('sd15-tiny');
  const [first, second] = [randomLora(base, ['to_q']), randomLora(base, ['to_k'])];
  learned(home, 'rex', first, base);
  learned(home, 'mia', second, base);
  const path = await exportLearned(home, ['rex', 'mia:0.5'], 'checkpoint', join(folder, 'both'));
  const halved = [...second].map(
    ([name, matrices]) => [name, { ...matrices, alpha: matrices.alpha / 2 }] as const,
  );
  expectMerged(openCheckpoint(path), openCheckpoint(base), new Map([...first, ...halved]));
  await expect(exportLearned(home, ['rex', 'mia'], 'kohya', folder)).rejects.toThrow(/--format checkpoint/);
  await expect(exportLearned(home, ['rex:much'], 'checkpoint', folder)).rejects.toThrow(/rex:0\.7/);
});

describe('a subject learned by changing the whole model', () => {
  const base = baseOf('sd15-tiny');
  const own = join(folder, 'whole');
  const key = 'conv_in.weight';
  const stored = openCheckpoint(base).components.get('unet')!.tensors.get(key)!;
  const tensor = {
    dtype: 'float32' as const,
    shape: stored.shape,
    data: readFloat32(stored).map((x) => 2 * x),
  };
  mkdirSync(join(own, 'unet'), { recursive: true });
  writeSafetensors(join(own, 'unet', weightsFile('unet')), [[key, tensor]]);
  createSubject(
    home,
    'whole',
    {
      id: 'w',
      className: 'dog',
      identifier: 'olis',
      instancePrompt: 'a photo of olis dog',
      kind: 'full',
      base: { path: base, fingerprint: checkpointFingerprint(base) },
      settings: {},
      seed: 0,
      steps: 1,
      createdAt: '2026-01-02T03:04:05.678Z',
      photos: [],
      versions: {},
    },
    own,
  );

  test('is exported with its own weights in place of the base’s', async () => {
    for (const [format, out] of [
      ['checkpoint', 'full.safetensors'],
      ['checkpoint', 'full'],
      ['diffusers', 'full-diffusers'],
    ] as const) {
      const { components } = openCheckpoint(await exportLearned(home, 'whole', format, join(folder, out)));
      const unet = components.get('unet')!.tensors;
      expect([...readFloat32(unet.get(key)!)]).toEqual([...tensor.data]);
      const other = 'conv_out.weight';
      const wanted = openCheckpoint(base).components.get('unet')!.tensors.get(other)!;
      expect(readFloat32(unet.get(other)!)).toEqual(readFloat32(wanted));
    }
  });

  test('goes alone, and into no LoRA', async () => {
    const to = join(folder, 'never');
    await expect(exportLearned(home, 'whole', 'kohya', to)).rejects.toThrow(/--format checkpoint/);
    await expect(exportLearned(home, ['whole', 'rex'], 'checkpoint', to)).rejects.toThrow(InvalidOptionError);
    await expect(exportLearned(home, 'whole:0.5', 'checkpoint', to)).rejects.toThrow(InvalidOptionError);
    expect(existsSync(to)).toBe(false);
  });
});

test('zero terminal SNR goes with the weights that were learned so', async () => {
  const base = baseOf('sd21-tiny');
  const own = openCheckpoint(base).schedulerConfig;
  const plain = learned(home, 'grey', randomLora(base, ['to_q']), base);
  const subject = {
    ...plain,
    settings: { ...plain.settings, zeroTerminalSnr: true },
    base: { ...plain.base, vae: '/elsewhere/vae' },
  };
  const warnings: string[] = [];
  for (const out of ['dark', 'dark.safetensors']) {
    const how = { out: join(folder, out), dtype: null, onWarning: (told: string) => warnings.push(told) };
    const path = await exportCheckpoint([{ subject, weight: 1 }], how, base);
    expect(openCheckpoint(path).schedulerConfig).toEqual({
      ...own,
      rescale_betas_zero_snr: true,
      timestep_spacing: 'trailing',
    });
  }
  expect(warnings.join()).toMatch(/@grey was learned with the autoencoder at \/elsewhere\/vae/);
});

describe('bad places and bases', () => {
  const base = baseOf('sd15-tiny');
  const subject = learned(home, 'placed', randomLora(base, ['to_q']), base);
  const place = join(folder, 'places');
  mkdirSync(place);
  const write = (out: string, signal?: AbortSignal) =>
    exportCheckpoint(
      [{ subject, weight: 1 }],
      { out: join(place, out), dtype: null, overwrite: true, signal },
      base,
    );

  test('a full disk leaves what was there, and nothing else', async () => {
    writeFileSync(join(place, 'old.safetensors'), 'old');
    disk.full = true;
    await expect(write('old.safetensors')).rejects.toThrow(DiskFullError);
    await expect(write('new')).rejects.toThrow(DiskFullError);
    expect(readFileSync(join(place, 'old.safetensors'), 'utf8')).toBe('old');
    expect(readdirSync(place)).toEqual(['old.safetensors']);
  });
  test('stopping leaves nothing', async () => {
    for (const out of ['stopped.safetensors', 'stopped'])
      await expect(write(out, AbortSignal.abort())).rejects.toThrow(/abort/i);
    expect(readdirSync(place)).toEqual(['old.safetensors']);
  });
  test('a folder with something in it', async () => {
    mkdirSync(join(place, 'full'));
    writeFileSync(join(place, 'full', 'note'), '');
    await expect(write('full')).rejects.toThrow(/exists and is not empty/);
  });
  test('another base', async () => {
    const to = { out: join(place, 'x'), dtype: null };
    await expect(exportCheckpoint([{ subject, weight: 1 }], to, baseOf('sd21-tiny'))).rejects.toThrow(
      WrongBaseError,
    );
  });
});
