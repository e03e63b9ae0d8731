/** Prompts to what the UNet is told by them. */
import { Graph, type Value } from '../graph/graph';
import type { CreateSession } from '../graph/session';
import { loraAdapter } from '../lora/lora';
import { loraFeeds, loraInputs, type WeightedLora } from '../lora/lora-weights';
import { type BaseModel, tensorsOf } from '../models/base-model';
import {
  encodeText,
  type PromptCondition,
  type PromptTokens,
  tokenFeeds,
  tokenInputs,
  tokenizePrompt,
} from '../models/text-condition';
import type { Tensor } from '../tensor';

export interface TextEncoder {
  /** One at a time, in their order. Null is no prompt: the empty text, or zeros where the base wants that. */
  encode(
    prompts: readonly (PromptTokens | null)[],
    loras?: readonly WeightedLora[],
  ): Promise<PromptCondition[]>;
  release(): Promise<void>;
}

/** `loraPaths`: the layers that may carry a LoRA, with their component, as `text_encoder.PATH`. */
export async function createTextEncoder(
  base: BaseModel,
  loraPaths: readonly string[],
  createSession: CreateSession,
): Promise<TextEncoder> {
  const graph = new Graph();
  const { textEmbeddings, pooledEmbeddings } = encodeText(
    base,
    graph,
    tokenInputs(graph, base, 1),
    (name) => ({
      adapt: loraAdapter(loraInputs(graph, name, pathsIn(name, loraPaths), tensorsOf(base, name))),
    }),
  );
  const outputs: Record<string, Value> = {
    textEmbeddings,
    ...(pooledEmbeddings ? { pooledEmbeddings } : {}),
  };
  const session = await createSession(outputs);
  return {
    async encode(prompts, applied = []) {
      const feeds = Object.assign(
        {},
        ...base.textEncoders.map(({ name, tensors }) =>
          loraFeeds(name, pathsIn(name, loraPaths), tensors, applied),
        ),
      );
      const encoded: PromptCondition[] = [];
      for (const prompt of prompts) {
        const tokens = prompt ?? tokenizePrompt(base, '').tokens;
        const results = await session.run({ ...feeds, ...tokenFeeds(base, [tokens]) });
        const values = ({ data }: Tensor) =>
          prompt === null && base.zerosForNoPrompt ? new Float32Array(data.length) : (data as Float32Array);
        encoded.push({
          textEmbeddings: values(results['textEmbeddings']!),
          ...(results['pooledEmbeddings'] ? { pooledEmbeddings: values(results['pooledEmbeddings']) } : {}),
        });
      }
      return encoded;
    },
    release: () => session.release(),
  };
}

/** The paths of one component's layers among `COMPONENT.PATH`s. */
export const pathsIn = (component: string, paths: readonly string[]): string[] =>
  paths.flatMap((path) => (path.startsWith(`${component}.`) ? [path.slice(component.length + 1)] : []));
