import { createHash, type Hash } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { autoencoderFolder } from './autoencoder-files';
import { isSingleFile } from './checkpoint';
import { checkpointDirectory, componentClasses } from './diffusers-folder';
import { readJsonFile } from './json-file';
import { preprocessorConfigOf } from './preprocessor-config';

const readWhole = 2 ** 22;
const samples = 256;
const sampleBytes = 2 ** 12;
const headBytes = 2 ** 20;

/**
 * A name for what a checkpoint holds: sha256 over the names, sizes and bytes of its components' files, 64
 * hexadecimal digits. Of files over 4 MiB the first MiB (where the header is) and 256 evenly spread pieces of
 * 4 KiB stand for the whole, so that gigabytes take milliseconds. Independent of path and dates.
 */
export function checkpointFingerprint(path: string): string {
  if (isSingleFile(path)) {
    const hash = createHash('sha256');
    addFile(hash, 'checkpoint.safetensors', realpathSync(path));
    return hash.digest('hex');
  }
  const directory = checkpointDirectory(path);
  const modelIndex = readJsonFile(join(directory, 'model_index.json'), 'every diffusers folder has one');
  const hash = createHash('sha256');
  hash.update(JSON.stringify(Object.entries(modelIndex).sort(([a], [b]) => (a < b ? -1 : 1))));
  for (const component of [...componentClasses(modelIndex).keys()].sort()) {
    const folder = join(directory, component);
    if (!existsSync(folder)) continue;
    addFolder(hash, component, folder);
  }
  return hash.digest('hex');
}

/** Likewise of an autoencoder by itself. */
export function autoencoderFingerprint(path: string): string {
  const hash = createHash('sha256');
  if (statSync(path).isDirectory()) addFolder(hash, 'vae', autoencoderFolder(path));
  else addFile(hash, 'vae.safetensors', realpathSync(path));
  return hash.digest('hex');
}

/**
 * Likewise of a file, or of a folder with configs and weights of one network; of the file that a large ONNX model keeps its
 * weights in; and of the preprocessor_config.json that holds for it: of pictures prepared otherwise it says something else.
 */
export function networkFingerprint(path: string): string {
  const hash = createHash('sha256');
  if (statSync(path).isDirectory()) addFolder(hash, 'network', path);
  else addFile(hash, 'network', realpathSync(path));
  // As torch.onnx and optimum name it.
  for (const weights of [`${path}.data`, `${path}_data`])
    if (existsSync(weights)) addFile(hash, 'weights', realpathSync(weights));
  const preprocessor = preprocessorConfigOf(path);
  if (preprocessor !== undefined) addFile(hash, 'preprocessor', realpathSync(preprocessor));
  return hash.digest('hex');
}

function addFolder(hash: Hash, component: string, folder: string): void {
  for (const name of readdirSync(folder).sort()) {
    if (/\.(json|txt|safetensors)$/.test(name))
      addFile(hash, `${component}/${name}`, realpathSync(join(folder, name)));
  }
}

function addFile(hash: Hash, name: string, path: string): void {
  const { size } = statSync(path);
  hash.update(`\0${name}\0${size}\0`);
  const file = openSync(path, 'r');
  try {
    const add = (offset: number, length: number) => {
      const bytes = Buffer.alloc(length);
      readSync(file, bytes, 0, length, offset);
      hash.update(bytes);
    };
    if (size <= readWhole) {
      add(0, size);
    } else {
      add(0, headBytes);
      for (let i = 0; i < samples; i++)
        add(Math.floor(((size - sampleBytes) * i) / (samples - 1)), sampleBytes);
    }
  } finally {
    closeSync(file);
  }
}
