/** Whole training runs of diffusers' scripts, from every number that they drew, through the trainer. */
import { readFloat32 } from '../../sdk/checkpoint/safetensors';
import type { Feeds } from '../../sdk/graph/session';
import { loraTargets, textEncoderAttention, unetAttention } from '../../sdk/lora/lora';
import {
  type BaseModel,
  type ComponentName,
  tensorsOf,
  trainableComponents,
} from '../../sdk/models/base-model';
import { learningRateSchedule } from '../../sdk/optimizers/learning-rate';
import { createSession } from '../../sdk/runtime/session';
import { float32, type Tensor } from '../../sdk/tensor';
import { denoisingProblem, type Trained } from '../../sdk/training/denoising-problem';
import { packArrays, packParameters, unpackArrays } from '../../sdk/training/parameters';
import {
  createTrainer,
  type TrainerOptions,
  type TrainingProblem,
  trainingGraph,
} from '../../sdk/training/trainer';
import { averageDecay, moveAverage } from '../../sdk/training/weight-average';
import type { Checkpoint } from './checkpoint';
import type { Reference } from './reference';
import { absent, compare, type Finding, type Findings, guarded, judge, same, tolerances } from './report';
import { readScriptArguments, type ScriptSettings } from './script-arguments';
import { createBatches, parametersIn, targetsIn, updatesIn } from './training-file';

/** The runs that a folder may hold, and which files are such. */
const kinds: Readonly<Record<string, RegExp>> = {
  'train-lora': /^train-lora(?!-text-encoder)/,
  'train-lora-text-encoder': /^train-lora-text-encoder/,
  'train-full': /^train-full/,
  'train-embedding': /^train-embedding/,
};

export async function* checkTraining(checkpoint: Checkpoint): AsyncGenerator<Finding> {
  const files = checkpoint.files.filter((file) => /^train-.*\.safetensors$/.test(file));
  for (const [kind, pattern] of Object.entries(kinds))
    if (!files.some((file) => pattern.test(file))) yield absent(kind);
  for (const file of files) {
    const name = file.replace(/\.safetensors$/, '');
    yield* guarded(name, () => checkRun(name, checkpoint.base(), checkpoint.open(file)));
  }
}

async function* checkRun(name: string, base: BaseModel, reference: Reference): Findings {
  const settings = readScriptArguments(
    reference.metadata('script') as string,
    reference.metadata('arguments') as string[],
  );
  const batches = createBatches(reference, base, settings);
  const trained = trainedParts(reference, base, settings);
  const problem = denoisingProblem({
    base,
    ...trained,
    batch: batches.batch,
    size: batches.size,
    tokens: batches.tokens,
    masked: settings.masks,
  });
  const initial = initialValues(reference, base, settings);
  const groups = new Set(problem.parameters.map(({ group }) => group));
  const options: TrainerOptions = {
    optimizers: Object.fromEntries(
      [...groups].map((group) => [
        group,
        {
          betas: settings.betas,
          epsilon: settings.epsilon,
          weightDecay: group === 'unet' ? settings.weightDecay : settings.textWeightDecay,
        },
      ]),
    ),
    ...(settings.maxGradientNorm === undefined ? {} : { maxGradientNorm: settings.maxGradientNorm }),
    gradientAccumulationSteps: settings.accumulation,
  };

  yield* checkTargets(name, base, trained);
  yield* checkGradients(name, reference, problem, initial, options, await batches.read(batches.steps[0]!));

  const rates = learningRates(reference, settings);
  yield compare(
    `${name} learning rates`,
    rates.flat,
    rates.reference,
    tolerances.learningRates,
    `${rates.reference.length} updates`,
  );

  const updatesAfter = updatesIn(reference, batches.steps.length, settings.accumulation);
  const trainer = await createTrainer(problem, initial, options, createSession);
  const losses: number[] = [];
  const average = settings.average && trainer.state().blocks.map(({ parameter }) => parameter.slice());
  let updates = 0;
  for (const [i, step] of batches.steps.entries()) {
    const byGroup = Object.fromEntries([...groups].map((group, i) => [group, rates.at(updates, i)]));
    const result = await trainer.step(await batches.read(step), byGroup, updatesAfter[i]!);
    losses.push(result.loss);
    if (result.gradientNorm === undefined) continue;
    updates++;
    average?.forEach((block, i) => {
      const decay = averageDecay(updates, settings.average!);
      moveAverage(block, trainer.state().blocks[i]!.parameter, decay);
    });
  }
  const expected = reference.metadata('losses') as readonly number[];
  const apart = expected.map((loss, i) => Math.abs((losses[i] ?? Number.NaN) - loss) / Math.abs(loss));
  const worst = losses.length === expected.length ? largest(apart) : Infinity;
  yield judge(`${name} losses`, worst, tolerances.losses, `${losses.length} batches, ${updates} updates`);
  yield* checkFinalWeights(name, 'final', reference, trainer.parameters(), initial);
  if (average) {
    const blocks = packParameters(problem.parameters);
    const averaged = new Map(blocks.flatMap((block, i) => [...unpackArrays(block, average[i]!)]));
    yield* checkFinalWeights(name, 'ema', reference, averaged, initial);
  }
  await trainer.release();
  await batches.release();
}

function trainedParts(reference: Reference, base: BaseModel, settings: ScriptSettings) {
  const part = (component: ComponentName): Trained => {
    if (settings.full) return { kind: 'full' };
    if (settings.vectors > 0) return { kind: 'embedding', vectors: settings.vectors };
    const targets = targetsIn(reference, component);
    const rank = targets[0]?.down[0] ?? 1;
    return { kind: 'lora', targets, scale: (settings.alpha ?? rank) / rank };
  };
  const encoders = settings.trainTextEncoder ? base.family.textEncoders : [];
  return {
    ...(settings.vectors > 0 ? {} : { unet: part('unet') }),
    ...(settings.trainTextEncoder
      ? { textEncoders: Object.fromEntries(encoders.map((name) => [name, part(name)])) }
      : {}),
  };
}

/** A LoRA starts where the reference's did; full training where the checkpoint is. */
function initialValues(reference: Reference, base: BaseModel, settings: ScriptSettings) {
  const keys = parametersIn(reference, 'init');
  return (name: string): Float32Array => {
    if (!settings.full) return reference.numbers(keys.get(name)!);
    const component = trainableComponents(base).find((one) => name.startsWith(`${one}.`))!;
    return readFloat32(tensorsOf(base, component).get(name.slice(component.length + 1))!);
  };
}

/** The layers that we choose unasked are those of the script. */
function* checkTargets(name: string, base: BaseModel, trained: ReturnType<typeof trainedParts>): Findings {
  const parts: Readonly<Partial<Record<ComponentName, Trained>>> = {
    ...(trained.unet ? { unet: trained.unet } : {}),
    ...trained.textEncoders,
  };
  for (const component of trainableComponents(base)) {
    const part = parts[component];
    if (part?.kind !== 'lora') continue;
    const modules = component === 'unet' ? unetAttention : textEncoderAttention;
    const ours = loraTargets(tensorsOf(base, component), modules, part.targets[0]?.down[0] ?? 1);
    const text = (targets: typeof ours) =>
      targets
        .map(({ path, down, up }) => `${path} ${down} ${up}`)
        .sort()
        .join();
    yield same(
      `${name} ${component} layers`,
      text(ours) === text([...part.targets]),
      `${part.targets.length} layers`,
    );
  }
}

async function* checkGradients(
  name: string,
  reference: Reference,
  problem: TrainingProblem,
  initial: (name: string) => Float32Array,
  options: TrainerOptions,
  batch: Feeds,
): Findings {
  const keys = parametersIn(reference, 'grad0');
  if (keys.size === 0) {
    yield absent(`${name} first gradients`);
    return;
  }
  const blocks = packParameters(problem.parameters);
  const session = await createSession(trainingGraph(problem, blocks, options, 'gather'));
  const feeds: Record<string, Tensor> = { ...batch };
  for (const block of blocks) {
    feeds[block.name] = float32([block.size], packArrays(block, initial));
    feeds[`${block.name}.gradient`] = float32([block.size], new Float32Array(block.size));
  }
  const results = await session.run(feeds);
  await session.release();
  const ours = new Map(
    blocks.flatMap((block) => [
      ...unpackArrays(block, results[`${block.name}.gradient`]!.data as Float32Array),
    ]),
  );
  const size = gradientSizes(reference, keys);
  let worst = { apart: 0, parameter: '' };
  for (const [parameter, key] of keys) {
    const theirs = reference.numbers(key);
    const mine = ours.get(parameter);
    if (!mine) throw new Error(`${parameter} is trained in the reference and not here`);
    const difference = largest(theirs.map((value, i) => Math.abs(mine[i]! - value)));
    // A gradient that is rounding only has no digits in common; it must be as small.
    const measure = Math.max(largest(theirs.map(Math.abs)), size.roundingOnly * 1e4);
    if (!(difference / measure <= worst.apart)) worst = { apart: difference / measure, parameter };
  }
  yield judge(
    `${name} first gradients`,
    worst.apart,
    tolerances.gradients,
    `${keys.size} tensors, most in ${worst.parameter}`,
  );
}

/** Sizes of first gradients by parameter, and the size up to which one is rounding only. */
function gradientSizes(reference: Reference, keys: ReadonlyMap<string, string>) {
  const sizes = new Map(
    [...keys].map(([name, key]) => [name, largest(reference.numbers(key).map(Math.abs))]),
  );
  return { sizes, roundingOnly: 1e-6 * largest([...sizes.values()]) };
}

function learningRates(reference: Reference, settings: ScriptSettings) {
  const groups = reference.metadata('learning_rates') as readonly (readonly number[])[];
  const factor = learningRateSchedule(settings.learningRateSchedule, {
    warmupSteps: settings.warmupSteps,
    totalSteps: settings.maxTrainSteps ?? groups.length,
    cycles: settings.cycles,
    power: settings.power,
    learningRate: settings.learningRate,
  });
  const at = (update: number, group: number) =>
    (group === 0 ? settings.learningRate : settings.textLearningRate) * factor(update);
  return {
    at,
    flat: groups.flatMap((rates, update) => rates.map((_, group) => at(update, group))),
    reference: groups.flat(),
  };
}

/**
 * How far ours ended from the reference's end, as a share of the way from the start. AdamW makes full steps of
 * gradients that are rounding only, so those modules say nothing: they are left out by name.
 */
function* checkFinalWeights(
  name: string,
  set: 'final' | 'ema',
  reference: Reference,
  ours: ReadonlyMap<string, Float32Array>,
  initial: (name: string) => Float32Array,
): Findings {
  const title = `${name} ${set === 'final' ? 'final' : 'averaged'} weights`;
  const keys = parametersIn(reference, set);
  const gradients = parametersIn(reference, 'grad0');
  if (keys.size === 0) {
    yield absent(title);
    return;
  }
  const { sizes, roundingOnly } = gradientSizes(reference, gradients);
  // A LoRA's first gradient is in `up`, since `up` starts at zero.
  const judgedBy = (parameter: string) => parameter.replace(/\.down$/, '.up');
  const leftOut = [...keys.keys()].filter(
    (parameter) => (sizes.get(judgedBy(parameter)) ?? Infinity) <= roundingOnly,
  );
  const shares = [...keys].flatMap(([parameter, key]) => {
    if (leftOut.includes(parameter)) return [];
    const end = reference.numbers(key);
    const start = initial(parameter);
    const mine = ours.get(parameter)!;
    const way = distance(end, start);
    const apart = distance(end, mine);
    return [way === 0 && apart === 0 ? 0 : apart / way];
  });
  const note = `${shares.length} tensors${leftOut.length > 0 ? `; left out, their gradient being rounding only: ${leftOut.join(', ')}` : ''}`;
  yield judge(title, largest(shares), tolerances.weights, note);
}

/** Euclidean. */
const distance = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));

/** NaN counts as infinite. */
const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, value) => (Number.isNaN(value) ? Infinity : Math.max(most, value)), 0);
