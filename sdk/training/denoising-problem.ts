/**
 * The loss of diffusion fine-tuning as a graph: mean squared error between what the UNet predicts and its target,
 *
 *   L = Σᵢ wᵢ · mean(mᵢ · (ε̂(xᵢ, tᵢ, cᵢ) − yᵢ)²)
 *
 * DreamBooth's two terms (Ruiz et al. 2023, eq. 2) are weights: 1/B for B pictures of the subject, λ/B for B of its
 * class; min-SNR multiplies further. m, one number a place, says which parts of a picture count; the mean stays over
 * all places, as in kohya's scripts, so that a small subject does not pull harder than a large one. Noise, timesteps and weights are data, so the graph has no randomness.
 */
import type { Value } from '../graph/graph';
import { op } from '../graph/operators';
import { type LoraTarget, loraAdapter } from '../lora/lora';
import { type BaseModel, type Changes, type ComponentName, tensorsOf, weightsOf } from '../models/base-model';
import type { TextCondition } from '../models/families/family';
import { conditionInputs, encodeText, sizeInputs, tokenInputs } from '../models/text-condition';
import { unet } from '../models/unet';
import type { Parameter } from './parameters';
import type { TrainingProblem } from './trainer';

/** How a component takes part: its own weights trained, a LoRA beside them, vectors of added tokens, or not at all. */
export type Trained =
  | { readonly kind: 'full' }
  | { readonly kind: 'embedding'; readonly vectors: number }
  | { readonly kind: 'lora'; readonly targets: readonly LoraTarget[]; readonly scale: number };

export interface DenoisingProblem {
  readonly base: BaseModel;
  readonly unet?: Trained;
  /** When any is trained, token ids are fed and encoded at every step; else what the prompts are to the UNet is fed. */
  readonly textEncoders?: Readonly<Partial<Record<ComponentName, Trained>>>;
  readonly batch: number;
  /** Height and width of the latents. */
  readonly size: readonly [number, number];
  /** Of a prompt, where conditions are fed. */
  readonly tokens: number;
  /**
   * The last `untrainedTargets` rows of the batch have no target of their own: theirs is what the base model itself
   * predicts, so that the class stays what it was without pictures of it. Default 0.
   */
  readonly untrainedTargets?: number;
  /** How many of the text encoders' last layers are skipped, where they are in the graph; default 0. */
  readonly clipSkip?: number;
  /** Whether `lossMask` is an input. Default: every place counts 1. */
  readonly masked?: boolean;
  /** Whether `prompted` is an input: where it is 0, what the text encoders say becomes zeros. */
  readonly zerosPrompts?: boolean;
}

/**
 * Inputs: `sample` [B, C, h, w], `timesteps` [B], `lossWeights` [B], `target` for the rows that have one, `lossMask`
 * [B, 1, h, w] and `prompted` [B] where they are asked for, those of `conditionInputs` or `tokenInputs`, and of `sizeInputs`. Reports: `losses` [B], unweighted.
 * Parameters are named `unet.KEY` for weights, `unet.PATH.down` and `.up` for a LoRA,
 * `text_encoder.addedTokens` for an embedding; groups are the components.
 */
export function denoisingProblem(problem: DenoisingProblem): TrainingProblem {
  const { base, batch, size, tokens, untrainedTargets = 0, clipSkip = 0 } = problem;
  const { inChannels, outChannels } = base.unet.config;
  const trained: Readonly<Partial<Record<ComponentName, Trained>>> = {
    ...(problem.unet ? { unet: problem.unet } : {}),
    ...problem.textEncoders,
  };
  return {
    parameters: Object.entries(trained).flatMap(([component, how]) =>
      parametersOf(base, component as ComponentName, how),
    ),
    build(graph, parameters) {
      const sample = graph.input('sample', 'float32', [batch, inChannels, ...size]);
      const timesteps = graph.input('timesteps', 'float32', [batch]);
      const lossWeights = graph.input('lossWeights', 'float32', [batch]);
      const timeIds = sizeInputs(graph, base, batch);
      const changed = (component: ComponentName) => changesOf(component, trained[component], parameters);

      const ids = problem.textEncoders ? tokenInputs(graph, base, batch) : undefined;
      const encoded = ids
        ? encodeText(base, graph, ids, changed)(clipSkip)
        : conditionInputs(graph, base, batch, tokens);
      const condition = problem.zerosPrompts
        ? zeroed(encoded, graph.input('prompted', 'float32', [batch]), batch)
        : encoded;
      const predict = (changes: Changes, told: TextCondition, rows: (x: Value) => Value = (x) => x) =>
        unet(weightsOf(base, 'unet', graph, changes), base.unet.config, {
          sample: rows(sample),
          timesteps: rows(timesteps),
          textEmbeddings: told.textEmbeddings,
          ...(told.pooledEmbeddings && timeIds
            ? { added: { textEmbeds: told.pooledEmbeddings, timeIds: rows(timeIds) } }
            : {}),
        });
      const prediction = predict(changed('unet'), condition);

      const given = batch - untrainedTargets;
      const targets: Value[] =
        given > 0 ? [graph.input('target', 'float32', [given, outChannels, ...size])] : [];
      if (untrainedTargets > 0) {
        const rest = (x: Value) => op.Slice(x, { starts: [given], ends: [batch], axes: [0], steps: [1] });
        const untrained = ids
          ? encodeText(
              base,
              graph,
              ids.map((inputs) => inputs.map(rest)),
            )(clipSkip)
          : {
              textEmbeddings: rest(condition.textEmbeddings),
              ...(condition.pooledEmbeddings ? { pooledEmbeddings: rest(condition.pooledEmbeddings) } : {}),
            };
        targets.push(predict({}, untrained, rest));
      }
      const difference = op.Sub(
        prediction,
        targets.length === 1 ? targets[0]! : op.Concat(...targets, { axis: 0 }),
      );
      const squares = op.Mul(difference, difference);
      const counted = problem.masked
        ? op.Mul(squares, graph.input('lossMask', 'float32', [batch, 1, ...size]))
        : squares;
      const losses = op.ReduceMean(counted, { axes: [1, 2, 3], keepdims: 0 });
      const loss = op.ReduceSum(op.Mul(losses, lossWeights), { axes: [0], keepdims: 0 });
      return { loss, reports: { losses } };
    },
  };
}

function zeroed(
  { textEmbeddings, pooledEmbeddings }: TextCondition,
  prompted: Value,
  batch: number,
): TextCondition {
  const times = (x: Value, shape: number[]) => op.Mul(x, op.Reshape(prompted, { shape }));
  return {
    textEmbeddings: times(textEmbeddings, [batch, 1, 1]),
    ...(pooledEmbeddings ? { pooledEmbeddings: times(pooledEmbeddings, [batch, 1]) } : {}),
  };
}

/** Buffers that old files keep beside the weights. */
const isBuffer = (key: string) => key.endsWith('position_ids');

function parametersOf(base: BaseModel, component: ComponentName, trained: Trained | undefined): Parameter[] {
  if (!trained) return [];
  if (trained.kind === 'lora') {
    return trained.targets.flatMap(({ path, down, up }) => [
      { name: `${component}.${path}.down`, shape: down, group: component },
      { name: `${component}.${path}.up`, shape: up, group: component },
    ]);
  }
  if (trained.kind === 'embedding') {
    const { hiddenSize } = base.textEncoders.find(({ name }) => name === component)!.config;
    return [{ name: `${component}.addedTokens`, shape: [trained.vectors, hiddenSize], group: component }];
  }
  return [...tensorsOf(base, component)].flatMap(([key, { shape }]) =>
    isBuffer(key) ? [] : [{ name: `${component}.${key}`, shape, group: component }],
  );
}

function changesOf(
  component: ComponentName,
  trained: Trained | undefined,
  parameters: ReadonlyMap<string, Value>,
): Changes {
  if (!trained) return {};
  if (trained.kind === 'embedding') return { addedTokens: parameters.get(`${component}.addedTokens`)! };
  if (trained.kind === 'lora') {
    const values = (path: string) => ({
      down: parameters.get(`${component}.${path}.down`)!,
      up: parameters.get(`${component}.${path}.up`)!,
      scale: trained.scale,
    });
    return { adapt: loraAdapter(new Map(trained.targets.map(({ path }) => [path, values(path)]))) };
  }
  const prefix = `${component}.`;
  const own = [...parameters].filter(([name]) => name.startsWith(prefix));
  return { replaced: new Map(own.map(([name, value]) => [name.slice(prefix.length), value])) };
}
