/** A base model: configs read and understood, weights located. Nothing of it is loaded until a graph runs. */
import type { DiffusersFolder } from '../checkpoint/diffusers-folder';
import { UnsupportedModelError } from '../errors';
import type { Graph, Value } from '../graph/graph';
import { checkpointWeights, type LayerAdapter, type Weights } from '../nn/weights';
import type { SchedulerConfig } from '../schedulers/scheduler-config';
import type { StoredTensor } from '../tensor';
import { type ClipTokenizer, createClipTokenizer } from '../tokenizers/clip-bpe';
import { type AutoencoderConfig, readAutoencoderConfig } from './autoencoder-kl';
import { type ClipTextConfig, readClipTextConfig } from './clip-text';
import type { BaseModelFamily, TextEncoderName } from './families/family';
import { families } from './families/index';
import { readUNetConfig, type UNetConfig } from './unet-config';

/** The networks of a base model, by the names of their folders. */
export type ComponentName = 'unet' | 'vae' | TextEncoderName;

export interface ModelPart<Config> {
  readonly config: Config;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

export interface TextEncoderPart extends ModelPart<ClipTextConfig> {
  readonly name: TextEncoderName;
  readonly tokenizer: ClipTokenizer;
}

export interface BaseModel {
  readonly directory: string;
  readonly family: BaseModelFamily;
  readonly unet: ModelPart<UNetConfig>;
  readonly vae: ModelPart<AutoencoderConfig>;
  /** In the order of the family's. */
  readonly textEncoders: readonly TextEncoderPart[];
  /** That of the first text encoder. */
  readonly tokenizer: ClipTokenizer;
  readonly schedulerConfig: SchedulerConfig;
  /** Whether no prompt means embeddings of zeros, not those of the empty text (`force_zeros_for_empty_prompt`). */
  readonly zerosForNoPrompt: boolean;
}

/** Whether the UNet is shown a mask and the masked picture beside the latents, as inpainting models are. */
export const inpaints = ({ unet, vae }: Pick<BaseModel, 'unet' | 'vae'>): boolean =>
  unet.config.inChannels === 1 + 2 * vae.config.latentChannels;

/** Throws UnsupportedModelError or UnsupportedConfigError, naming what cannot be built and what can. */
export function readBaseModel(folder: DiffusersFolder): BaseModel {
  const family = families.find((one) => one.pipelineClasses.includes(folder.pipelineClass));
  if (!family) {
    throw new UnsupportedModelError(
      `${folder.directory} is a ${folder.pipelineClass}; supported are ${families.flatMap((one) => one.pipelineClasses).join(', ')}.`,
    );
  }
  const part = <Config>(
    name: ComponentName,
    read: (config: Readonly<Record<string, unknown>>) => Config,
  ): ModelPart<Config> => {
    const found = folder.components.get(name);
    if (!found)
      throw new UnsupportedModelError(`${folder.directory} has no ${name}; a ${family.title} has one.`);
    return { config: read(found.config), tensors: found.tensors };
  };
  const textEncoders = family.textEncoders.map((name): TextEncoderPart => {
    const files = folder.tokenizers.get(name.replace('text_encoder', 'tokenizer'));
    if (!files)
      throw new UnsupportedModelError(
        `${folder.directory} has no tokenizer for its ${name}; a ${family.title} has one.`,
      );
    return { name, ...part(name, readClipTextConfig), tokenizer: createClipTokenizer(files) };
  });
  const unet = part('unet', readUNetConfig);
  const vae = part('vae', (config) => {
    const { latentsMean, latentsStd, ...rest } = readAutoencoderConfig(config);
    return family.normalizesLatents && latentsMean && latentsStd
      ? { ...rest, latentsMean, latentsStd }
      : rest;
  });
  return checked({
    directory: folder.directory,
    family,
    unet,
    vae,
    textEncoders,
    tokenizer: textEncoders[0]!.tokenizer,
    schedulerConfig: folder.schedulerConfig,
    zerosForNoPrompt: family.addsSizes && folder.modelIndex['force_zeros_for_empty_prompt'] !== false,
  });
}

/** Refuses parts that do not belong together: what a UNet is told is as wide as what the text encoders say. */
function checked(base: BaseModel): BaseModel {
  const { directory, family, unet, vae, textEncoders } = base;
  const { crossAttentionDim, addition, inChannels } = unet.config;
  const { latentChannels } = vae.config;
  const refuse = (what: string) =>
    new UnsupportedModelError(`The UNet of ${directory} ${what}: they do not belong together.`);
  if (inChannels !== latentChannels && !inpaints(base)) {
    const kinds: Readonly<Record<number, string>> = {
      [2 * latentChannels]: ', as InstructPix2Pix has, which edits by instruction',
      [latentChannels + 3]: ', as an upscaler has, which sees a small picture beside the latents',
    };
    throw new UnsupportedModelError(
      `The UNet of ${directory} takes ${inChannels} channels${kinds[inChannels] ?? ''}. Supported are ${latentChannels} (latents) and ${1 + 2 * latentChannels} (for inpainting: latents, mask, masked picture).`,
    );
  }
  if ((addition !== undefined) !== family.addsSizes)
    throw refuse(
      addition
        ? `takes sizes and pooled text, as Stable Diffusion XL's does, beside the text encoders of a ${family.title}`
        : `takes no sizes and pooled text, which a ${family.title} has`,
    );
  const features = textEncoders.map(({ config }) => config.hiddenSize);
  const given = features.reduce((sum, one) => sum + one, 0);
  if (given !== crossAttentionDim)
    throw refuse(
      `attends to texts of ${crossAttentionDim} features; ${textEncoders.map(({ name }) => name).join(' and ')} give ${features.join(' + ')}`,
    );
  const pooled = textEncoders.at(-1)!.config.projectionDim;
  if (addition && addition.input !== pooled + 6 * addition.features)
    throw refuse(
      `takes ${addition.input} features of sizes and pooled text (projection_class_embeddings_input_dim); six sizes of ${addition.features} and a pooled text of ${pooled} are ${pooled + 6 * addition.features}`,
    );
  return base;
}

/** What of a component is not as in its file: trained or exchanged weights, LoRA. */
export interface Changes {
  readonly replaced?: ReadonlyMap<string, Value>;
  readonly adapt?: LayerAdapter;
  /** Of a text encoder: vectors of tokens beyond its vocabulary, [n, hidden]. */
  readonly addedTokens?: Value;
}

/** A component's tensors in their files; none of one that this base does not have. */
export function tensorsOf(base: BaseModel, component: ComponentName): ReadonlyMap<string, StoredTensor> {
  if (component === 'unet' || component === 'vae') return base[component].tensors;
  return base.textEncoders.find(({ name }) => name === component)?.tensors ?? new Map();
}

/** The components whose weights or LoRA a subject may have. */
export const trainableComponents = (base: BaseModel): readonly ComponentName[] => [
  'unet',
  ...base.family.textEncoders,
];

/** A component's weights in `graph`. */
export const weightsOf = (
  base: BaseModel,
  component: ComponentName,
  graph: Graph,
  changes: Changes = {},
): Weights => checkpointWeights(graph, { component, tensors: tensorsOf(base, component), ...changes });
