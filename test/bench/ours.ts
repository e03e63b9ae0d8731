/** Our side of a case, in a process of its own: `tsx ours.ts CASE CHECKPOINT INPUTS`. Prints one line of JSON. */
import { readFileSync } from 'node:fs';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { openSafetensors, readFloat32 } from '../../sdk/checkpoint/safetensors';
import { loraTargets, unetAttention } from '../../sdk/lora/lora';
import { readBaseModel } from '../../sdk/models/base-model';
import { createSession, forTraining } from '../../sdk/runtime/session';
import { denoise } from '../../sdk/sampling/denoise';
import { createDenoiser } from '../../sdk/sampling/denoiser';
import { createScheduler } from '../../sdk/schedulers/index';
import { float32, type StoredTensor } from '../../sdk/tensor';
import { denoisingProblem, type Trained } from '../../sdk/training/denoising-problem';
import { createTrainer } from '../../sdk/training/trainer';
import { type BenchCase, cases, learningRate, rank } from './cases';
import type { Measured } from './measured';

const [name, checkpoint, inputsFile] = process.argv.slice(2) as [string, string, string];
const started = performance.now();
const base = readBaseModel(openDiffusersFolder(checkpoint));
const inputs = openSafetensors(inputsFile).tensors as ReadonlyMap<string, StoredTensor>;
const input = (key: string) => {
  const stored = inputs.get(key)!;
  return float32(stored.shape, readFloat32(stored));
};
const one = cases.find((each) => each.name === name)!;
const measured = one.kind === 'training' ? await train(one) : await sample(one);
console.log(JSON.stringify({ ...measured, peakBytes: peakBytes() } satisfies Measured));

async function train({ batch, size, steps, trained }: BenchCase) {
  const how: Trained =
    trained === 'lora'
      ? { kind: 'lora', targets: loraTargets(base.unet.tensors, unetAttention, rank), scale: 1 }
      : { kind: 'full' };
  const problem = denoisingProblem({ base, unet: how, batch, size, tokens: base.tokenizer.maxLength });
  const trainer = await createTrainer(
    problem,
    (parameter) => {
      const key = parameter.slice('unet.'.length);
      return trained === 'lora' ? input(key).data : readFloat32(base.unet.tensors.get(key)!);
    },
    {
      optimizers: { unet: { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 1e-2 } },
      maxGradientNorm: 1,
    },
    (outputs) => createSession(outputs, forTraining),
  );
  const feeds = {
    sample: input('sample'),
    timesteps: input('timesteps'),
    target: input('target'),
    textEmbeddings: input('text'),
    lossWeights: float32([batch], new Float32Array(batch).fill(1 / batch)),
  };
  const results: number[] = [];
  const step = async () => {
    const { loss } = await trainer.step(feeds, { unet: learningRate });
    results.push(loss);
  };
  await step();
  const first = performance.now() - started;
  return { first, times: await timed(steps, step), results };
}

async function sample({ batch, size, steps }: BenchCase) {
  const denoiser = await createDenoiser(base, { pictures: batch, size, guided: true }, [], createSession);
  const text = input('text');
  const length = text.data.length / (2 * batch);
  const rows = Array.from({ length: 2 * batch }, (_, i) => ({
    textEmbeddings: text.data.slice(i * length, (i + 1) * length),
  }));
  const predict = denoiser.under({
    negativePrompts: rows.slice(0, batch),
    prompts: rows.slice(batch),
    guidanceScale: 7.5,
    loras: [],
  });
  const noise = input('sample').data;
  await predict(noise, 999);
  const first = performance.now() - started;
  const times: number[] = [];
  const latents = await denoise({
    scheduler: createScheduler('ddim', base.schedulerConfig, steps),
    noise,
    drawNoise: () => noise,
    async predict(latent, timestep) {
      const begun = performance.now();
      const output = await predict(latent, timestep);
      times.push(performance.now() - begun);
      return output;
    },
  });
  return { first, times, results: Array.from(latents.subarray(0, 16)) };
}

async function timed(steps: number, step: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    const begun = performance.now();
    await step();
    times.push(performance.now() - begun);
  }
  return times;
}

/** The process's high-water mark of resident memory, as Linux keeps it; elsewhere what it is now. */
function peakBytes(): number {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))!;
    return Number(kilobytes) * 1024;
  } catch {
    return process.memoryUsage.rss();
  }
}
