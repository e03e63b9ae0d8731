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
import type { BaseModelFamily } from './families/family';
import { families } from './families/index';
import { readUNetConfig, type UNetConfig } from './unet';

/** The networks of a base model, by the names of their folders. */
export type ComponentName = 'unet' | 'vae' | 'text_encoder';

export interface ModelPart<Config> {
  readonly config: Config;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

export interface BaseModel {
  readonly directory: string;
  readonly family: BaseModelFamily;
  readonly unet: ModelPart<UNetConfig>;
  readonly vae: ModelPart<AutoencoderConfig>;
  readonly text_encoder: ModelPart<ClipTextConfig>;
  readonly tokenizer: ClipTokenizer;
  readonly schedulerConfig: SchedulerConfig;
}

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
    const { config, tensors } = folder.components.get(name)!;
    return { config: read(config), tensors };
  };
  return {
    directory: folder.directory,
    family,
    unet: part('unet', readUNetConfig),
    vae: part('vae', readAutoencoderConfig),
    text_encoder: part('text_encoder', readClipTextConfig),
    tokenizer: createClipTokenizer(folder.tokenizers.get('tokenizer')!),
    schedulerConfig: folder.schedulerConfig,
  };
}

/** What of a component is not as in its file: trained or exchanged weights, LoRA. */
export interface Changes {
  readonly replaced?: ReadonlyMap<string, Value>;
  readonly adapt?: LayerAdapter;
}

/** A component's weights in `graph`. */
export const weightsOf = (
  base: BaseModel,
  component: ComponentName,
  graph: Graph,
  changes: Changes = {},
): Weights => checkpointWeights(graph, { component, tensors: base[component].tensors, ...changes });
