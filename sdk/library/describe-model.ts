/** What a checkpoint is, from names, configs and headers: no tensor is read. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isSingleFile } from '../checkpoint/checkpoint';
import { componentWeightFiles, isPickle, refusePickle } from '../checkpoint/component-weights';
import { recognizeDiffusersFolder } from '../checkpoint/diffusers-folder';
import { readJsonFile } from '../checkpoint/json-file';
import { openSafetensors } from '../checkpoint/safetensors';
import { recognizeSingleFile } from '../checkpoint/single-file';
import { MissingFileError, UnsupportedModelError } from '../errors';
import type { DataType, StoredTensor } from '../tensor';

export interface ModelDescription {
  /** As people call it: `SD 1`, `SD 2`, `SDXL`, `SD 1 inpainting`. */
  readonly family: string;
  readonly layout: 'diffusers' | 'single-file';
  /** Of most of the UNet. */
  readonly precision: DataType;
  /** Of the weights that are read. */
  readonly bytes: number;
}

/**
 * Describes a checkpoint that can be a base, of which every file is there.
 * Throws MissingFileError, BrokenFileError, UnsupportedModelError.
 */
export function describeModel(path: string): ModelDescription {
  if (isPickle(path)) throw refusePickle(path);
  if (path.endsWith('.gguf'))
    throw new UnsupportedModelError(`${path} is a GGUF file: take the .safetensors of the same model.`);
  return isSingleFile(path) ? describeSingleFile(path) : describeFolder(path);
}

function describeSingleFile(path: string): ModelDescription {
  const { family, unetTensors } = recognizeSingleFile(path);
  return {
    family: familyName(family.pipelineClass, {
      openClip: family.textEncoders[0]!.naming === 'open-clip',
      inChannels: unetTensors.get('input_blocks.0.0.weight')?.shape[1],
    }),
    layout: 'single-file',
    precision: precisionOf(unetTensors),
    bytes: statSync(path).size,
  };
}

function describeFolder(path: string): ModelDescription {
  const { directory, pipelineClass, classes } = recognizeDiffusersFolder(path);
  let bytes = 0;
  for (const name of classes.keys()) {
    const folder = join(directory, name);
    if (name === 'scheduler') requireOne(folder, ['scheduler_config.json']);
    else if (name.startsWith('tokenizer')) requireOne(folder, ['vocab.json', 'tokenizer.json']);
    else {
      requireOne(folder, ['config.json']);
      for (const file of componentWeightFiles(folder)) bytes += statSync(file).size;
    }
  }
  const unet = join(directory, 'unet');
  const config = readJsonFile(join(unet, 'config.json'), 'the configuration of the UNet');
  return {
    family: familyName(pipelineClass, {
      // The line with OpenCLIP's text encoder is the one whose UNet projects linearly.
      openClip: config['use_linear_projection'] === true,
      inChannels: config['in_channels'],
    }),
    layout: 'diffusers',
    precision: precisionOf(openSafetensors(componentWeightFiles(unet)[0]!).tensors),
    bytes,
  };
}

/** A link whose blob is gone counts as absent. */
function requireOne(folder: string, names: readonly string[]): void {
  if (names.some((name) => existsSync(join(folder, name)))) return;
  throw new MissingFileError(join(folder, names[0]!), `There is no ${names.join(' or ')} in ${folder}.`);
}

/** The lines are told apart by what they are built of, not by their sizes. */
function familyName(
  pipelineClass: string,
  { openClip, inChannels }: { readonly openClip: boolean; readonly inChannels: unknown },
): string {
  const line = pipelineClass.startsWith('StableDiffusionXL') ? 'SDXL' : openClip ? 'SD 2' : 'SD 1';
  return inChannels === 9 ? `${line} inpainting` : line;
}

function precisionOf(tensors: ReadonlyMap<string, StoredTensor>): DataType {
  const bytes = new Map<DataType, number>();
  for (const { dtype, length } of tensors.values()) bytes.set(dtype, (bytes.get(dtype) ?? 0) + length);
  return [...bytes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'float32';
}
