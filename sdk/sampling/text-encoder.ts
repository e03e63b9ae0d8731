/** Prompts to what the UNet is told by them. */
import { Graph, type Value } from '../graph/graph';
import type { CreateSession, Feeds } from '../graph/session';
import { loraAdapter } from '../lora/lora';
import { loraFeeds, loraInputs, type WeightedLora } from '../lora/lora-weights';
import { type BaseModel, tensorsOf } from '../models/base-model';
import {
  type AddedToken,
  encodeText,
  type PromptChunks,
  type PromptCondition,
  tokenFeeds,
  tokenInputs,
  tokenizePrompt,
} from '../models/text-condition';
import { float32, joinArrays, type Tensor } from '../tensor';

/** An added token with its vectors: [vectors, hidden] for each of the base's text encoders, by its name. */
export interface TokenEmbedding extends AddedToken {
  readonly rows: Readonly<Record<string, Tensor<'float32'>>>;
}

export interface EncodingOptions {
  readonly loras?: readonly WeightedLora[];
  /** In the order in which the prompts were tokenized with them. */
  readonly embeddings?: readonly TokenEmbedding[];
  /** Shorter prompts are filled up with empty chunks; default: none is. */
  readonly chunks?: number;
  /** Negative prompts skip no layers, as in diffusers' pipelines. */
  readonly negative?: boolean;
}

export interface TextEncoder {
  /**
   * One chunk at a time, chunks side by side in the result; the one vector of a whole prompt is that of its first
   * chunk. Null is no prompt: the empty text, or zeros where the base wants that.
   */
  encode(prompts: readonly (PromptChunks | null)[], options?: EncodingOptions): Promise<PromptCondition[]>;
  release(): Promise<void>;
}

export interface TextEncoderShape {
  /** The layers that may carry a LoRA, with their component, as `text_encoder.PATH`. */
  readonly loraPaths: readonly string[];
  /** How many of the last layers are skipped; default 0. */
  readonly clipSkip?: number;
}

export async function createTextEncoder(
  base: BaseModel,
  { loraPaths, clipSkip = 0 }: TextEncoderShape,
  createSession: CreateSession,
): Promise<TextEncoder> {
  const graph = new Graph();
  const inputs = tokenInputs(graph, base, 1);
  const condition = encodeText(base, graph, inputs, (name) => ({
    adapt: loraAdapter(loraInputs(graph, name, pathsIn(name, loraPaths), tensorsOf(base, name))),
    addedTokens: graph.input(`${name}.addedTokens`, 'float32', [1, hiddenSize(base, name)], {
      0: `${name}.added`,
    }),
  }));
  const outputs: Record<string, Value> = { ...condition(0) };
  if (clipSkip > 0) outputs['skipped'] = condition(clipSkip).textEmbeddings;
  const session = await createSession(outputs);
  return {
    async encode(prompts, { loras = [], embeddings = [], chunks = 1, negative = false } = {}) {
      const feeds: Feeds = Object.assign(
        {},
        ...base.textEncoders.map(({ name, tensors }) => ({
          ...loraFeeds(name, pathsIn(name, loraPaths), tensors, loras),
          [`${name}.addedTokens`]: joined(
            embeddings.map(({ rows }) => rows[name]!),
            hiddenSize(base, name),
          ),
        })),
      );
      const empty = tokenizePrompt(base, '').tokens;
      const encoded: PromptCondition[] = [];
      for (const prompt of prompts) {
        const own = prompt ?? [empty];
        const filled = [...own, ...Array.from({ length: chunks - own.length }, () => empty)];
        const results: Record<string, Tensor>[] = [];
        for (const tokens of filled)
          results.push(await session.run({ ...feeds, ...tokenFeeds(base, [tokens]) }));
        const values = (tensor: Tensor) =>
          prompt === null && base.zerosForNoPrompt
            ? new Float32Array(tensor.data.length)
            : (tensor.data as Float32Array);
        const text = clipSkip > 0 && !negative ? 'skipped' : 'textEmbeddings';
        const pooled = results[0]!['pooledEmbeddings'];
        encoded.push({
          textEmbeddings: joinArrays(results.map((result) => values(result[text]!))),
          ...(pooled ? { pooledEmbeddings: values(pooled) } : {}),
        });
      }
      return encoded;
    },
    release: () => session.release(),
  };
}

const hiddenSize = (base: BaseModel, encoder: string): number =>
  base.textEncoders.find(({ name }) => name === encoder)!.config.hiddenSize;

/** Rows below one another; one of zeros, which no id asks for, where there are none. */
function joined(rows: readonly Tensor<'float32'>[], width: number): Tensor<'float32'> {
  const all = joinArrays(rows.map(({ data }) => data));
  return rows.length === 0
    ? float32([1, width], new Float32Array(width))
    : float32([all.length / width, width], all);
}

/** The paths of one component's layers among `COMPONENT.PATH`s. */
export const pathsIn = (component: string, paths: readonly string[]): string[] =>
  paths.flatMap((path) => (path.startsWith(`${component}.`) ? [path.slice(component.length + 1)] : []));
