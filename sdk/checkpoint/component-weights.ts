import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BrokenFileError, MissingFileError, UnsupportedModelError } from '../errors';
import type { StoredTensor } from '../tensor';
import { isJsonObject, type JsonObject, readJsonFile } from './json-file';
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
  const path = findWeights(folder);
  return path.endsWith('.json') ? openShards(folder, path) : new Map(openSafetensors(path).tensors);
}

/** The files that hold a component's weights, all there. Throws what `openComponentWeights` throws. */
export function componentWeightFiles(folder: string): string[] {
  const path = findWeights(folder);
  if (!path.endsWith('.json')) return [path];
  const files = [...new Set(Object.values(weightMap(path)))].map((shard) => join(folder, String(shard)));
  const missing = files.find((file) => !existsSync(file));
  if (missing !== undefined)
    throw new MissingFileError(missing, `There is no file ${missing}, which ${path} names.`);
  return files;
}

/** What a component's weights may be called, in the order in which they are looked for: the first is taken. */
export const weightFileNames: readonly string[] = stems.flatMap((stem) =>
  endings.map((ending) => stem + ending),
);

function findWeights(folder: string): string {
  const name = weightFileNames.find((candidate) => existsSync(join(folder, candidate)));
  if (name === undefined) throw noWeights(folder, weightFileNames);
  return join(folder, name);
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
  const map = weightMap(index);
  const tensors = new Map<string, StoredTensor>();
  const shardOf = new Map<string, string>();
  for (const path of componentWeightFiles(folder)) {
    for (const [key, tensor] of openSafetensors(path).tensors) {
      const other = shardOf.get(key);
      if (other !== undefined)
        throw new BrokenFileError(
          path,
          `Tensor ${key} is in ${other} and in ${path}: which one is meant cannot be told. Fetch both again.`,
        );
      shardOf.set(key, path);
      tensors.set(key, tensor);
    }
  }
  for (const [key, shard] of Object.entries(map)) {
    const path = join(folder, String(shard));
    if (shardOf.get(key) !== path)
      throw new BrokenFileError(
        path,
        `Tensor ${key} is not in ${path}, where ${index} says it is. Fetch both again.`,
      );
  }
  return tensors;
}

function weightMap(index: string): JsonObject {
  const map = readJsonFile(index, 'the list of shards')['weight_map'];
  if (!isJsonObject(map)) throw new BrokenFileError(index, `${index} has no "weight_map": fetch it again.`);
  return map;
}
