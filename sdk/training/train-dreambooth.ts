/**
 * The DreamBooth algorithm (Ruiz et al. 2023): a subject's pictures under "a [identifier] [class]", pictures of the
 * class under "a [class]", one loss of both. Pictures come as latents; randomness from one generator.
 */
import { InvalidOptionError, TrainingDivergedError } from '../errors';
import type { CreateSession } from '../graph/session';
import type { BaseModel, ComponentName } from '../models/base-model';
import { type LearningRateFactor, learningRateSchedule } from '../optimizers/learning-rate';
import { createRandom, type RandomState, restoreRandom } from '../random';
import type { Trained } from './denoising-problem';
import { trainingNoises } from './diffusion-target';
import { type BatchSource, drawBatch } from './dreambooth-batch';
import {
  createDreamBoothTrainer,
  nameOf,
  pace,
  type TrainerSource,
  trainedParts,
} from './dreambooth-trainer';
import type { TrainingSettings } from './presets';
import type { TrainerState } from './trainer';
import { averageDecay, moveAverage } from './weight-average';

export interface DreamBoothRun extends BatchSource, TrainerSource {
  readonly seed: number;
}

/** Where a run stands between two updates; from it another process goes on to the same bits. */
export interface DreamBoothCheckpoint {
  readonly trainer: TrainerState;
  readonly random: RandomState;
  /** What is left of the current order of the data. */
  readonly order: readonly number[];
  /** The average of the weights by the trainer's blocks, where one is kept. Moved on by the next update. */
  readonly average?: readonly Float32Array[];
}

export interface StepFigures {
  /** By component. */
  readonly learningRates: Readonly<Record<string, number>>;
  /** Before clipping. */
  readonly gradientNorm: number;
}

export interface DreamBoothHooks {
  /** After each update. */
  onStep(step: number, loss: number, figures: StepFigures): void;
  /**
   * Every `sampleEvery` updates and at the end, with the weights as they are; they change when it resolves. True: the
   * training is to end here.
   */
  onSample?(step: number, weights: TrainedWeights): Promise<boolean>;
  /**
   * Every `checkpointEvery` updates, once the update after it has shown that its weights are sound; at the end; and
   * before an abort, or an error other than a divergence, is thrown.
   */
  onCheckpoint(checkpoint: DreamBoothCheckpoint): void;
  readonly signal?: AbortSignal;
}

export interface TrainedWeights {
  /** `unet.KEY` or `unet.PATH.down` and `.up`, likewise for `text_encoder`. */
  readonly parameters: ReadonlyMap<string, Float32Array>;
  /** How each trained component took part. */
  readonly trained: Readonly<Partial<Record<ComponentName, Trained>>>;
}

/** What a training ends with. */
export interface FinishedTraining extends TrainedWeights {
  /** Updates that were made. */
  readonly steps: number;
}

/**
 * Trains to `settings.steps` updates, or where `onSample` ends it, from `from` if given. Throws InvalidOptionError for target modules that the base
 * does not have, the signal's reason when it is aborted, and
 * TrainingDivergedError when the loss is no longer finite: what `onCheckpoint` was given last is then from before.
 */
export async function trainDreamBooth(
  run: DreamBoothRun,
  hooks: DreamBoothHooks,
  createSession: CreateSession,
  from?: DreamBoothCheckpoint,
): Promise<FinishedTraining> {
  const { base, settings } = run;
  // Building the graph takes seconds, and there is nothing yet to keep.
  hooks.signal?.throwIfAborted();
  const parts = trainedParts(base, settings);
  const initialRandom = createRandom(run.seed);
  const trainer = await createDreamBoothTrainer(run, parts, initialRandom, createSession);
  let random = initialRandom;
  let order: readonly number[] = [];
  let average = from?.average;
  if (from) {
    trainer.restore(from.trainer);
    random = restoreRandom(from.random);
    order = from.order;
  } else if (settings.emaDecay > 0) {
    average = trainer.state().blocks.map(({ parameter }) => parameter.slice());
  }

  const noises = trainingNoises(base.schedulerConfig, settings.zeroTerminalSnr);
  const factor = learningRateFactor(settings);
  const checkpoint = (): DreamBoothCheckpoint => ({
    trainer: trainer.state(),
    random: random.state(),
    order,
    ...(average ? { average } : {}),
  });
  const ema = {
    decay: settings.emaDecay,
    warmup: settings.emaWarmup,
    updateAfter: settings.emaUpdateAfter,
  };
  const weights = (): TrainedWeights => ({ parameters: trainer.parameters(average), trained: parts });
  // Draws since the last update are not part of the state that a resumed run starts from.
  let latest = checkpoint();
  // Weights can be ruined and finite: only the next loss tells. A checkpoint waits for it, or it would replace a good one.
  let due: DreamBoothCheckpoint | undefined;
  try {
    for (;;) {
      const { step } = trainer.state();
      if (isSampled(step, settings)) {
        let ended: boolean | undefined;
        try {
          ended = await hooks.onSample?.(step, weights());
        } catch (error) {
          hooks.onCheckpoint(latest);
          throw error;
        }
        if (ended && step < settings.steps) {
          hooks.onCheckpoint(latest);
          break;
        }
      }
      if (step >= settings.steps) break;
      if (hooks.signal?.aborted) {
        hooks.onCheckpoint(latest);
        hooks.signal.throwIfAborted();
      }
      const rates = Object.fromEntries(
        Object.keys(parts).map((name) => [name, pace(settings, name).learningRate * factor(step)]),
      );
      let loss = 0;
      let gradientNorm = 0;
      for (let i = 0; i < settings.gradientAccumulationSteps; i++) {
        const drawn = drawBatch(run, noises, random, order);
        order = drawn.order;
        try {
          const result = await trainer.step(drawn.feeds, rates, undefined, nameOf(drawn.size));
          loss += result.loss / settings.gradientAccumulationSteps;
          gradientNorm = result.gradientNorm ?? gradientNorm;
        } catch (error) {
          if (!(error instanceof TrainingDivergedError)) hooks.onCheckpoint(latest);
          throw error;
        }
      }
      if (due) hooks.onCheckpoint(due);
      // Only now: the checkpoint that was due holds this very average as it was before.
      average?.forEach((block, i) => {
        moveAverage(block, trainer.state().blocks[i]!.parameter, averageDecay(step + 1, ema));
      });
      latest = checkpoint();
      due = (step + 1) % settings.checkpointEvery === 0 ? latest : undefined;
      hooks.onStep(step + 1, loss, { learningRates: rates, gradientNorm });
      if (step + 1 === settings.steps) hooks.onCheckpoint(latest);
    }
    const { parameters } = weights();
    const kept = new Map([...parameters].map(([name, values]) => [name, values.slice()]));
    return { parameters: kept, trained: parts, steps: trainer.state().step };
  } finally {
    await trainer.release();
  }
}

const isSampled = (step: number, { sampleEvery, steps }: TrainingSettings) =>
  sampleEvery > 0 && step > 0 && (step % sampleEvery === 0 || step === steps);

/** Throws InvalidOptionError for settings that fit neither each other nor the base, before anything is computed. */
export function checkTraining(base: BaseModel, settings: TrainingSettings): void {
  trainingNoises(base.schedulerConfig, settings.zeroTerminalSnr);
  learningRateFactor(settings);
  if (settings.kind !== 'embedding') return;
  if (settings.prior !== 'none') {
    throw new InvalidOptionError(
      'prior',
      `prior is ${settings.prior}: an embedding changes nothing of what its class is, so there is nothing to preserve. Set prior to none.`,
    );
  }
  if (settings.trainTextEncoder) {
    throw new InvalidOptionError(
      'trainTextEncoder',
      'trainTextEncoder is true: an embedding is learned with every network as it is. Leave it out, or learn a LoRA.',
    );
  }
}

const learningRateFactor = (settings: TrainingSettings): LearningRateFactor =>
  learningRateSchedule(settings.learningRateSchedule, {
    totalSteps: settings.steps,
    warmupSteps: settings.warmupSteps,
    learningRate: settings.learningRate,
    cycles: settings.learningRateCycles,
    power: settings.learningRatePower,
    end: settings.learningRateEnd,
    rules: settings.learningRateRules,
  });
