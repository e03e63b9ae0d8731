import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MissingFileError, UnsupportedModelError } from '../errors';
import type { StoredTensor } from '../tensor';
import { isPickle, openComponentWeights, refusePickle } from './component-weights';
import { foreignFile, magicBytes } from './file-magic';
import { type JsonObject, readJsonFile } from './json-file';
import { canonicalKeys } from './key-spellings';
import { inWords, notAPipeline } from './other-folders';
import { openTokenizerFiles, type TokenizerFiles } from './tokenizer-files';

/** A part of a checkpoint that has weights. */
export interface Component {
  readonly className: string;
  readonly config: JsonObject;
  /** By canonical key (see key-spellings.ts). */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** A checkpoint as diffusers publishes it, opened: every JSON read, every weight located, none read. */
export interface DiffusersFolder {
  readonly directory: string;
  readonly modelIndex: JsonObject;
  readonly pipelineClass: string;
  readonly components: ReadonlyMap<string, Component>;
  readonly schedulerConfig: JsonObject;
  readonly tokenizers: ReadonlyMap<string, TokenizerFiles>;
}

const parts = ['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler'];
const partsOfXL = ['unet', 'vae', 'text_encoder', 'text_encoder_2', 'tokenizer', 'tokenizer_2', 'scheduler'];

/** The parts that a checkpoint of each class cannot be without. */
const supportedPipelines: Readonly<Record<string, readonly string[]>> = {
  StableDiffusionPipeline: parts,
  StableDiffusionImg2ImgPipeline: parts,
  StableDiffusionInpaintPipeline: parts,
  LatentConsistencyModelPipeline: parts,
  StableDiffusionXLPipeline: partsOfXL,
  StableDiffusionXLImg2ImgPipeline: partsOfXL,
  StableDiffusionXLInpaintPipeline: partsOfXL,
};
const supportedModels = [
  'UNet2DConditionModel',
  'AutoencoderKL',
  'CLIPTextModel',
  'CLIPTextModelWithProjection',
];
const supportedTokenizers = ['CLIPTokenizer', 'CLIPTokenizerFast'];
/** Parts that take no share in drawing from a prompt. */
const unused = ['safety_checker', 'feature_extractor', 'image_encoder'];

const whatABaseIs =
  'A base model is `toybox`, a .safetensors file with a whole checkpoint in it, or a folder in the diffusers layout (model_index.json beside unet/, vae/, text_encoder/, tokenizer/, scheduler/)';

/**
 * Opens a diffusers checkpoint folder, or a Hugging Face cache folder that holds one (`models--*`).
 * Throws MissingFileError, BrokenFileError (a file cut short or damaged) or UnsupportedModelError.
 */
export function openDiffusersFolder(path: string): DiffusersFolder {
  const { directory, modelIndex, pipelineClass, classes } = recognizeDiffusersFolder(path);
  const components = new Map<string, Component>();
  const tokenizers = new Map<string, TokenizerFiles>();
  for (const [name, className] of classes) {
    const folder = join(directory, name);
    if (name.startsWith('tokenizer')) tokenizers.set(name, openTokenizerFiles(folder));
    else if (name !== 'scheduler') components.set(name, openComponent(folder, className));
  }
  const schedulerConfig = readJsonFile(
    join(directory, 'scheduler', 'scheduler_config.json'),
    'the noise schedule of the model',
  );
  return { directory, modelIndex, pipelineClass, components, schedulerConfig, tokenizers };
}

/** What a folder's `model_index.json` tells of it. Throws what `openDiffusersFolder` throws. */
export function recognizeDiffusersFolder(path: string) {
  const directory = checkpointDirectory(path);
  if (!existsSync(join(directory, 'model_index.json'))) throw notAPipeline(directory, whatABaseIs);
  const modelIndex = readJsonFile(join(directory, 'model_index.json'), 'every diffusers folder has one');
  const pipelineClass = String(modelIndex['_class_name']);
  return { directory, modelIndex, pipelineClass, classes: supportedClasses(directory, modelIndex) };
}

/** The components of a model that can be run here, with their classes. Throws UnsupportedModelError; `what` is its name. */
export function supportedClasses(what: string, modelIndex: JsonObject): Map<string, string> {
  const pipelineClass = String(modelIndex['_class_name']);
  const required = Object.hasOwn(supportedPipelines, pipelineClass)
    ? supportedPipelines[pipelineClass]
    : undefined;
  if (required === undefined) {
    throw new UnsupportedModelError(
      `${what} is a ${pipelineClass}${inWords(pipelineClass)}, which is not supported; supported: ${Object.keys(supportedPipelines).join(', ')}.`,
    );
  }
  const classes = componentClasses(modelIndex);
  const missing = required.filter((name) => !classes.has(name));
  if (missing.length > 0) {
    throw new UnsupportedModelError(
      `The model_index.json of ${what} lists no ${missing.join(', no ')}; a base model needs ${required.join(', ')}.`,
    );
  }
  for (const [name, className] of classes) refuseUnsupported(what, name, className);
  return classes;
}

/** The component names of a `model_index.json` that matter here, with their classes. */
export function componentClasses(modelIndex: JsonObject): Map<string, string> {
  const classes = new Map<string, string>();
  for (const [name, entry] of Object.entries(modelIndex)) {
    if (!Array.isArray(entry) || unused.includes(name)) continue;
    const className: unknown = entry[1];
    if (typeof className === 'string') classes.set(name, className);
  }
  return classes;
}

/** The folder of `path` that has the checkpoint in it; a Hugging Face cache keeps it under `snapshots/`. */
export function checkpointDirectory(path: string): string {
  if (!existsSync(path)) throw new MissingFileError(path, `There is no ${path}. ${whatABaseIs}.`);
  if (!statSync(path).isDirectory()) {
    if (isPickle(path)) throw refusePickle(path);
    throw (
      (path.endsWith('.json') ? undefined : foreignFile(path, headOf(path))) ??
      new UnsupportedModelError(`${path} is a file, not a folder. ${whatABaseIs}.`)
    );
  }
  const reference = join(path, 'refs', 'main');
  if (basename(path).startsWith('models--') && existsSync(reference)) {
    return join(path, 'snapshots', readFileSync(reference, 'utf8').trim());
  }
  return path;
}

function headOf(path: string): Uint8Array {
  const head = Buffer.alloc(magicBytes);
  const handle = openSync(path, 'r');
  try {
    return head.subarray(0, readSync(handle, head, 0, magicBytes, 0));
  } finally {
    closeSync(handle);
  }
}

function refuseUnsupported(directory: string, name: string, className: string): void {
  const supported =
    name === 'scheduler' ? undefined : name.startsWith('tokenizer') ? supportedTokenizers : supportedModels;
  if (supported !== undefined && !supported.includes(className)) {
    throw new UnsupportedModelError(
      `The ${name} of ${directory} is a ${className}, which is not supported; supported: ${supported.join(', ')}.`,
    );
  }
}

function openComponent(folder: string, className: string): Component {
  const config = readJsonFile(join(folder, 'config.json'), `the configuration of a ${className}`);
  return { className, config, tensors: canonicalKeys(className, openComponentWeights(folder)) };
}
