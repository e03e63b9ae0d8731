/** The UNet with classifier-free guidance (Ho & Salimans 2021), as the denoising loop sees it. */
import { Graph } from '../graph/graph';
import { op } from '../graph/operators';
import type { CreateSession } from '../graph/session';
import { loraAdapter } from '../lora/lora';
import { loraFeeds, loraInputs, type WeightedLora } from '../lora/lora-weights';
import { type BaseModel, weightsOf } from '../models/base-model';
import { unet } from '../models/unet';
import { float32 } from '../tensor';

export interface DenoiserShape {
  /** Pictures at a time. */
  readonly pictures: number;
  /** Height and width of the latents. */
  readonly size: readonly [number, number];
  /** Whether a second, negative prompt pulls away: twice the rows. */
  readonly guided: boolean;
}

/** What stays the same over the steps of a run. */
export interface Conditions {
  /** Of each picture, [tokens, features]. */
  readonly prompts: readonly Float32Array[];
  /** Of each picture, likewise; read only when guided. */
  readonly negativePrompts: readonly Float32Array[];
  readonly guidanceScale: number;
  readonly loras: readonly WeightedLora[];
}

export interface Denoiser {
  /** For one run: the model's output for latents [pictures, channels, h, w] at a timestep. */
  under(conditions: Conditions): (latents: Float32Array, timestep: number) => Promise<Float32Array>;
  release(): Promise<void>;
}

/** `loraPaths`: the UNet's layers that may carry a LoRA. */
export async function createDenoiser(
  base: BaseModel,
  { pictures, size, guided }: DenoiserShape,
  loraPaths: readonly string[],
  createSession: CreateSession,
): Promise<Denoiser> {
  const { config, tensors } = base.unet;
  const tokens = base.tokenizer.maxLength;
  const rows = guided ? 2 * pictures : pictures;
  const latentShape = [pictures, config.inChannels, ...size];
  const textShape = [rows, tokens, config.crossAttentionDim];

  const graph = new Graph();
  const latents = graph.input('latents', 'float32', latentShape);
  const timestep = graph.input('timestep', 'float32', [1]);
  const prediction = unet(
    weightsOf(base, 'unet', graph, { adapt: loraAdapter(loraInputs(graph, 'unet', loraPaths, tensors)) }),
    config,
    {
      sample: guided ? op.Concat(latents, latents, { axis: 0 }) : latents,
      timesteps: op.Expand(timestep, { shape: [rows] }),
      textEmbeddings: graph.input('textEmbeddings', 'float32', textShape),
    },
  );
  let output = prediction;
  if (guided) {
    const [away, towards] = op.Split(prediction, { split: [pictures, pictures], axis: 0 });
    const guidanceScale = graph.input('guidanceScale', 'float32', []);
    output = op.Add(away!, op.Mul(op.Sub(towards!, away!), guidanceScale));
  }
  const session = await createSession({ output });

  return {
    under({ prompts, negativePrompts, guidanceScale, loras }) {
      const lines = guided ? [...negativePrompts, ...prompts] : prompts;
      const text = new Float32Array(lines.length * lines[0]!.length);
      lines.forEach((line, i) => {
        text.set(line, i * line.length);
      });
      const constant = {
        ...loraFeeds('unet', loraPaths, tensors, loras),
        textEmbeddings: float32(textShape, text),
        guidanceScale: float32([], [guidanceScale]),
      };
      return async (sample, at) => {
        const feeds = { ...constant, latents: float32(latentShape, sample), timestep: float32([1], [at]) };
        return (await session.run(feeds)).output.data as Float32Array;
      };
    },
    release: () => session.release(),
  };
}
