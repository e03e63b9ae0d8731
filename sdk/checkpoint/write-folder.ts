/** Writing a checkpoint as a folder in the diffusers layout. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiffusersFolder } from './diffusers-folder';
import type { JsonObject } from './json-file';
import { type TensorInTheMaking, writeLargeSafetensors } from './safetensors';
import type { ComponentTensors } from './single-file-tensors';
import type { TokenizerFiles } from './tokenizer-files';

/** What a component's weights are called in a folder. */
export const weightsFile = (component: string): string =>
  component.startsWith('text_encoder') ? 'model.safetensors' : 'diffusion_pytorch_model.safetensors';

/** Parts that diffusers' pipelines ask for, though nothing here reads them. */
const optionalParts: Readonly<Record<string, readonly string[]>> = {
  StableDiffusionPipeline: ['safety_checker', 'feature_extractor', 'image_encoder'],
  StableDiffusionXLPipeline: ['feature_extractor', 'image_encoder'],
};

/**
 * Fills the folder `target`, which exists, with `checkpoint` and `tensors` (by component and key) as its weights.
 * What else lies in the checkpoint's own folder for the pipeline (a safety checker) is copied.
 */
export async function writeDiffusersFolder(
  target: string,
  checkpoint: DiffusersFolder,
  tensors: ComponentTensors,
  signal?: AbortSignal,
): Promise<void> {
  const { components, tokenizers, schedulerConfig, directory, pipelineClass } = checkpoint;
  const json = (path: string, value: JsonObject) =>
    writeFileSync(join(target, path), `${JSON.stringify(value, null, 2)}\n`);
  /** As it stands in the checkpoint's own folder, where it has one. */
  const put = async (path: string, value: JsonObject) => {
    if (existsSync(join(directory, path))) await cp(join(directory, path), join(target, path), copying);
    else json(path, value);
  };
  const index: Record<string, unknown> = {
    ...checkpoint.modelIndex,
    scheduler: ['diffusers', schedulerConfig['_class_name']],
  };
  for (const [name, { className, config }] of components) {
    index[name] = [name.startsWith('text_encoder') ? 'transformers' : 'diffusers', className];
    mkdirSync(join(target, name));
    await put(join(name, 'config.json'), name.startsWith('text_encoder') ? withoutFractions(config) : config);
    const weights = [...tensors.get(name)!].map(([key, tensor]) => [key, asMatrix(key, tensor)] as const);
    await writeLargeSafetensors(join(target, name, weightsFile(name)), weights, { format: 'pt' }, signal);
  }
  mkdirSync(join(target, 'scheduler'));
  json(join('scheduler', 'scheduler_config.json'), schedulerConfig);
  for (const [name, files] of tokenizers) {
    index[name] ??= ['transformers', 'CLIPTokenizer'];
    if (existsSync(join(directory, name))) await cp(join(directory, name), join(target, name), copying);
    else writeTokenizer(join(target, name), files);
  }
  for (const name of optionalParts[pipelineClass] ?? []) {
    const isThere = Array.isArray(index[name]) && existsSync(join(directory, name));
    if (isThere) await cp(join(directory, name), join(target, name), copying);
    else index[name] = [null, null];
  }
  if (index['safety_checker'] && !readdirSync(target).includes('safety_checker'))
    index['requires_safety_checker'] = false;
  json('model_index.json', index);
}

const copying = { recursive: true, dereference: true } as const;

/**
 * transformers 5 refuses a config with `1` where it wants a fraction, and JSON read here does not tell 1 from 1.0. These
 * are the fractions of its text encoders, which matter to training from nothing alone.
 */
function withoutFractions(config: JsonObject): JsonObject {
  const names = ['initializer_factor', 'initializer_range', 'attention_dropout', 'dropout'];
  return Object.fromEntries(Object.entries(config).filter(([name]) => !names.includes(name)));
}

/** Single files have kernels of one pixel where today's autoencoders have matrices. */
function asMatrix(key: string, tensor: TensorInTheMaking): TensorInTheMaking {
  const isKernel = /\.attentions\.\d+\.to_\w+(\.0)?\.weight$/.test(key) && tensor.shape.length === 4;
  return isKernel ? { ...tensor, shape: tensor.shape.slice(0, 2) } : tensor;
}

function writeTokenizer(folder: string, { vocab, merges, config, specialTokens }: TokenizerFiles): void {
  mkdirSync(folder);
  const json = (name: string, value: object) =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  json('vocab.json', vocab);
  writeFileSync(join(folder, 'merges.txt'), merges.endsWith('\n') ? merges : `${merges}\n`);
  json('tokenizer_config.json', config);
  json('special_tokens_map.json', specialTokens);
}
