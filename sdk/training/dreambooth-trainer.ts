/** What DreamBooth trains of a base, as one problem for the trainer. */
import { InvalidOptionError } from '../errors';
import type { Value } from '../graph/graph';
import type { CreateSession } from '../graph/session';
import { initialLora, loraTargets, textEncoderAttention, unetAttention } from '../lora/lora';
import type { LoraLayers } from '../lora/lora-layers';
import { type BaseModel, type ComponentName, tensorsOf } from '../models/base-model';
import type { Random } from '../random';
import { sizeOf } from '../tensor';
import { denoisingProblem, type Trained } from './denoising-problem';
import { type BatchSource, encodesText, type LatentSize, sameSize, zerosPrompts } from './dreambooth-batch';
import { initialVectors } from './initial-vectors';
import { packParameters } from './parameters';
import type { TrainingSettings } from './presets';
import {
  createTrainer,
  type Trainer,
  type TrainerOptions,
  type TrainingProblem,
  trainingGraph,
} from './trainer';

export interface TrainerSource extends Pick<BatchSource, 'base' | 'settings' | 'photos'> {
  /** What a LoRA starts from; where it has no matrices, as at the beginning of any. */
  readonly start?: LoraLayers;
  /** The noun that an embedding starts from. */
  readonly className: string;
  /** A component's own weight, for first values. */
  readWeight(component: ComponentName, key: string): Float32Array;
}

export type TrainedParts = Readonly<Partial<Record<ComponentName, Trained>>>;

/** What of a base is trained, and how. Throws InvalidOptionError for target modules that it does not have. */
export function trainedParts(base: BaseModel, settings: TrainingSettings): TrainedParts {
  const trained = (component: ComponentName): Trained => {
    if (settings.kind === 'full') return { kind: 'full' };
    if (settings.kind === 'embedding') return { kind: 'embedding', vectors: settings.vectors };
    const targets = loraTargets(tensorsOf(base, component), settings.targetModules, settings.rank);
    if (targets.length === 0) throw noTargets(component, settings.targetModules);
    return { kind: 'lora', targets, scale: settings.alpha / settings.rank };
  };
  const encoders = encodesText(settings) ? base.family.textEncoders : [];
  const networks: readonly ComponentName[] = settings.kind === 'embedding' ? encoders : ['unet', ...encoders];
  return Object.fromEntries(networks.map((component) => [component, trained(component)]));
}

/** What is minimised for batches of `size`, height and width of the latents. */
function problemOf(
  base: BaseModel,
  settings: TrainingSettings,
  { unet, ...textEncoders }: TrainedParts,
  size: readonly [number, number],
): TrainingProblem {
  return denoisingProblem({
    base,
    ...(unet ? { unet } : {}),
    ...(encodesText(settings) ? { textEncoders } : {}),
    batch: settings.prior === 'none' ? settings.batchSize : 2 * settings.batchSize,
    size,
    tokens: base.tokenizer.maxLength,
    untrainedTargets: settings.prior === 'adapter-off' ? settings.batchSize : 0,
    clipSkip: settings.clipSkip,
    masked: settings.masks !== 'none',
    zerosPrompts: zerosPrompts(base, settings),
  });
}

/** Rate and decay of a component: an embedding has those of its own, whichever text encoder it is for. */
export function pace(settings: TrainingSettings, component: string) {
  const { learningRate, weightDecay, textEncoderLearningRate, textEncoderWeightDecay } = settings;
  return component === 'unet' || settings.kind === 'embedding'
    ? { learningRate, weightDecay }
    : { learningRate: textEncoderLearningRate, weightDecay: textEncoderWeightDecay };
}

function trainerOptions(settings: TrainingSettings, parts: TrainedParts): TrainerOptions {
  const optimizer = (component: string) => ({
    betas: [settings.adamBeta1, settings.adamBeta2] as const,
    epsilon: settings.adamEpsilon,
    weightDecay: pace(settings, component).weightDecay,
  });
  return {
    optimizers: Object.fromEntries(Object.keys(parts).map((component) => [component, optimizer(component)])),
    ...(settings.maxGradientNorm > 0 ? { maxGradientNorm: settings.maxGradientNorm } : {}),
    gradientAccumulationSteps: settings.gradientAccumulationSteps,
  };
}

/** The graph of an update, and how many numbers it trains: for telling beforehand what a training takes. */
export function updateGraph(
  base: BaseModel,
  settings: TrainingSettings,
  size: readonly [number, number],
): { outputs: Record<string, Value>; trained: number } {
  const parts = trainedParts(base, settings);
  const problem = problemOf(base, settings, parts, size);
  return {
    outputs: trainingGraph(
      problem,
      packParameters(problem.parameters),
      trainerOptions(settings, parts),
      'update',
    ),
    trained: problem.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
  };
}

function noTargets(component: ComponentName, modules: readonly string[]): InvalidOptionError {
  const usual = component === 'unet' ? unetAttention : textEncoderAttention;
  return new InvalidOptionError(
    'targetModules',
    `targetModules is ${modules.join(', ')}: no layer of the ${component} ends so. Usual are ${usual.join(', ')}; * stands for every layer.`,
  );
}

export async function createDreamBoothTrainer(
  run: TrainerSource,
  parts: TrainedParts,
  random: Random,
  createSession: CreateSession,
): Promise<Trainer> {
  const { base, settings, photos } = run;
  const initial = new Map<string, Float32Array>();
  for (const [component, part] of Object.entries(parts)) {
    if (part.kind === 'embedding') {
      const encoder = base.textEncoders.find(({ name }) => name === component)!;
      const rows = initialVectors(encoder, run.className, part.vectors, (key) =>
        run.readWeight(encoder.name, key),
      );
      initial.set(`${component}.addedTokens`, rows);
    }
    if (part.kind !== 'lora') continue;
    for (const target of part.targets) {
      const { down, up } = initialLora(target, random);
      initial.set(`${component}.${target.path}.down`, down);
      initial.set(`${component}.${target.path}.up`, up);
    }
  }
  continueLora(initial, parts, run.start ?? new Map());
  const all = photos.map(({ variants }) => variants[0]!.size);
  const sizes = all.filter((size, i) => all.findIndex((other) => sameSize(size, other)) === i);
  const problems = sizes.map((size) => problemOf(base, settings, parts, size));
  const builds = problems.map(({ build }, i) => [nameOf(sizes[i]!), build] as const);
  const problem = { ...problems[0]!, variants: Object.fromEntries(builds) };
  const initialValues = (name: string) => {
    const [component, ...key] = name.split('.') as [ComponentName, ...string[]];
    return initial.get(name) ?? run.readWeight(component, key.join('.'));
  };
  return createTrainer(problem, initialValues, trainerOptions(settings, parts), createSession);
}

/** Puts a LoRA's matrices in place of first values. Throws InvalidOptionError where that would leave some of it out. */
function continueLora(initial: Map<string, Float32Array>, parts: TrainedParts, start: LoraLayers): void {
  for (const [layer, { down, up, alpha }] of start) {
    const scale = parts[layer.split('.')[0] as ComponentName];
    const fits =
      initial.get(`${layer}.down`)?.length === down.data.length &&
      initial.get(`${layer}.up`)?.length === up.data.length;
    if (scale?.kind !== 'lora' || !fits) {
      throw new InvalidOptionError(
        'targetModules',
        `The LoRA to go on with has rank ${down.shape[0]} at ${layer}, and the settings train ${scale ? 'another rank or other layers' : 'nothing there'}: set rank, targetModules and trainTextEncoder as it was learned.`,
      );
    }
    const factor = alpha / down.shape[0]! / scale.scale;
    initial.set(`${layer}.down`, down.data);
    initial.set(`${layer}.up`, factor === 1 ? up.data : up.data.map((value) => value * factor));
  }
}

/** By which the trainer knows the graph for batches of a size. */
export const nameOf = ([height, width]: LatentSize): string => `${height}x${width}`;
