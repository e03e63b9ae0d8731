import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BrokenFileError, MissingFileError, UnsupportedModelError } from '../errors';
import type { StoredTensor } from '../tensor';
import { isJsonObject, readJsonFile } from './json-file';
import { openSafetensors } from './safetensors';

/** What libraries call their weight files: diffusers' first, then transformers'. */
const stems = ['diffusion_pytorch_model', 'model'];
/** Full precision before half, one file before shards. */
const endings = [
  '.safetensors',
  '.safetensors.index.json',
  '.fp16.safetensors',
  '.safetensors.index.fp16.json',
  '.fp16.safetensors.index.json',
];

const pickle = /\.(bin|ckpt|pt|pth|pkl)$/;

/**
 * The tensors of a component's folder by the keys of its files: one `.safetensors`, an `fp16` one, or shards
 * listed by an index. No weight is read. Throws MissingFileError, BrokenFileError, UnsupportedModelError.
 */
export function openComponentWeights(folder: string): Map<string, StoredTensor> {
  const names = stems.flatMap((stem) => endings.map((ending) => stem + ending));
  const name = names.find((candidate) => existsSync(join(folder, candidate)));
  if (name === undefined) throw noWeights(folder, names);
  const path = join(folder, name);
  return name.endsWith('.json') ? openShards(folder, path) : new Map(openSafetensors(path).tensors);
}

/** The refusal of a file that can only be read by running what is in it. */
export function refusePickle(path: string): UnsupportedModelError {
  return new UnsupportedModelError(
    `${path} is a Python pickle: reading it would run code from the file, so it is refused. ` +
      'Take the .safetensors files of the same model, or save it again in Python with save_pretrained(…, safe_serialization=True).',
  );
}

/** Whether a file name is that of a Python pickle (`.bin`, `.ckpt`, `.pt`, …). */
export const isPickle = (path: string): boolean => pickle.test(path);

function noWeights(folder: string, names: readonly string[]): Error {
  const found = existsSync(folder) ? readdirSync(folder) : [];
  const pickled = found.find(isPickle);
  if (pickled !== undefined) return refusePickle(join(folder, pickled));
  return new MissingFileError(
    join(folder, names[0]!),
    `There are no weights in ${folder}: looked for ${names.join(', ')}; found ${found.join(', ') || 'nothing'}.`,
  );
}

function openShards(folder: string, index: string): Map<string, StoredTensor> {
  const map = readJsonFile(index, 'the list of shards')['weight_map'];
  if (!isJsonObject(map)) throw new BrokenFileError(index, `${index} has no "weight_map": fetch it again.`);
  const opened = new Map<string, ReadonlyMap<string, StoredTensor>>();
  const tensors = new Map<string, StoredTensor>();
  for (const [key, shard] of Object.entries(map)) {
    const path = join(folder, String(shard));
    const shardTensors = opened.get(path) ?? openSafetensors(path).tensors;
    opened.set(path, shardTensors);
    const tensor = shardTensors.get(key);
    if (tensor === undefined) {
      throw new BrokenFileError(
        path,
        `Tensor ${key} is not in ${path}, where ${index} says it is. Fetch both again.`,
      );
    }
    tensors.set(key, tensor);
  }
  return tensors;
}
