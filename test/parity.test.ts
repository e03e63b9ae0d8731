import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeSafetensors } from '../sdk/checkpoint/safetensors';
import { float32, type Tensor } from '../sdk/tensor';
import { openCheckpoint } from './parity/checkpoint';
import { main } from './parity/command';
import { expectHeld, kinds } from './parity/kinds';
import { checkLoraFiles } from './parity/lora-files';
import { checkModules } from './parity/modules';
import { openReference } from './parity/reference';
import type { Finding, Row, Status } from './parity/report';
import { defaultFolders } from './parity/run';
import { checkSampling } from './parity/sampling';
import { checkTraining } from './parity/training';

const golden = defaultFolders[0]!;
const tiny = join(golden, 'sd15-tiny');
const clipTokenizer = fileURLToPath(new URL('../fixtures/clip-tokenizer', import.meta.url));
const patient = 180_000;

async function all(findings: AsyncIterable<Finding>): Promise<Finding[]> {
  const rows: Finding[] = [];
  for await (const finding of findings) rows.push(finding);
  return rows;
}

async function command(...args: string[]): Promise<{ status: number; rows: Row[]; printed: string[] }> {
  const printed: string[] = [];
  const status = await main(['--json', ...args], (line) => printed.push(line));
  const rows = printed.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Row] : []));
  return { status, rows, printed };
}

const statusOf = (rows: readonly Finding[], check: string): Status | undefined =>
  rows.find((row) => row.check === check)?.status;
const checksWith = (rows: readonly Finding[], status: Status) =>
  rows.filter((row) => row.status === status).map((row) => row.check);

describe('every reference value in the repository holds', () => {
  test.each(kinds.filter(({ name }) => !name.endsWith('training')))('$name', expectHeld, patient);
});

describe('what is wrong fails', () => {
  const broken = mkdtempSync(join(tmpdir(), 'parity-test-'));
  const checkpoint = join(broken, 'checkpoint');
  beforeAll(() => {
    cpSync(tiny, checkpoint, { recursive: true, filter: (path) => path !== join(tiny, 'golden') });
    mkdirSync(join(checkpoint, 'golden'), { recursive: true });
  });
  afterAll(() => rmSync(broken, { recursive: true }));

  /** Writes a reference file of the broken checkpoint, changed. */
  const rewrite = (
    name: string,
    change: (tensors: Map<string, Tensor>, texts: Record<string, string>) => void,
    folder = join(checkpoint, 'golden'),
    from = join(tiny, 'golden'),
  ) => {
    const reference = openReference(from, name);
    const tensors = reference.tensors();
    const texts = { ...reference.texts };
    change(tensors, texts);
    writeSafetensors(join(folder, name), tensors, texts);
  };
  const clear = () => {
    rmSync(join(checkpoint, 'golden'), { recursive: true });
    mkdirSync(join(checkpoint, 'golden'));
  };
  const scaled = (tensors: Map<string, Tensor>, key: string, factor: number) => {
    const { shape, data } = tensors.get(key)!;
    tensors.set(
      key,
      float32(
        shape,
        Float32Array.from(data as Float32Array, (x) => x * factor),
      ),
    );
  };

  test('weights that are a thousandth off, and nothing else', async () => {
    clear();
    rewrite('modules.safetensors', () => {});
    const weights = 'diffusion_pytorch_model.safetensors';
    const perturb = (tensors: Map<string, Tensor>) => {
      for (const key of tensors.keys()) scaled(tensors, key, 1.001);
    };
    rewrite(weights, perturb, join(checkpoint, 'unet'), join(tiny, 'unet'));
    const { status, rows } = await command(checkpoint);
    expect(status).toBe(1);
    expect(checksWith(rows, 'FAIL')).toEqual(['unet.output', 'unet.output_8x16']);
    expect(checksWith(rows, 'pass')).toHaveLength(7);
    // The other files are not there, and say so.
    expect(checksWith(rows, 'absent')).toEqual([
      'prompts',
      'sampling',
      'lora',
      'lora-text-encoder',
      'train-lora',
      'train-lora-text-encoder',
      'train-full',
      'train-embedding',
    ]);
    cpSync(join(tiny, 'unet'), join(checkpoint, 'unet'), { recursive: true });
  });

  test('a tensor that is missing is absent, one that nobody looks at unsupported', async () => {
    clear();
    rewrite('modules.safetensors', (tensors) => {
      tensors.delete('vae.mean');
      tensors.delete('vae.latents');
      tensors.set('text2.input_ids', tensors.get('text.input_ids')!);
    });
    const rows = await all(checkModules(openCheckpoint(checkpoint)));
    expect(checksWith(rows, 'absent')).toEqual(['vae.mean', 'vae.decoded']);
    expect(rows.at(-1)).toMatchObject({
      status: 'unsupported',
      note: 'not looked at: text2.input_ids',
    });
    expect(checksWith(rows, 'FAIL')).toEqual([]);
  });

  test(
    'a LoRA and pictures that are not those of the reference',
    async () => {
      clear();
      for (const naming of ['diffusers', 'kohya', 'sampling']) {
        rewrite(`lora.${naming}.safetensors`, (tensors) => {
          if (naming === 'kohya')
            scaled(tensors, [...tensors.keys()].find((key) => key.endsWith('lora_up.weight'))!, 1.1);
          if (naming === 'sampling') scaled(tensors, '1.0/latents', 1.001);
        });
      }
      rewrite('sampling.safetensors', (tensors, texts) => {
        const { ddim } = JSON.parse(texts['schedulers']!) as Record<string, unknown>;
        texts['schedulers'] = JSON.stringify({ ddim, other: { _class_name: 'NoSuchScheduler' } });
        tensors.set('other/1.0/latents', tensors.get('latents')!);
        scaled(tensors, 'ddim/1.0/latents', 1.001);
        scaled(tensors, 'ddim/7.5/image', 0.9);
        tensors.delete('ddim/1.0/image');
      });
      const files = await all(checkLoraFiles(openCheckpoint(checkpoint)));
      expect(checksWith(files, 'FAIL')).toContain('lora diffusers = lora kohya');
      expect(checksWith(files, 'FAIL')).toContain('lora diffusers scale 1.0/latents');
      expect(statusOf(files, 'lora diffusers scale 0.5/latents')).toBe('pass');
      const runs = await all(checkSampling(openCheckpoint(checkpoint)));
      expect(Object.fromEntries(runs.map(({ check, status }) => [check, status]))).toEqual({
        'sampling ddim/timesteps': 'pass',
        'sampling ddim/1.0/latents': 'FAIL',
        'sampling ddim/1.0/image': 'absent',
        'sampling ddim/7.5/latents': 'pass',
        'sampling ddim/7.5/image': 'FAIL',
        'sampling other': 'unsupported',
      });
    },
    patient,
  );

  test(
    'losses, rates, gradients and weights of another run',
    async () => {
      clear();
      // Two batches of the run, from which every number but one is as it was.
      rewrite('train-lora.safetensors', (tensors, texts) => {
        for (const key of tensors.keys()) if (/^step(?!00[01])/.test(key)) tensors.delete(key);
        const [first, second] = JSON.parse(texts['losses']!) as [number, number];
        texts['losses'] = JSON.stringify([first, second * 1.001]);
        texts['learning_rates'] = '[[0.001], [0.002]]';
        scaled(tensors, [...tensors.keys()].find((key) => /^grad0.*to_v\.lora_B/.test(key))!, 1.01);
      });
      const rows = await all(checkTraining(openCheckpoint(checkpoint)));
      expect(Object.fromEntries(rows.map(({ check, status }) => [check, status]))).toEqual({
        'train-lora-text-encoder': 'absent',
        'train-full': 'absent',
        'train-embedding': 'absent',
        'train-lora unet layers': 'pass',
        'train-lora first gradients': 'FAIL',
        'train-lora learning rates': 'FAIL',
        'train-lora losses': 'FAIL',
        'train-lora final weights': 'FAIL',
      });
    },
    patient,
  );

  test.each([
    [['--use_8bit_adam'], 'train_dreambooth_lora.py: "--use_8bit_adam"'],
    [['--mixed_precision', 'fp16'], 'train_dreambooth_lora.py: "--mixed_precision" is "fp16"'],
    [['--lora_dropout=0.1'], 'train_dreambooth_lora.py: "--lora_dropout" is "0.1"'],
  ])('a run with %j is unsupported', async (added, reason) => {
    clear();
    rewrite('train-lora.safetensors', (_, texts) => {
      texts['arguments'] = JSON.stringify([...(JSON.parse(texts['arguments']!) as string[]), ...added]);
    });
    const [row] = (await all(checkTraining(openCheckpoint(checkpoint)))).filter(
      (one) => one.status !== 'absent',
    );
    expect(row).toMatchObject({
      check: 'train-lora',
      status: 'unsupported',
      note: expect.stringContaining(reason),
    });
  });

  test('another kind of checkpoint, and a file of no known name, are unsupported', async () => {
    clear();
    rewrite('modules.safetensors', () => {});
    writeFileSync(join(checkpoint, 'golden', 'control.safetensors'), '');
    const index = join(checkpoint, 'model_index.json');
    const before = readFileSync(index, 'utf8');
    writeFileSync(index, before.replace('StableDiffusionPipeline', 'StableDiffusionXLControlNetPipeline'));
    const { status, rows } = await command(checkpoint);
    writeFileSync(index, before);
    expect(status).toBe(0);
    expect(checksWith(rows, 'unsupported')).toEqual([
      'tokenizer',
      'text',
      'vae.encode',
      'vae.decode',
      'unet',
      'modules',
      'control.safetensors',
    ]);
    expect(checksWith(rows, 'pass')).toEqual([]);
  });

  test('ids of other tokens', async () => {
    const folder = join(broken, 'tokenizer');
    cpSync(join(tiny, 'tokenizer'), folder, { recursive: true });
    cpSync(join(clipTokenizer, 'golden.json'), join(folder, 'golden.json'));
    const { status, rows } = await command(folder);
    expect(status).toBe(1);
    expect(rows).toMatchObject([
      { where: 'tokenizer', status: 'FAIL', note: expect.stringContaining('of 40 differ') },
    ]);
  });

  test('a trajectory and a noise schedule', async () => {
    const folder = join(broken, 'schedulers');
    mkdirSync(folder);
    const change = (tensors: Map<string, Tensor>, texts: Record<string, string>) => {
      const { 'ddim/epsilon/5': ddim, 'euler/epsilon/5': euler } = JSON.parse(texts['configs']!) as Record<
        string,
        unknown
      >;
      texts['configs'] = JSON.stringify({ 'ddim/epsilon/5': ddim, 'euler/epsilon/5': euler });
      // A sampler that is known to be sensitive may be further off.
      texts['sensitivity'] = JSON.stringify({ 'euler/epsilon/5': 1e-4 });
      for (const key of ['ddim/epsilon/5/trajectory', 'euler/epsilon/5/trajectory', 'snr'])
        scaled(tensors, key, 1.001);
      tensors.delete('alphas_cumprod');
    };
    rewrite('schedulers.safetensors', change, folder, golden);
    const { status, rows } = await command(folder);
    expect(status).toBe(1);
    expect(Object.fromEntries(rows.map(({ check, status }) => [check, status]))).toEqual({
      'ddim/epsilon/5': 'FAIL',
      'euler/epsilon/5': 'pass',
      alphas_cumprod: 'absent',
      snr: 'FAIL',
      'add_noise/noisy': 'pass',
      'add_noise/velocity': 'pass',
      tokenizer: 'absent',
      checkpoint: 'absent',
    });
  });

  test('a folder that is not there, or holds nothing, and unknown options are wrong use', async () => {
    const empty = join(broken, 'empty');
    mkdirSync(empty);
    expect(await command(join(broken, 'nowhere'))).toMatchObject({ status: 2, rows: [] });
    expect(await command(empty)).toMatchObject({ status: 2, rows: [] });
    expect(await command('--fast')).toMatchObject({ status: 2, rows: [] });
  });
});

test('the table has a row a check and a summary', async () => {
  const lines: string[] = [];
  expect(await main([clipTokenizer], (line) => lines.push(line))).toBe(0);
  expect(lines).toHaveLength(3);
  expect(lines[1]).toMatch(/^clip-tokenizer +golden\.json +0 +0 +pass +40 texts$/);
  expect(lines[2]).toBe('1 checks: 1 passed, 0 failed, 0 absent, 0 unsupported');
});
