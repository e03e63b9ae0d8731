/** From prompts to what a base model's UNet is told by text: token ids into its text encoders, conditions out. */
import { InvalidOptionError } from '../errors';
import type { Graph, Value } from '../graph/graph';
import type { Feeds } from '../graph/session';
import { float32, joinArrays, type Tensor } from '../tensor';
import {
  type BaseModel,
  type Changes,
  type ComponentName,
  type TextEncoderPart,
  weightsOf,
} from './base-model';
import { clipText, pooledPositions } from './clip-text';
import type { TextCondition } from './families/family';

/**
 * What one run of the text encoders reads of a prompt: `maxLength` token ids for each of them, in their order. Ids
 * from the size of the vocabulary on are those of added tokens.
 */
export type PromptTokens = readonly Int32Array[];

/** A prompt of any length: one chunk at least. */
export type PromptChunks = readonly PromptTokens[];

/** A word beyond the vocabulary that stands for so many vectors (textual inversion). */
export interface AddedToken {
  /** As it is written in prompts. */
  readonly token: string;
  readonly vectors: number;
}

/** What a prompt is to the UNet. */
export interface PromptCondition {
  /** [tokens, features] */
  readonly textEmbeddings: Float32Array;
  /** [features], where the family has it. */
  readonly pooledEmbeddings?: Float32Array;
}

/**
 * As much of a text as the text encoders read at once, as diffusers' pipelines and training scripts take it. `cut` is
 * the end that did not fit, as the tokenizer reads it; empty when all fitted.
 */
export function tokenizePrompt(
  base: BaseModel,
  text: string,
  added: readonly AddedToken[] = [],
): { tokens: PromptTokens; cut: string } {
  const [first] = tokenizeChunks(base, text, added);
  const { tokenizer } = base.textEncoders[0]!;
  const beyond = idsOf(base.textEncoders[0]!, text, added).slice(tokenizer.maxLength - 2);
  return { tokens: first!, cut: tokenizer.decode(beyond) };
}

/**
 * The whole text, in chunks of `maxLength` − 2 tokens (75), each between a start and an end token of its own, as
 * AUTOMATIC1111's web UI, kohya's scripts and compel cut it. The encoders of a base get equally many.
 */
export function tokenizeChunks(
  base: BaseModel,
  text: string,
  added: readonly AddedToken[] = [],
): PromptChunks {
  const each = base.textEncoders.map((encoder) => {
    const ids = idsOf(encoder, text, added);
    const room = encoder.tokenizer.maxLength - 2;
    return Array.from({ length: Math.max(1, Math.ceil(ids.length / room)) }, (_, i) =>
      ids.slice(i * room, (i + 1) * room),
    );
  });
  return Array.from({ length: Math.max(...each.map((chunks) => chunks.length)) }, (_, i) =>
    base.textEncoders.map(({ tokenizer }, encoder) => tokenizer.frame(each[encoder]![i] ?? [])),
  );
}

/** Added tokens get the ids behind the vocabulary's, in their order, as diffusers numbers them. */
function idsOf({ tokenizer, config }: TextEncoderPart, text: string, added: readonly AddedToken[]): number[] {
  let next = config.vocabularySize;
  const idsOfToken = added.map(({ token, vectors }) => {
    const ids = Array.from({ length: vectors }, (_, i) => next + i);
    next += vectors;
    return { token, ids };
  });
  const encode = (part: string): number[] => {
    const found = idsOfToken.find(({ token }) => part.includes(token));
    if (!found) return tokenizer.encode(part);
    const at = part.indexOf(found.token);
    return [...encode(part.slice(0, at)), ...found.ids, ...encode(part.slice(at + found.token.length))];
  };
  return encode(text);
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

/**
 * The base's text encoders on `tokenInputs`, each with what is changed of it. Returns what they tell the UNet when so
 * many of the last layers are skipped (diffusers' `clip_skip`).
 */
export function encodeText(
  base: BaseModel,
  graph: Graph,
  inputs: readonly (readonly Value[])[],
  changesOf: (encoder: ComponentName) => Changes = () => ({}),
): (clipSkip: number) => TextCondition {
  const encoded = base.textEncoders.map(({ name, config }, i) => {
    const [inputIds, endTokens] = inputs[i] as readonly [Value, Value];
    const changes = changesOf(name);
    const { addedTokens } = changes;
    return clipText(weightsOf(base, name, graph, changes), config, { inputIds, endTokens, addedTokens });
  });
  return (clipSkip) => base.family.condition(encoded, base.family.skippedLayers + clipSkip);
}

/** Throws InvalidOptionError where the base's text encoders have not as many layers to skip and one to be left. */
export function checkClipSkip(base: BaseModel, clipSkip: number): void {
  const layers = Math.min(...base.textEncoders.map(({ config }) => config.layers));
  const most = layers - base.family.skippedLayers - 1;
  if (clipSkip <= most) return;
  throw new InvalidOptionError(
    'clipSkip',
    `clipSkip is ${clipSkip}: the text encoder${base.textEncoders.length > 1 ? 's' : ''} of this ${base.family.title} can skip 0 to ${most} layers.`,
  );
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
  const rows = prompts.length;
  const features = base.unet.config.crossAttentionDim;
  const text = joinArrays(prompts.map(({ textEmbeddings }) => textEmbeddings));
  const feeds: Record<string, Tensor> = {
    textEmbeddings: float32([rows, text.length / rows / features, features], text),
  };
  if (base.family.addsSizes) {
    const pooled = joinArrays(prompts.map(({ pooledEmbeddings }) => pooledEmbeddings!));
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
