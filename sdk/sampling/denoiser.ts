/** The UNet with classifier-free guidance (Ho & Salimans 2021), as the denoising loop sees it. */
import { Graph } from '../graph/graph';
import { op } from '../graph/operators';
import type { CreateSession, Feeds } from '../graph/session';
import { loraAdapter } from '../lora/lora';
import { loraFeeds, loraInputs, type WeightedLora } from '../lora/lora-weights';
import { type BaseModel, weightsOf } from '../models/base-model';
import { guidanceEmbedding } from '../models/guidance-embedding';
import {
  conditionFeeds,
  conditionInputs,
  type PictureSizes,
  type PromptCondition,
  sizeFeeds,
  sizeInputs,
} from '../models/text-condition';
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
  /** Of each picture. */
  readonly prompts: readonly PromptCondition[];
  /** Of each picture; read only when guided. */
  readonly negativePrompts: readonly PromptCondition[];
  readonly guidanceScale: number;
  /** Of all pictures, where the family is told; default: uncut, as large as what is drawn. */
  readonly sizes?: PictureSizes;
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
  shape: DenoiserShape,
  loraPaths: readonly string[],
  createSession: CreateSession,
): Promise<Denoiser> {
  const { config, tensors } = base.unet;
  const { pictures, size } = shape;
  // A UNet that takes the scale as an input has the guidance in it.
  const guided = shape.guided && config.timeCondDim === undefined;
  const rows = guided ? 2 * pictures : pictures;
  const latentShape = [pictures, config.inChannels, ...size];

  const graph = new Graph();
  const latents = graph.input('latents', 'float32', latentShape);
  const timestep = graph.input('timestep', 'float32', [1]);
  const { textEmbeddings, pooledEmbeddings } = conditionInputs(graph, base, rows, base.tokenizer.maxLength);
  const timeIds = sizeInputs(graph, base, rows);
  const prediction = unet(
    weightsOf(base, 'unet', graph, { adapt: loraAdapter(loraInputs(graph, 'unet', loraPaths, tensors)) }),
    config,
    {
      sample: guided ? op.Concat(latents, latents, { axis: 0 }) : latents,
      timesteps: op.Expand(timestep, { shape: [rows] }),
      textEmbeddings,
      ...(pooledEmbeddings && timeIds ? { added: { textEmbeds: pooledEmbeddings, timeIds } } : {}),
      ...(config.timeCondDim === undefined
        ? {}
        : { timestepCond: graph.input('timestepCond', 'float32', [rows, config.timeCondDim]) }),
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
    under({ prompts, negativePrompts, guidanceScale, loras, sizes }) {
      const [height, width] = size.map((side) => side * base.vae.config.factor) as [number, number];
      const whole: PictureSizes = [height, width, 0, 0, height, width];
      const constant = {
        ...loraFeeds('unet', loraPaths, tensors, loras),
        ...conditionFeeds(base, guided ? [...negativePrompts, ...prompts] : prompts),
        ...sizeFeeds(
          base,
          Array.from({ length: rows }, () => sizes ?? whole),
        ),
        ...timestepCondFeed(config.timeCondDim, rows, guidanceScale),
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

function timestepCondFeed(features: number | undefined, rows: number, guidanceScale: number): Feeds {
  if (features === undefined) return {};
  const one = guidanceEmbedding(guidanceScale, features);
  const all = Float32Array.from({ length: rows * features }, (_, i) => one[i % features]!);
  return { timestepCond: float32([rows, features], all) };
}
