import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { readFloat32 } from '../../sdk/checkpoint/safetensors';
import { TrainingDivergedError } from '../../sdk/errors';
import type { CreateSession } from '../../sdk/graph/session';
import { readBaseModel, tensorsOf } from '../../sdk/models/base-model';
import { tokenizePrompt } from '../../sdk/models/text-condition';
import { createRandom } from '../../sdk/random';
import { createSession } from '../../sdk/runtime/session';
import { createNoiseSchedule } from '../../sdk/schedulers/noise-schedule';
import { float32 } from '../../sdk/tensor';
import { snrWeight, targetOf, trainingNoises } from '../../sdk/training/diffusion-target';
import { effectiveSettings, type TrainingSettings } from '../../sdk/training/presets';
import {
  type DreamBoothCheckpoint,
  type DreamBoothRun,
  trainDreamBooth,
} from '../../sdk/training/train-dreambooth';

const base = readBaseModel(openDiffusersFolder(join(import.meta.dirname, '../../fixtures/golden/sd15-tiny')));

function runWith(settings: Partial<TrainingSettings>): DreamBoothRun {
  const random = createRandom(4);
  const latents = () => ({
    mean: random.normals(4 * 8 * 8),
    logvar: new Float32Array(4 * 8 * 8).fill(-20),
    size: [8, 8] as const,
    sizes: [64, 64, 0, 0, 64, 64] as const,
  });
  const prompt = (text: string) => ({
    tokens: tokenizePrompt(base, text).tokens,
    condition: {
      textEmbeddings: random.normals(base.tokenizer.maxLength * base.unet.config.crossAttentionDim),
    },
  });
  const photos = [latents(), latents()];
  const classImages = [latents(), latents(), latents()];
  const instance = prompt('a sks dog');
  return {
    base,
    settings: effectiveSettings('sd15-lora', { steps: 4, rank: 2, targetModules: ['to_v'], ...settings }),
    seed: 1,
    className: 'dog',
    photos: photos.map((picture) => ({ variants: [picture], prompts: [instance] })),
    classImages: classImages.map((picture) => ({ ...picture, prompt: prompt('a dog') })),
    classPrompts: [prompt('a dog')],
    noPrompt: prompt(''),
    readWeight: (component, key) => readFloat32(tensorsOf(base, component).get(key)!),
  };
}

describe('a training', () => {
  test('whose loss is no number stops, and its last checkpoint is one whose own loss was a number', async () => {
    let runs = 0;
    const broken: CreateSession = async (outputs) => {
      const session = await createSession(outputs);
      return {
        ...session,
        async run(feeds) {
          const results = await session.run(feeds);
          runs += 1;
          return runs === 3 ? { ...results, loss: float32([], [Number.NaN]) } : results;
        },
      };
    };
    const checkpoints: DreamBoothCheckpoint[] = [];
    const losses: number[] = [];
    const hooks = {
      onStep: (_: number, loss: number) => losses.push(loss),
      onCheckpoint: (checkpoint: DreamBoothCheckpoint) => checkpoints.push(checkpoint),
    };
    const failure = await trainDreamBooth(runWith({ checkpointEvery: 1 }), hooks, broken).catch(
      (error) => error,
    );
    expect(failure).toBeInstanceOf(TrainingDivergedError);
    expect(failure).toMatchObject({ step: 3, message: expect.stringMatching(/loss is NaN.*learning rate/) });
    expect(losses).toHaveLength(2);
    // The third loss, of the weights after two updates, says that those are ruined.
    expect(checkpoints.map(({ trainer }) => trainer.step)).toEqual([1]);

    // From there a sound run goes on as if nothing had been.
    const rest: DreamBoothCheckpoint[] = [];
    const onCheckpoint = (checkpoint: DreamBoothCheckpoint) => rest.push(checkpoint);
    const resumed = await trainDreamBooth(
      runWith({}),
      { onStep() {}, onCheckpoint },
      createSession,
      checkpoints[0],
    );
    const straight = await trainDreamBooth(runWith({}), { onStep() {}, onCheckpoint() {} }, createSession);
    expect(rest.at(-1)!.trainer.step).toBe(4);
    expect([...resumed.parameters]).toEqual([...straight.parameters]);
  });

  test('without class images asks the base itself: at the start, when the LoRA adds nothing, that costs nothing', async () => {
    const first = async (settings: Partial<TrainingSettings>) => {
      const losses: number[] = [];
      const hooks = { onStep: (_: number, loss: number) => losses.push(loss), onCheckpoint() {} };
      await trainDreamBooth(runWith({ steps: 1, ...settings }), hooks, createSession);
      return losses[0]!;
    };
    const once = await first({ prior: 'adapter-off', priorLossWeight: 1 });
    expect(await first({ prior: 'adapter-off', priorLossWeight: 100 })).toBe(once);
    // Where the prior has targets of its own, its weight counts.
    expect(await first({ prior: 'images', priorLossWeight: 100 })).toBeGreaterThan(
      (await first({ prior: 'images', priorLossWeight: 1 })) * 5,
    );
  });
});

describe('what the model is to say, and how much it counts', () => {
  const config = {
    num_train_timesteps: 1000,
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
  };
  const noises = (prediction_type: string) => createNoiseSchedule({ ...config, prediction_type });
  const latents = Float32Array.of(1, -2);
  const noise = Float32Array.of(0.5, 0.25);

  test('noise, velocity or the picture', () => {
    expect(targetOf(noises('epsilon'), latents, noise, 300)).toEqual(noise);
    expect(targetOf(noises('sample'), latents, noise, 300)).toEqual(latents);
    const { alpha, sigma } = noises('v_prediction').level(300);
    const velocity = targetOf(noises('v_prediction'), latents, noise, 300);
    latents.forEach((x, i) => {
      expect(velocity[i]).toBeCloseTo(alpha * noise[i]! - sigma * x);
    });
  });

  test('zero terminal SNR: noise alone at the end, where weights stay finite; refused where noise is predicted', () => {
    const zero = (prediction_type: string) => trainingNoises({ ...config, prediction_type }, true);
    expect(zero('v_prediction').level(999)).toEqual({ alpha: 0, sigma: 1 });
    expect(zero('v_prediction').snr(999)).toBe(0);
    expect(snrWeight(zero('v_prediction'), 999, 5)).toBe(0);
    expect(snrWeight(zero('sample'), 999, 5)).toBe(0);
    const inConfig = trainingNoises({ ...config, rescale_betas_zero_snr: true }, false);
    expect(snrWeight(inConfig, 999, 5)).toBe(1);
    expect(inConfig.alphasCumprod).toEqual(zero('v_prediction').alphasCumprod);
    expect(() => zero('epsilon')).toThrow(/zeroTerminalSnr is true.*v_prediction/);
  });

  test('min-SNR: min(snr, γ)/snr for noise, /(snr + 1) for velocity', () => {
    const low = noises('epsilon').snr(10);
    expect(low).toBeGreaterThan(5);
    expect(snrWeight(noises('epsilon'), 10, 5)).toBeCloseTo(5 / low);
    expect(snrWeight(noises('v_prediction'), 10, 5)).toBeCloseTo(5 / (low + 1));
    expect(snrWeight(noises('epsilon'), 900, 5)).toBe(1);
    expect(snrWeight(noises('sample'), 10, 5)).toBe(5);
    expect(snrWeight(noises('epsilon'), 10, 0)).toBe(1);
  });
});
