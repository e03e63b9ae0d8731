/**
 * Writes what this package exports, and what it draws itself with the same weights, for check.py to hold against
 * diffusers: npx tsx test/exports/write.ts OUT && python test/exports/check.py OUT
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../sdk/checkpoint/checkpoint';
import { writeSafetensors } from '../../sdk/checkpoint/safetensors';
import type { LoraLayers } from '../../sdk/lora/lora-layers';
import { type BaseModel, readBaseModel } from '../../sdk/models/base-model';
import { createRandom } from '../../sdk/random';
import { createScheduler } from '../../sdk/schedulers/index';
import { exportCheckpoint } from '../../sdk/subjects/checkpoint-export';
import { openHome } from '../../sdk/subjects/home';
import { exportLora } from '../../sdk/subjects/lora-export';
import { float32 } from '../../sdk/tensor';
import { createSampler } from '../parity/denoise';
import { learned, randomLora } from './subject';

const out = process.argv[2]!;
const attention = ['to_q', 'to_k', 'to_v', 'to_out.0', 'q_proj', 'k_proj', 'v_proj', 'out_proj'];
const transformers = [...attention, 'ff.net.0.proj', 'ff.net.2', 'proj_in', 'proj_out', 'mlp.fc1', 'mlp.fc2'];

for (const name of ['sd15-tiny', 'sd21-tiny', 'sdxl-tiny']) {
  const folder = join(out, name);
  mkdirSync(folder, { recursive: true });
  const base = join(import.meta.dirname, '../../fixtures/golden', name);
  const home = openHome(join(folder, 'home'));
  const read = readBaseModel(openCheckpoint(base));
  const side = read.unet.config.sampleSize;
  const noise = float32([1, 4, side, side], createRandom(5).normals(4 * side * side));
  for (const [what, modules] of Object.entries({ transformers, all: ['*'] })) {
    const layers = randomLora(base, modules, 0.1);
    const subject = learned(home, what, layers, base);
    const lora = async (format: 'kohya' | 'diffusers') =>
      exportLora(
        subject,
        { format, dtype: 'float32', out: join(folder, `${what}.${format}.safetensors`) },
        base,
      );
    await lora('kohya');
    await lora('diffusers');
    for (const to of [`${what}-folder`, `${what}.safetensors`])
      await exportCheckpoint([{ subject, weight: 1 }], { out: join(folder, to), dtype: null }, base);
    const drawn = await draw(read, noise, layers);
    const merged = await draw(readBaseModel(openCheckpoint(join(folder, `${what}.safetensors`))), noise);
    const largest = Math.max(...drawn.map(Math.abs));
    const apart = Math.max(...drawn.map((value, i) => Math.abs(value - merged[i]!)));
    console.log(`${name} ${what}: ours merged against ours with LoRA ${(apart / largest).toExponential(1)}`);
    writeSafetensors(join(folder, `${what}-drawn.safetensors`), [
      ['noise', noise],
      ['latents', float32(noise.shape, drawn)],
    ]);
  }
}

async function draw(base: BaseModel, latents: ReturnType<typeof float32>, layers: LoraLayers = new Map()) {
  const sampler = await createSampler(base, layers.keys());
  const drawn = await sampler.sample({
    prompts: ['a photo of olis dog'],
    negativePrompts: ['blurry'],
    latents,
    guidanceScale: 5,
    scheduler: createScheduler('ddim', base.schedulerConfig, 5),
    drawNoise: () => {
      throw new Error('DDIM draws nothing.');
    },
    lora: { layers, scale: 1 },
  });
  await sampler.release();
  return drawn;
}
