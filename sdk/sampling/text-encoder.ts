/** Prompts to what the UNet attends to. */

import { Graph } from '../graph/graph';
import type { CreateSession } from '../graph/session';
import { loraAdapter } from '../lora/lora';
import { loraFeeds, loraInputs, type WeightedLora } from '../lora/lora-weights';
import { type BaseModel, weightsOf } from '../models/base-model';

export interface TextEncoder {
  /** Each prompt's token ids to its embeddings, [tokens, features]. */
  encode(prompts: readonly ArrayLike<number>[], loras?: readonly WeightedLora[]): Promise<Float32Array[]>;
  release(): Promise<void>;
}

/** `loraPaths`: the layers that may carry a LoRA. */
export async function createTextEncoder(
  base: BaseModel,
  loraPaths: readonly string[],
  createSession: CreateSession,
): Promise<TextEncoder> {
  const { tensors, config } = base.text_encoder;
  const tokens = base.tokenizer.maxLength;
  const graph = new Graph();
  const loras = loraInputs(graph, 'text_encoder', loraPaths, tensors);
  const weights = weightsOf(base, 'text_encoder', graph, { adapt: loraAdapter(loras) });
  const inputIds = graph.input('inputIds', 'int64', [1, tokens]);
  const session = await createSession({ embeddings: base.family.encodeText(weights, config, inputIds) });
  return {
    async encode(prompts, applied = []) {
      const feeds = loraFeeds('text_encoder', loraPaths, tensors, applied);
      const encoded: Float32Array[] = [];
      for (const ids of prompts) {
        const data = BigInt64Array.from(Array.from(ids), BigInt);
        const results = await session.run({
          ...feeds,
          inputIds: { dtype: 'int64', shape: [1, tokens], data },
        });
        encoded.push(results.embeddings.data as Float32Array);
      }
      return encoded;
    },
    release: () => session.release(),
  };
}
