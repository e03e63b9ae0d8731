/** The UNet with classifier-free guidance (Ho & Salimans 2021), as the denoising loop sees it. */
import { Graph, type Value } from '../graph/graph';
import { op } from '../graph/operators';
import type { CreateSession, Feeds } from '../graph/session';
import { loraAdapter } from '../lora/lora';
import { loraFeeds, loraInputs, type WeightedLora } from '../lora/lora-weights';
import { type BaseModel, inpaints, weightsOf } from '../models/base-model';
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
  /** Whether the guided prediction is brought back towards the prompt's own contrast, see `Conditions.guidanceRescale`. */
  readonly rescaled?: boolean;
  /** Of each prompt, `maxLength` tokens each; default 1. */
  readonly chunks?: number;
}

/** What stays the same over the steps of a run. */
export interface Conditions {
  /** Of each picture. */
  readonly prompts: readonly PromptCondition[];
  /** Of each picture; read only when guided. */
  readonly negativePrompts: readonly PromptCondition[];
  readonly guidanceScale: number;
  /** 0 to 1; read only when rescaled. */
  readonly guidanceRescale?: number;
  /** Of all pictures, where the UNet inpaints: mask (1: draw) and latents of the masked picture, [1 + channels, h, w] each. */
  readonly masked?: Float32Array;
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
  const { pictures, size, chunks = 1 } = shape;
  const tokens = chunks * base.tokenizer.maxLength;
  // A UNet that takes the scale as an input has the guidance in it.
  const guided = shape.guided && config.timeCondDim === undefined;
  const rows = guided ? 2 * pictures : pictures;
  const { latentChannels } = base.vae.config;
  const latentShape = [pictures, latentChannels, ...size];
  const maskedShape = [pictures, 1 + latentChannels, ...size];

  const graph = new Graph();
  const latents = graph.input('latents', 'float32', latentShape);
  const sample = inpaints(base)
    ? op.Concat(latents, graph.input('masked', 'float32', maskedShape), { axis: 1 })
    : latents;
  const timestep = graph.input('timestep', 'float32', [1]);
  const { textEmbeddings, pooledEmbeddings } = conditionInputs(graph, base, rows, tokens);
  const timeIds = sizeInputs(graph, base, rows);
  const prediction = unet(
    weightsOf(base, 'unet', graph, { adapt: loraAdapter(loraInputs(graph, 'unet', loraPaths, tensors)) }),
    config,
    {
      sample: guided ? op.Concat(sample, sample, { axis: 0 }) : sample,
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
    if (shape.rescaled) output = rescale(output, towards!, graph.input('guidanceRescale', 'float32', []));
  }
  const session = await createSession({ output });

  return {
    under({ prompts, negativePrompts, guidanceScale, guidanceRescale = 0, loras, sizes, masked }) {
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
        guidanceRescale: float32([], [guidanceRescale]),
        ...(masked ? { masked: float32(maskedShape, masked) } : {}),
      };
      return async (sample, at) => {
        const feeds = { ...constant, latents: float32(latentShape, sample), timestep: float32([1], [at]) };
        return (await session.run(feeds)).output.data as Float32Array;
      };
    },
    release: () => session.release(),
  };
}

/**
 * Lin et al. 2023, equations 15 and 16: guidance raises a prediction's deviation, and pictures with it in contrast;
 * `share` of it is brought to the deviation of the prompt's own. Of two deviations over as many values the ratio is
 * the same with and without Bessel's correction.
 */
function rescale(guided: Value, towards: Value, share: Value): Value {
  const deviation = (x: Value) => {
    const distance = op.Sub(x, op.ReduceMean(x, { axes: [1, 2, 3], keepdims: 1 }));
    return op.Sqrt(op.ReduceMean(op.Mul(distance, distance), { axes: [1, 2, 3], keepdims: 1 }));
  };
  const rescaled = op.Mul(guided, op.Div(deviation(towards), deviation(guided)));
  return op.Add(guided, op.Mul(op.Sub(rescaled, guided), share));
}

function timestepCondFeed(features: number | undefined, rows: number, guidanceScale: number): Feeds {
  if (features === undefined) return {};
  const one = guidanceEmbedding(guidanceScale, features);
  const all = Float32Array.from({ length: rows * features }, (_, i) => one[i % features]!);
  return { timestepCond: float32([rows, features], all) };
}
