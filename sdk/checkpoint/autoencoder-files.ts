/** An autoencoder by itself, to stand in place of a checkpoint's own: a folder as diffusers saves one, or one file. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MissingFileError, UnsupportedModelError } from '../errors';
import { componentWeightFiles, isPickle, openComponentWeights, refusePickle } from './component-weights';
import type { Component } from './diffusers-folder';
import { kindOfFile } from './file-kinds';
import { readJsonFile } from './json-file';
import { canonicalKeys } from './key-spellings';
import { ldmAutoencoderConfig } from './ldm-configs';
import { ldmAutoencoderModules } from './ldm-keys';
import { openSafetensors } from './safetensors';
import { renamed, within } from './single-file';

/**
 * The autoencoder at `path`: a folder with `config.json`, a checkpoint's folder (its `vae/`), or a `.safetensors` file in
 * the original code's or diffusers' names. What a file does not say is as in `own`, the checkpoint's. Throws
 * MissingFileError, BrokenFileError, UnsupportedModelError naming what is there instead.
 */
export function openAutoencoder(path: string, own: Component): Component {
  const opened = statOf(path).isDirectory() ? openFolder(autoencoderFolder(path)) : openFile(path, own);
  const channels = (config: Component['config']) => config['latent_channels'] ?? 4;
  if (channels(opened.config) !== channels(own.config)) {
    throw new UnsupportedModelError(
      `The autoencoder ${path} has latents of ${channels(opened.config)} channels; this base model's have ${channels(own.config)}. Give one made for its line, or leave --vae out.`,
    );
  }
  return opened;
}

/** The folder that has the weights, of one of an autoencoder alone or of a whole checkpoint. */
export function autoencoderFolder(path: string): string {
  const within = join(path, 'vae');
  return existsSync(join(path, 'model_index.json')) && existsSync(within) ? within : path;
}

/** The files that hold its weights. Throws MissingFileError, BrokenFileError, UnsupportedModelError. */
export const autoencoderWeightFiles = (path: string): string[] =>
  statOf(path).isDirectory() ? componentWeightFiles(autoencoderFolder(path)) : [path];

function openFolder(folder: string): Component {
  const config = readJsonFile(join(folder, 'config.json'), 'the configuration of an AutoencoderKL');
  const className = String(config['_class_name']);
  if (className !== 'AutoencoderKL') {
    throw new UnsupportedModelError(
      `${folder} is a ${className}, not an autoencoder: --vae takes an AutoencoderKL, as a folder with config.json or one .safetensors file.`,
    );
  }
  return { className, config, tensors: canonicalKeys(className, openComponentWeights(folder)) };
}

function openFile(path: string, own: Component): Component {
  if (isPickle(path)) throw refusePickle(path);
  const { tensors } = openSafetensors(path);
  const inner = within(tensors, 'first_stage_model.');
  const found = inner.size > 0 ? inner : tensors;
  const { className } = own;
  if (found.has('encoder.down_blocks.0.resnets.0.conv1.weight'))
    return { className, config: own.config, tensors: canonicalKeys(className, found) };
  if (!found.has('encoder.down.0.block.0.conv1.weight')) {
    throw new UnsupportedModelError(
      `${path} is ${kindOfFile(tensors.keys()) ?? 'no autoencoder'}: --vae takes an AutoencoderKL, as a folder with config.json or one .safetensors file.`,
    );
  }
  const scalingFactor = Number(own.config['scaling_factor'] ?? 0.18215);
  const config = ldmAutoencoderConfig(found, { heads: 8, sampleSize: 64, scalingFactor });
  return {
    className,
    // The weights tell neither how channels are grouped nor how latents are scaled.
    config: { ...own.config, ...config, sample_size: own.config['sample_size'] },
    tensors: canonicalKeys(className, renamed(found, ldmAutoencoderModules(config))),
  };
}

function statOf(path: string) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat) return stat;
  throw new MissingFileError(
    path,
    `There is no autoencoder at ${path}: give a folder with config.json or a .safetensors file, or "base" for the base model's own.`,
  );
}
