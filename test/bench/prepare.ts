/** Weights and inputs of a case as files, the same for both sides. */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { loraTargets, unetAttention } from '../../sdk/lora/lora';
import type { BaseModel } from '../../sdk/models/base-model';
import { unet } from '../../sdk/models/unet';
import { readUNetConfig } from '../../sdk/models/unet-config';
import { declaredWeights, initialWeight } from '../../sdk/nn/initial-weights';
import { createRandom } from '../../sdk/random';
import { float32, type Tensor } from '../../sdk/tensor';
import { type BenchCase, rank, schedulerConfig, toyboxUNet, unet35m } from './cases';

const fixtures = join(import.meta.dirname, '../../fixtures');

/** A folder in the diffusers layout: the embedded model, or random weights in `folder`. */
export function prepareCheckpoint(folder: string, model: BenchCase['model']): string {
  const embedded = join(fixtures, 'toybox');
  if (model === 'toybox' && existsSync(join(embedded, 'unet/config.json'))) return embedded;
  const target = join(folder, model);
  if (existsSync(target)) return target;
  const config = model === 'toybox' ? toyboxUNet : unet35m;
  const draft = `${target}.tmp`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(join(draft, 'unet'), { recursive: true });
  // Everything but the UNet is that of a small published layout; it is not timed.
  const rest = join(fixtures, 'golden/sd15-tiny');
  for (const part of ['model_index.json', 'text_encoder', 'tokenizer', 'vae']) {
    cpSync(join(rest, part), join(draft, part), { recursive: true });
  }
  mkdirSync(join(draft, 'scheduler'));
  writeFileSync(join(draft, 'scheduler/scheduler_config.json'), JSON.stringify(schedulerConfig, null, 2));
  writeFileSync(join(draft, 'unet/config.json'), JSON.stringify(config, null, 2));
  const network = readUNetConfig(config);
  const random = createRandom(11);
  const tensors = declaredWeights((w, graph) => {
    const sample = graph.input('sample', 'float32', [1, config.in_channels, 8, 8]);
    const timesteps = graph.input('timesteps', 'float32', [1]);
    unet(w, network, {
      sample,
      timesteps,
      textEmbeddings: graph.input('text', 'float32', [1, 4, config.cross_attention_dim]),
    });
  }).map((weight) => [weight.key, float32(weight.shape, initialWeight(weight, random, false))] as const);
  writeSafetensors(join(draft, 'unet/diffusion_pytorch_model.safetensors'), tensors);
  renameSync(draft, target);
  return target;
}

/** What both sides are fed: latents, noise, text embeddings, first values of the LoRA. */
export function prepareInputs(
  file: string,
  { batch, size, kind, trained }: BenchCase,
  base: BaseModel,
): void {
  const random = createRandom(5);
  const { inChannels, crossAttentionDim } = base.unet.config;
  const rows = kind === 'sampling' ? 2 * batch : batch;
  const draw = (shape: readonly number[]) => float32(shape, random.normals(shape.reduce((a, b) => a * b)));
  const tensors = new Map<string, Tensor>([
    ['sample', draw([batch, inChannels, ...size])],
    ['target', draw([batch, inChannels, ...size])],
    [
      'timesteps',
      float32(
        [batch],
        Float32Array.from({ length: batch }, () => random.integer(1000)),
      ),
    ],
    ['text', draw([rows, base.tokenizer.maxLength, crossAttentionDim])],
  ]);
  if (trained === 'lora') {
    for (const { path, down, up } of loraTargets(base.unet.tensors, unetAttention, rank)) {
      tensors.set(`${path}.down`, draw(down));
      tensors.set(`${path}.up`, float32(up, new Float32Array(up.reduce((a, b) => a * b))));
    }
  }
  writeSafetensors(file, tensors);
}
