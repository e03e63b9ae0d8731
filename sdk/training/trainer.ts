/**
 * Any differentiable graph, trained: forward pass, loss, gradients, clipping and AdamW as ONE graph, one run a step.
 * State goes in and comes out as tensors, so a step is a pure function and a checkpoint is its arguments.
 */
import { backward } from '../autodiff/backward';
import { TrainingDivergedError } from '../errors';
import { Graph, type Value } from '../graph/graph';
import { op } from '../graph/operators';
import type { CreateSession, Feeds, Session } from '../graph/session';
import { type AdamWOptions, adamW, biasCorrections } from '../optimizers/adamw';
import { float32, sizeOf, type Tensor } from '../tensor';
import {
  type Parameter,
  type ParameterBlock,
  pack,
  packArrays,
  packParameters,
  unpack,
  unpackArrays,
} from './parameters';

/** What is to be minimised. */
export interface TrainingProblem {
  readonly parameters: readonly Parameter[];
  /** Forward pass and scalar loss from the parameters by name; `reports` are handed out after each step. */
  build(
    graph: Graph,
    parameters: ReadonlyMap<string, Value>,
  ): { loss: Value; reports: Readonly<Record<string, Value>> };
  /**
   * The same for batches of several shapes, by name; `build` is then the first of them. Each is a graph of its own,
   * made when first needed, and all share parameters and state.
   */
  readonly variants?: Readonly<Record<string, TrainingProblem['build']>>;
}

export interface TrainerOptions {
  /** By parameter group. */
  readonly optimizers: Readonly<Record<string, AdamWOptions>>;
  /** Gradients are scaled down to this Euclidean norm over all parameters when longer. Default: no clipping. */
  readonly maxGradientNorm?: number;
  /** Runs whose mean gradient makes one update. Default 1. */
  readonly gradientAccumulationSteps?: number;
}

/** Everything a step changes, by block: what a checkpoint holds. */
export interface TrainerState {
  /** Updates made. */
  readonly step: number;
  readonly blocks: readonly BlockState[];
}

export interface BlockState {
  readonly parameter: Float32Array;
  readonly firstSum: Float32Array;
  readonly secondSum: Float32Array;
}

export interface StepResult {
  readonly loss: number;
  /** Norm of the gradient before clipping; only of a run that made an update. */
  readonly gradientNorm?: number;
  readonly reports: Readonly<Record<string, Tensor>>;
}

export interface Trainer {
  /**
   * One run on a batch: adds to the gradient and, when `gradientAccumulationSteps` are in, updates.
   * `update` says otherwise: true makes the update of fewer runs, as at the end of a pass over the data (the mean
   * is still over `gradientAccumulationSteps`), false goes on gathering.
   * `learningRates` are by group; `variant` is the problem's for this batch, where it has any. Throws TrainingDivergedError, the state untouched, when the result is not finite.
   */
  step(
    batch: Feeds,
    learningRates: Readonly<Record<string, number>>,
    update?: boolean,
    variant?: string,
  ): Promise<StepResult>;
  state(): TrainerState;
  /** Goes on from a state between updates; gradients gathered since then are dropped. */
  restore(state: TrainerState): void;
  /**
   * Trained values by parameter name, or those of other arrays laid out as the blocks are: views, valid until the
   * next step.
   */
  parameters(blocks?: readonly Float32Array[]): Map<string, Float32Array>;
  release(): Promise<void>;
}

/** `initial` gives each parameter's first values. */
export async function createTrainer(
  problem: TrainingProblem,
  initial: (name: string) => ArrayLike<number>,
  options: TrainerOptions,
  createSession: CreateSession,
): Promise<Trainer> {
  const blocks = packParameters(problem.parameters);
  const runs = options.gradientAccumulationSteps ?? 1;
  const sessions = new Map<string, Session>();
  const sessionFor = async (kind: 'gather' | 'update', variant?: string) => {
    const build = (variant === undefined ? undefined : problem.variants?.[variant]) ?? problem.build;
    const key = `${kind} ${build === problem.build ? '' : variant}`;
    const known = sessions.get(key);
    if (known) return known;
    const session = await createSession(trainingGraph({ ...problem, build }, blocks, options, kind));
    sessions.set(key, session);
    return session;
  };
  // What is wrong with the graph is told before any batch is made.
  await sessionFor('update');
  let state: TrainerState = {
    step: 0,
    blocks: blocks.map((block) => ({
      parameter: packArrays(block, initial),
      firstSum: new Float32Array(block.size),
      secondSum: new Float32Array(block.size),
    })),
  };
  // Gradients by block of the runs since the last update.
  let gathered: Float32Array[] = [];
  let gatheredRuns = 0;

  const stateFeeds = (): Record<string, Tensor> => {
    const feeds: Record<string, Tensor> = {};
    blocks.forEach(({ name, size }, i) => {
      const { parameter, firstSum, secondSum } = state.blocks[i]!;
      feeds[name] = float32([size], parameter);
      feeds[`${name}.firstSum`] = float32([size], firstSum);
      feeds[`${name}.secondSum`] = float32([size], secondSum);
      if (runs > 1) feeds[`${name}.gradient`] = float32([size], gathered[i] ?? new Float32Array(size));
    });
    return feeds;
  };
  const array = (results: Record<string, Tensor>, name: string) => results[name]!.data as Float32Array;
  const finish = (results: Record<string, Tensor>): StepResult => {
    const reports = Object.fromEntries(
      Object.entries(results).flatMap(([name, tensor]) =>
        name.startsWith('report.') ? [[name.slice(7), tensor]] : [],
      ),
    );
    const loss = array(results, 'loss')[0]!;
    return {
      loss,
      reports,
      ...('gradientNorm' in results ? { gradientNorm: array(results, 'gradientNorm')[0]! } : {}),
    };
  };

  return {
    async step(batch, learningRates, update = gatheredRuns >= runs - 1, variant) {
      if (runs > 1 && !update) {
        const gather = await sessionFor('gather', variant);
        const results = await gather.run({ ...batch, ...stateFeeds() });
        const result = finish(results);
        if (!Number.isFinite(result.loss)) throw new TrainingDivergedError(state.step + 1, result.loss);
        gathered = blocks.map(({ name }) => array(results, `${name}.gradient`));
        gatheredRuns += 1;
        return result;
      }
      const rates: Record<string, Tensor> = {};
      for (const [group, optimizer] of Object.entries(options.optimizers)) {
        const { first, second } = biasCorrections(optimizer, state.step + 1);
        rates[`${group}.learningRate`] = float32([], [learningRates[group]!]);
        rates[`${group}.firstCorrection`] = float32([], [first]);
        rates[`${group}.secondCorrection`] = float32([], [second]);
      }
      const updating = await sessionFor('update', variant);
      const results = await updating.run({ ...batch, ...stateFeeds(), ...rates });
      const result = finish(results);
      const sound = Number.isFinite(result.loss) && Number.isFinite(result.gradientNorm);
      if (!sound) throw new TrainingDivergedError(state.step + 1, result.loss);
      state = {
        step: state.step + 1,
        blocks: blocks.map(({ name }) => ({
          parameter: array(results, name),
          firstSum: array(results, `${name}.firstSum`),
          secondSum: array(results, `${name}.secondSum`),
        })),
      };
      gathered = [];
      gatheredRuns = 0;
      return result;
    },
    state: () => state,
    restore(from) {
      state = from;
      gathered = [];
      gatheredRuns = 0;
    },
    parameters: (arrays = state.blocks.map(({ parameter }) => parameter)) =>
      new Map(blocks.flatMap((block, i) => [...unpackArrays(block, arrays[i]!)])),
    async release() {
      for (const session of sessions.values()) await session.release();
    },
  };
}

/** Outputs of the graph that adds a batch's gradient to what was gathered, or completes an update with it. */
export function trainingGraph(
  problem: TrainingProblem,
  blocks: readonly ParameterBlock[],
  { optimizers, maxGradientNorm, gradientAccumulationSteps: runs = 1 }: TrainerOptions,
  kind: 'gather' | 'update',
): Record<string, Value> {
  const graph = new Graph();
  const flat = blocks.map(({ name, size }) => graph.input(name, 'float32', [size]));
  const parameters = new Map(blocks.flatMap((block, i) => [...unpack(block, flat[i]!)]));
  const { loss, reports } = problem.build(graph, parameters);
  const names = [...parameters.keys()];
  const gradients = backward(loss, [...parameters.values()]);
  const gradientOf = new Map(names.map((name, i) => [name, gradients[i]!]));

  const packed = blocks.map((block) => {
    const gradient = pack(graph, block, (name) => gradientOf.get(name) ?? null);
    if (runs === 1) return gradient;
    return op.Add(graph.input(`${block.name}.gradient`, 'float32', [block.size]), op.Mul(gradient, 1 / runs));
  });
  const outputs: Record<string, Value> = { loss };
  for (const [name, value] of Object.entries(reports)) outputs[`report.${name}`] = value;
  if (kind === 'gather') {
    blocks.forEach(({ name }, i) => {
      outputs[`${name}.gradient`] = packed[i]!;
    });
    return outputs;
  }

  const squares = packed.map((gradient) =>
    op.ReduceSum(op.Mul(gradient, gradient), { axes: [0], keepdims: 0 }),
  );
  const gradientNorm = op.Sqrt(squares.reduce((sum, square) => op.Add(sum, square)));
  outputs['gradientNorm'] = gradientNorm;
  // PyTorch's clip_grad_norm_: the 1e-6 keeps a zero gradient from dividing by zero.
  const clip =
    maxGradientNorm === undefined
      ? undefined
      : op.Min(op.Div(maxGradientNorm, op.Add(gradientNorm, 1e-6)), 1);
  const rates = new Map(
    Object.keys(optimizers).map((group) => {
      const rate = (name: string) => graph.input(`${group}.${name}`, 'float32', []);
      return [
        group,
        {
          learningRate: rate('learningRate'),
          firstCorrection: rate('firstCorrection'),
          secondCorrection: rate('secondCorrection'),
        },
      ];
    }),
  );
  blocks.forEach(({ name, group, size }, i) => {
    const before = {
      parameter: flat[i]!,
      firstSum: graph.input(`${name}.firstSum`, 'float32', [size]),
      secondSum: graph.input(`${name}.secondSum`, 'float32', [size]),
    };
    const gradient = clip ? op.Mul(packed[i]!, clip) : packed[i]!;
    const decayed = reached(graph, blocks[i]!, gradientOf);
    const after = adamW(before, gradient, rates.get(group)!, optimizers[group]!, decayed);
    outputs[name] = after.parameter;
    outputs[`${name}.firstSum`] = after.firstSum;
    outputs[`${name}.secondSum`] = after.secondSum;
  });
  return outputs;
}

/** 1 for parameters that the loss depends on, 0 for others, which stay as they are; undefined where it is all of them. */
function reached(
  graph: Graph,
  { parameters }: ParameterBlock,
  gradientOf: ReadonlyMap<string, Value | null>,
): Value | undefined {
  if (parameters.every(({ name }) => gradientOf.get(name))) return undefined;
  const parts = parameters.map(({ name, shape }) =>
    op.Expand(graph.scalar(gradientOf.get(name) ? 1 : 0), { shape: [sizeOf(shape)] }),
  );
  return parts.length === 1 ? parts[0]! : op.Concat(...parts, { axis: 0 });
}
