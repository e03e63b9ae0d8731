/** From prompts to what a base model's UNet is told by text: token ids into its text encoders, conditions out. */
import type { Graph, Value } from '../graph/graph';
import type { Feeds } from '../graph/session';
import { float32, type Tensor } from '../tensor';
import { type BaseModel, type Changes, type ComponentName, weightsOf } from './base-model';
import { clipText, pooledPositions } from './clip-text';
import type { TextCondition } from './families/family';

/** A prompt's token ids for each of the base's text encoders, in their order. */
export type PromptTokens = readonly Int32Array[];

/** What a prompt is to the UNet. */
export interface PromptCondition {
  /** [tokens, features] */
  readonly textEmbeddings: Float32Array;
  /** [features], where the family has it. */
  readonly pooledEmbeddings?: Float32Array;
}

/** `cut` is the end of the text that did not fit, as the tokenizer reads it; empty when all fitted. */
export function tokenizePrompt(base: BaseModel, text: string): { tokens: PromptTokens; cut: string } {
  const each = base.textEncoders.map(({ tokenizer }) => tokenizer.tokenize(text));
  return { tokens: each.map(({ ids }) => ids), cut: each[0]!.cut };
}

/** Inputs of a graph for `rows` prompts: `ENCODER.inputIds` and `ENCODER.endTokens`. */
export function tokenInputs(graph: Graph, base: BaseModel, rows: number): readonly Value[][] {
  return base.textEncoders.map(({ name, tokenizer }) => {
    const shape = [rows, tokenizer.maxLength];
    return [
      graph.input(`${name}.inputIds`, 'int64', shape),
      graph.input(`${name}.endTokens`, 'float32', shape),
    ];
  });
}

/** What to feed to `tokenInputs`. */
export function tokenFeeds(base: BaseModel, prompts: readonly PromptTokens[]): Feeds {
  const feeds: Record<string, Tensor> = {};
  base.textEncoders.forEach(({ name, config, tokenizer }, encoder) => {
    const tokens = tokenizer.maxLength;
    const shape = [prompts.length, tokens];
    const ids = BigInt64Array.from(prompts.flatMap((prompt) => Array.from(prompt[encoder]!, BigInt)));
    const ends = new Float32Array(ids.length);
    pooledPositions(ids, tokens, config).forEach((position, row) => {
      ends[row * tokens + position] = 1;
    });
    feeds[`${name}.inputIds`] = { dtype: 'int64', shape, data: ids };
    feeds[`${name}.endTokens`] = float32(shape, ends);
  });
  return feeds;
}

/** The base's text encoders on `tokenInputs`, each with what is changed of it. */
export function encodeText(
  base: BaseModel,
  graph: Graph,
  inputs: readonly (readonly Value[])[],
  changesOf: (encoder: ComponentName) => Changes = () => ({}),
): TextCondition {
  const encoded = base.textEncoders.map(({ name, config }, i) => {
    const [inputIds, endTokens] = inputs[i] as readonly [Value, Value];
    return clipText(weightsOf(base, name, graph, changesOf(name)), config, { inputIds, endTokens });
  });
  return base.family.condition(encoded, 0);
}

/** Inputs of a graph for what `encodeText` made of `rows` prompts. */
export function conditionInputs(graph: Graph, base: BaseModel, rows: number, tokens: number): TextCondition {
  const { crossAttentionDim } = base.unet.config;
  return {
    textEmbeddings: graph.input('textEmbeddings', 'float32', [rows, tokens, crossAttentionDim]),
    ...(base.family.addsSizes
      ? { pooledEmbeddings: graph.input('pooledEmbeddings', 'float32', [rows, pooledFeatures(base)]) }
      : {}),
  };
}

/** What to feed to `conditionInputs`. */
export function conditionFeeds(base: BaseModel, prompts: readonly PromptCondition[]): Feeds {
  const joined = (parts: readonly Float32Array[]) => {
    const size = parts[0]!.length;
    const all = new Float32Array(parts.length * size);
    parts.forEach((part, i) => {
      all.set(part, i * size);
    });
    return all;
  };
  const rows = prompts.length;
  const features = base.unet.config.crossAttentionDim;
  const text = joined(prompts.map(({ textEmbeddings }) => textEmbeddings));
  const feeds: Record<string, Tensor> = {
    textEmbeddings: float32([rows, text.length / rows / features, features], text),
  };
  if (base.family.addsSizes) {
    const pooled = joined(prompts.map(({ pooledEmbeddings }) => pooledEmbeddings!));
    feeds['pooledEmbeddings'] = float32([rows, pooled.length / rows], pooled);
  }
  return feeds;
}

const pooledFeatures = (base: BaseModel): number => base.textEncoders.at(-1)!.config.projectionDim;

/**
 * A picture's sizes as SDXL is told them (its §2.2): height and width of the original, top and left of what was cut
 * from it, height and width of what is shown.
 */
export type PictureSizes = readonly [number, number, number, number, number, number];

/** Input and feed of the sizes of `rows` pictures, where the family's UNet takes them. */
export const sizeInputs = (graph: Graph, base: BaseModel, rows: number): Value | undefined =>
  base.family.addsSizes ? graph.input('timeIds', 'float32', [rows, 6]) : undefined;

export const sizeFeeds = (base: BaseModel, sizes: readonly PictureSizes[]): Feeds =>
  base.family.addsSizes ? { timeIds: float32([sizes.length, 6], Float32Array.from(sizes.flat())) } : {};
