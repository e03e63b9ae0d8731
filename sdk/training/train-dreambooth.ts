/**
 * The DreamBooth algorithm (Ruiz et al. 2023): a subject's pictures under "a [identifier] [class]", pictures of the
 * class under "a [class]", one loss of both. Pictures come as latents; randomness from one generator, in this order a
 * run: which pictures, the autoencoder's noise, the noise to predict, the timesteps.
 */
import { InvalidOptionError, TrainingDivergedError } from '../errors';
import type { CreateSession, Feeds } from '../graph/session';
import { initialLora, loraTargets, textEncoderAttention, unetAttention } from '../lora/lora';
import { type BaseModel, type ComponentName, tensorsOf } from '../models/base-model';
import { type LatentDistribution, sampleLatents, scaleLatents } from '../models/latents';
import {
  conditionFeeds,
  type PictureSizes,
  type PromptCondition,
  type PromptTokens,
  sizeFeeds,
  tokenFeeds,
} from '../models/text-condition';
import { learningRateSchedule } from '../optimizers/learning-rate';
import { createRandom, type Random, type RandomState, restoreRandom } from '../random';
import { createNoiseSchedule, type NoiseSchedule } from '../schedulers/noise-schedule';
import { float32, type Tensor } from '../tensor';
import { denoisingProblem, type Trained } from './denoising-problem';
import type { TrainingSettings } from './presets';
import { createTrainer, type Trainer, type TrainerState } from './trainer';

/** The distribution of a picture's latents, and the sizes it comes from. */
export interface TrainingPicture extends LatentDistribution {
  readonly sizes: PictureSizes;
}

/** A prompt: its tokens are read where a text encoder trains, else what it is to the UNet. */
export interface TrainingPrompt {
  readonly tokens: PromptTokens;
  readonly condition: PromptCondition;
}

export interface DreamBoothRun {
  readonly base: BaseModel;
  readonly settings: TrainingSettings;
  readonly seed: number;
  /** Height and width of the latents. */
  readonly size: readonly [number, number];
  /** Of each photo its variants (crops, mirrored), of which one is drawn each time. */
  readonly photos: readonly (readonly TrainingPicture[])[];
  /** Pictures of the class; read where the prior is `images`. */
  readonly classImages: readonly TrainingPicture[];
  readonly instancePrompt: TrainingPrompt;
  readonly classPrompt: TrainingPrompt;
  /** A component's own weight, for first values. */
  readWeight(component: ComponentName, key: string): Float32Array;
}

/** Where a run stands between two updates; from it another process goes on to the same bits. */
export interface DreamBoothCheckpoint {
  readonly trainer: TrainerState;
  readonly random: RandomState;
  /** What is left of the current order of the data. */
  readonly order: readonly number[];
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
  /** Every `sampleEvery` updates and at the end, with the weights as they are; they change when it resolves. */
  onSample?(step: number, weights: TrainedWeights): Promise<void>;
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

/**
 * Trains to `settings.steps` updates, from `from` if given. Throws InvalidOptionError for target modules that the base
 * does not have, the signal's reason when it is aborted, and
 * TrainingDivergedError when the loss is no longer finite: what `onCheckpoint` was given last is then from before.
 */
export async function trainDreamBooth(
  run: DreamBoothRun,
  hooks: DreamBoothHooks,
  createSession: CreateSession,
  from?: DreamBoothCheckpoint,
): Promise<TrainedWeights> {
  const { base, settings } = run;
  // Building the graph takes seconds, and there is nothing yet to keep.
  hooks.signal?.throwIfAborted();
  const trained = (component: ComponentName): Trained => {
    if (settings.kind === 'full') return { kind: 'full' };
    const targets = loraTargets(tensorsOf(base, component), settings.targetModules, settings.rank);
    if (targets.length === 0) throw noTargets(component, settings.targetModules);
    return { kind: 'lora', targets, scale: settings.alpha / settings.rank };
  };
  const encoders = settings.trainTextEncoder ? base.family.textEncoders : [];
  const parts = Object.fromEntries(
    (['unet', ...encoders] as const).map((component) => [component, trained(component)]),
  );
  const initialRandom = createRandom(run.seed);
  const trainer = await createDreamBoothTrainer(run, parts, initialRandom, createSession);
  let random = initialRandom;
  let order: number[] = [];
  if (from) {
    trainer.restore(from.trainer);
    random = restoreRandom(from.random);
    order = [...from.order];
  }

  const noises = createNoiseSchedule(base.schedulerConfig);
  const factor = learningRateSchedule(settings.learningRateSchedule, {
    totalSteps: settings.steps,
    warmupSteps: settings.warmupSteps,
    learningRate: settings.learningRate,
  });
  const checkpoint = (): DreamBoothCheckpoint => ({
    trainer: trainer.state(),
    random: random.state(),
    order,
  });
  // Draws since the last update are not part of the state that a resumed run starts from.
  let latest = checkpoint();
  // Weights can be ruined and finite: only the next loss tells. A checkpoint waits for it, or it would replace a good one.
  let due: DreamBoothCheckpoint | undefined;
  try {
    for (;;) {
      const { step } = trainer.state();
      if (isSampled(step, settings)) {
        try {
          await hooks.onSample?.(step, { parameters: trainer.parameters(), trained: parts });
        } catch (error) {
          hooks.onCheckpoint(latest);
          throw error;
        }
      }
      if (step >= settings.steps) break;
      if (hooks.signal?.aborted) {
        hooks.onCheckpoint(latest);
        hooks.signal.throwIfAborted();
      }
      const textRate = settings.textEncoderLearningRate * factor(step);
      const rates = {
        unet: settings.learningRate * factor(step),
        ...Object.fromEntries(encoders.map((name) => [name, textRate])),
      };
      let loss = 0;
      let gradientNorm = 0;
      for (let i = 0; i < settings.gradientAccumulationSteps; i++) {
        const drawn = drawBatch(run, noises, random, order);
        order = drawn.order;
        try {
          const result = await trainer.step(drawn.batch, rates);
          loss += result.loss / settings.gradientAccumulationSteps;
          gradientNorm = result.gradientNorm ?? gradientNorm;
        } catch (error) {
          if (!(error instanceof TrainingDivergedError)) hooks.onCheckpoint(latest);
          throw error;
        }
      }
      if (due) hooks.onCheckpoint(due);
      latest = checkpoint();
      due = (step + 1) % settings.checkpointEvery === 0 ? latest : undefined;
      hooks.onStep(step + 1, loss, { learningRates: rates, gradientNorm });
      if (step + 1 === settings.steps) hooks.onCheckpoint(latest);
    }
    const parameters = new Map([...trainer.parameters()].map(([name, values]) => [name, values.slice()]));
    return { parameters, trained: parts };
  } finally {
    await trainer.release();
  }
}

const isSampled = (step: number, { sampleEvery, steps }: TrainingSettings) =>
  sampleEvery > 0 && step > 0 && (step % sampleEvery === 0 || step === steps);

function noTargets(component: ComponentName, modules: readonly string[]): InvalidOptionError {
  const usual = component === 'unet' ? unetAttention : textEncoderAttention;
  return new InvalidOptionError(
    'targetModules',
    `targetModules is ${modules.join(', ')}: no layer of the ${component} ends so. Usual are ${usual.join(', ')}; * stands for every layer.`,
  );
}

async function createDreamBoothTrainer(
  run: DreamBoothRun,
  parts: Readonly<Partial<Record<ComponentName, Trained>>>,
  random: Random,
  createSession: CreateSession,
): Promise<Trainer> {
  const { base, settings, size } = run;
  const initial = new Map<string, Float32Array>();
  for (const [component, part] of Object.entries(parts)) {
    if (part.kind !== 'lora') continue;
    for (const target of part.targets) {
      const { down, up } = initialLora(target, random);
      initial.set(`${component}.${target.path}.down`, down);
      initial.set(`${component}.${target.path}.up`, up);
    }
  }
  const optimizer = (component: string) => ({
    betas: [settings.adamBeta1, settings.adamBeta2] as const,
    epsilon: settings.adamEpsilon,
    weightDecay: component === 'unet' ? settings.weightDecay : settings.textEncoderWeightDecay,
  });
  const { unet, ...textEncoders } = parts;
  const problem = denoisingProblem({
    base,
    ...(unet ? { unet } : {}),
    ...(settings.trainTextEncoder ? { textEncoders } : {}),
    batch: settings.prior === 'none' ? settings.batchSize : 2 * settings.batchSize,
    size,
    tokens: base.tokenizer.maxLength,
    untrainedTargets: settings.prior === 'adapter-off' ? settings.batchSize : 0,
    clipSkip: settings.clipSkip,
  });
  const initialValues = (name: string) => {
    const [component, ...key] = name.split('.') as [ComponentName, ...string[]];
    return initial.get(name) ?? run.readWeight(component, key.join('.'));
  };
  const options = {
    optimizers: Object.fromEntries(Object.keys(parts).map((component) => [component, optimizer(component)])),
    maxGradientNorm: settings.maxGradientNorm,
    gradientAccumulationSteps: settings.gradientAccumulationSteps,
  };
  return createTrainer(problem, initialValues, options, createSession);
}

/** One batch: photos first, then as many of the class. `order` is used up and renewed an epoch at a time. */
function drawBatch(
  { base, settings, size, photos, classImages, instancePrompt, classPrompt }: DreamBoothRun,
  noises: NoiseSchedule,
  random: Random,
  order: readonly number[],
): { batch: Feeds; order: number[] } {
  const { batchSize, prior } = settings;
  const left = [...order];
  const epoch = Math.max(photos.length, prior === 'images' ? classImages.length : 0);
  const indices = Array.from({ length: batchSize }, () => {
    if (left.length === 0) left.push(...random.permutation(epoch));
    return left.shift()!;
  });
  const shown = indices.map((index) => {
    const variants = photos[index % photos.length]!;
    return variants.length === 1 ? variants[0]! : variants[random.integer(variants.length)]!;
  });
  if (prior === 'images') shown.push(...indices.map((index) => classImages[index % classImages.length]!));
  // Without class images the class is seen through the photos: the base model says what "a [class]" makes of them.
  if (prior === 'adapter-off') shown.push(...shown);

  const rows = shown.length;
  const elements = shown[0]!.mean.length;
  const places = size[0] * size[1];
  const latents = new Float32Array(rows * elements);
  const pictureNoise = random.normals(rows * elements);
  shown.forEach((picture, row) => {
    const noise = pictureNoise.subarray(row * elements, (row + 1) * elements);
    latents.set(sampleLatents(picture, noise), row * elements);
  });
  const scaled = scaleLatents(base.vae.config, latents, places);
  const noise = random.normals(rows * elements);
  const timesteps = Float32Array.from({ length: rows }, () => random.integer(noises.numTrainTimesteps));

  const sample = new Float32Array(rows * elements);
  const target = new Float32Array(rows * elements);
  const lossWeights = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const timestep = timesteps[row]!;
    const part = (x: Float32Array) => x.subarray(row * elements, (row + 1) * elements);
    sample.set(noises.addNoise(part(scaled), part(noise), timestep), row * elements);
    target.set(targetOf(noises, part(scaled), part(noise), timestep), row * elements);
    lossWeights[row] =
      row < batchSize
        ? snrWeight(noises, timestep, settings.snrGamma) / batchSize
        : settings.priorLossWeight / batchSize;
  }

  const shape = [rows, elements / places, ...size];
  const targets = prior === 'adapter-off' ? batchSize : rows;
  const prompts = shown.map((_, row) => (row < batchSize ? instancePrompt : classPrompt));
  const batch: Record<string, Tensor> = {
    sample: float32(shape, sample),
    timesteps: float32([rows], timesteps),
    lossWeights: float32([rows], lossWeights),
    target: float32([targets, ...shape.slice(1)], target.subarray(0, targets * elements)),
    ...sizeFeeds(
      base,
      shown.map(({ sizes }) => sizes),
    ),
    ...(settings.trainTextEncoder
      ? tokenFeeds(
          base,
          prompts.map(({ tokens }) => tokens),
        )
      : conditionFeeds(
          base,
          prompts.map(({ condition }) => condition),
        )),
  };
  return { batch, order: left };
}

/** What the model is to say, by the checkpoint's prediction type. */
export function targetOf(
  noises: NoiseSchedule,
  latents: Float32Array,
  noise: Float32Array,
  timestep: number,
): Float32Array {
  if (noises.predictionType === 'v_prediction') return noises.velocity(latents, noise, timestep);
  return noises.predictionType === 'sample' ? latents : noise;
}

/** Min-SNR-γ (Hang et al. 2023, §3.4): min(snr, γ)/snr for noise prediction, /(snr + 1) for velocity; γ 0: 1. */
export function snrWeight(noises: NoiseSchedule, timestep: number, gamma: number): number {
  if (gamma === 0) return 1;
  const snr = noises.snr(timestep);
  const clipped = Math.min(snr, gamma);
  if (noises.predictionType === 'v_prediction') return clipped / (snr + 1);
  return noises.predictionType === 'sample' ? clipped : clipped / snr;
}
