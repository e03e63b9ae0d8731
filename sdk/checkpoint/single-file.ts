/** Checkpoints in one `.safetensors` file, as web interfaces and model sites share them; read in place. */
import { basename } from 'node:path';
import { UnsupportedModelError } from '../errors';
import type { StoredTensor } from '../tensor';
import { clipVocabulary, mergesOfVocabulary } from './clip-vocabulary';
import type { Component, DiffusersFolder } from './diffusers-folder';
import { aBaseModel, kindOfFile } from './file-kinds';
import type { JsonObject } from './json-file';
import { readKeptConfigs } from './kept-configs';
import { canonicalKeys } from './key-spellings';
import {
  clipTextConfig,
  type LdmFamily,
  type LdmTensors,
  ldmAutoencoderConfig,
  ldmUNetConfig,
} from './ldm-configs';
import { ldmAutoencoderModules, ldmUNetModules, type ModulePair, renamer } from './ldm-keys';
import { fromOpenClip } from './open-clip';
import { openSafetensors, type Safetensors } from './safetensors';
import type { TokenizerFiles } from './tokenizer-files';

interface SingleFileFamily extends LdmFamily {
  readonly pipelineClass: string;
  /** The text encoders, whose places in the file tell the line; the last one's is the line's own. */
  readonly textEncoders: readonly TextEncoderPlace[];
  readonly schedulerClass: string;
  readonly predictionType: 'epsilon' | 'v_prediction';
}

interface TextEncoderPlace {
  readonly name: 'text_encoder' | 'text_encoder_2';
  readonly prefix: string;
  readonly naming: 'clip' | 'open-clip';
  /** Whether the last layer is run. */
  readonly lastLayer: boolean;
}

const families: readonly SingleFileFamily[] = [
  {
    pipelineClass: 'StableDiffusionXLPipeline',
    textEncoders: [
      {
        name: 'text_encoder',
        prefix: 'conditioner.embedders.0.transformer.',
        naming: 'clip',
        lastLayer: true,
      },
      {
        name: 'text_encoder_2',
        prefix: 'conditioner.embedders.1.model.',
        naming: 'open-clip',
        lastLayer: true,
      },
    ],
    heads: { channelsEach: 64 },
    sampleSize: 128,
    scalingFactor: 0.13025,
    schedulerClass: 'EulerDiscreteScheduler',
    predictionType: 'epsilon',
  },
  {
    pipelineClass: 'StableDiffusionPipeline',
    textEncoders: [
      { name: 'text_encoder', prefix: 'cond_stage_model.model.', naming: 'open-clip', lastLayer: false },
    ],
    heads: { channelsEach: 64 },
    sampleSize: 96,
    scalingFactor: 0.18215,
    schedulerClass: 'DDIMScheduler',
    // Of the two published models the weights do not tell which; the larger one predicts velocity.
    predictionType: 'v_prediction',
  },
  {
    pipelineClass: 'StableDiffusionPipeline',
    textEncoders: [
      { name: 'text_encoder', prefix: 'cond_stage_model.transformer.', naming: 'clip', lastLayer: true },
    ],
    heads: 8,
    sampleSize: 64,
    scalingFactor: 0.18215,
    schedulerClass: 'PNDMScheduler',
    predictionType: 'epsilon',
  },
];

const unetPrefix = 'model.diffusion_model.';
const vaePrefix = 'first_stage_model.';

/**
 * Opens a single-file checkpoint of the Stable Diffusion 1, 2 or XL line as if it were a folder: configs from the
 * shapes, weights by diffusers' keys at their places in the file, CLIP's vocabulary.
 * Throws MissingFileError, BrokenFileError, or UnsupportedModelError naming what the file is instead.
 */
export function openSingleFile(path: string): DiffusersFolder {
  return asFolder(path, openSafetensors(path));
}

/** The checkpoint that `file`, which stands at `path`, is read as. Throws UnsupportedModelError, BrokenFileError. */
export function asFolder(path: string, file: Safetensors): DiffusersFolder {
  const { tensors, metadata, family, unetTensors, vaeTensors } = recognize(path, file);
  const kept = readKeptConfigs(path, metadata);
  const components = new Map<string, Component>();
  const unet = kept.of('unet') ?? ldmUNetConfig(unetTensors, family);
  components.set('unet', component('UNet2DConditionModel', unet, renamed(unetTensors, ldmUNetModules(unet))));
  const vae = kept.of('vae') ?? ldmAutoencoderConfig(vaeTensors, family);
  components.set('vae', component('AutoencoderKL', vae, renamed(vaeTensors, ldmAutoencoderModules(vae))));
  const tokenizers = new Map<string, TokenizerFiles>();
  for (const place of family.textEncoders) {
    const encoder = textEncoder(within(tensors, place.prefix), place, kept.of(place.name));
    components.set(place.name, encoder);
    tokenizers.set(place.name.replace('text_encoder', 'tokenizer'), vocabularyFor(encoder, place));
  }
  const pipelineClass = String(kept.modelIndex?.['_class_name'] ?? family.pipelineClass);
  return {
    directory: path,
    modelIndex: { ...kept.modelIndex, _class_name: pipelineClass },
    pipelineClass,
    components,
    schedulerConfig: kept.scheduler ?? schedulerConfig(family, tensors, metadata),
    tokenizers,
  };
}

/** What a file's header tells of it: its line of models and its parts. Throws what `openSingleFile` throws. */
export const recognizeSingleFile = (path: string) => recognize(path, openSafetensors(path));

function recognize(path: string, { tensors, metadata }: Safetensors) {
  const keys = [...tensors.keys()];
  const holds = (prefix: string) => keys.some((key) => key.startsWith(prefix));
  const family = families.find(({ textEncoders }) => holds(textEncoders.at(-1)!.prefix));
  const kind = kindOfFile(keys);
  if (!family || kind !== aBaseModel || !holds(unetPrefix)) throw notABase(path, keys, kind);
  const lacking = [
    ...(holds(vaePrefix) ? [] : [`autoencoder (${vaePrefix}…)`]),
    ...family.textEncoders
      .filter(({ prefix }) => !holds(prefix))
      .map(({ name, prefix }) => `${name} (${prefix}…)`),
  ];
  if (lacking.length > 0)
    throw new UnsupportedModelError(
      `${path} has a UNet, but no ${lacking.join(' and no ')}: it was made to be used with that of another file. Take the full version of it, or a folder in the diffusers layout.`,
    );
  const [unetTensors, vaeTensors] = [within(tensors, unetPrefix), within(tensors, vaePrefix)];
  return { tensors, metadata, family, unetTensors, vaeTensors };
}

export function within(tensors: LdmTensors, prefix: string): Map<string, StoredTensor> {
  return new Map(
    [...tensors].flatMap(([key, tensor]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), tensor]] : [],
    ),
  );
}

export function renamed(tensors: LdmTensors, pairs: readonly ModulePair[]): Map<string, StoredTensor> {
  const rename = renamer(pairs, 'diffusers');
  return new Map([...tensors].map(([key, tensor]) => [rename(key), tensor]));
}

const component = (
  className: string,
  config: JsonObject,
  tensors: ReadonlyMap<string, StoredTensor>,
): Component => ({ className, config, tensors: canonicalKeys(className, tensors) });

function textEncoder(
  tensors: LdmTensors,
  { naming, lastLayer }: TextEncoderPlace,
  kept: JsonObject | undefined,
): Component {
  const named = naming === 'clip' ? tensors : fromOpenClip(tensors, { lastLayer });
  const shown = clipTextConfig(named, naming === 'clip' ? 'quick_gelu' : 'gelu');
  return component((shown['architectures'] as string[])[0]!, kept ?? shown, named);
}

/** An embedding of fewer rows is of a vocabulary cut to its first merges. */
function vocabularyFor({ tensors }: Component, { naming }: TextEncoderPlace): TokenizerFiles {
  const rows = tensors.get('text_model.embeddings.token_embedding.weight')!.shape[0]!;
  const merges = mergesOfVocabulary(rows);
  return clipVocabulary({
    ...(merges > 0 ? { mergeCount: merges } : {}),
    ...(naming === 'open-clip' ? { padToken: '!' } : {}),
  });
}

/** As published with each line; what a file says of itself goes before. */
function schedulerConfig(
  { schedulerClass, predictionType }: SingleFileFamily,
  tensors: LdmTensors,
  metadata: Readonly<Record<string, string>>,
): JsonObject {
  // Models trained to predict velocity mark it by an empty tensor, or in the metadata.
  const said = metadata['modelspec.prediction_type'];
  const velocity = tensors.has('v_pred') || said === 'v' || said === 'v_prediction';
  return {
    _class_name: schedulerClass,
    num_train_timesteps: 1000,
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    prediction_type: velocity ? 'v_prediction' : said === 'epsilon' ? 'epsilon' : predictionType,
    ...(tensors.has('ztsnr') ? { rescale_betas_zero_snr: true } : {}),
    steps_offset: 1,
    clip_sample: false,
    set_alpha_to_one: false,
    ...(schedulerClass === 'PNDMScheduler' ? { skip_prk_steps: true } : {}),
    ...(schedulerClass === 'EulerDiscreteScheduler' ? { timestep_spacing: 'leading' } : {}),
  };
}

function notABase(path: string, keys: readonly string[], kind: string | undefined): UnsupportedModelError {
  const single = keys.length === 1 && !keys[0]!.includes('.') ? 'a textual-inversion embedding' : undefined;
  const some = keys.slice(0, 3).join(', ');
  const what =
    kind === aBaseModel
      ? 'a base model with parts missing, its UNet or its text encoder'
      : (kind ?? single ?? `no checkpoint that is known here (its keys begin with ${some})`);
  return new UnsupportedModelError(
    `${path} is ${what}, not a base model. ` +
      `A base model in one file is a Stable Diffusion 1, 2 or XL checkpoint with UNet, autoencoder and text encoder in it; give that, or a folder in the diffusers layout, instead of ${basename(path)}.`,
  );
}
