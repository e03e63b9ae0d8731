/** Opening files of reference values. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { openSafetensors, readFloat32, readTensor } from '../../sdk/checkpoint/safetensors';
import type { Tensor } from '../../sdk/tensor';

export interface Reference {
  readonly keys: readonly string[];
  has(key: string): boolean;
  tensor(key: string): Tensor;
  /** Any element type as float32, exact for what the files hold. */
  numbers(key: string): Float32Array;
  shape(key: string): readonly number[];
  /** A metadata value parsed from JSON, or the text itself where it is none; undefined where there is no value. */
  metadata(name: string): unknown;
  /** Metadata as it stands. */
  readonly texts: Readonly<Record<string, string>>;
  tensors(): Map<string, Tensor>;
}

/** The names of the reference files in a folder, without `.br`. */
export const referenceNames = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .map((name) => basename(name, '.br'))
        .sort()
    : [];

/** Opens `name` or its compressed form `name.br`. */
export function openReference(folder: string, name: string): Reference {
  const path = join(folder, name);
  if (existsSync(path)) return referenceOf(path);
  // Read whole here, so that the unpacked file need not outlive this call.
  const unpacked = mkdtempSync(join(tmpdir(), 'parity-'));
  try {
    const file = join(unpacked, name);
    writeFileSync(file, brotliDecompressSync(readFileSync(`${path}.br`)));
    return inMemory(referenceOf(file));
  } finally {
    rmSync(unpacked, { recursive: true });
  }
}

function referenceOf(path: string): Reference {
  const { tensors, metadata } = openSafetensors(path);
  const stored = (key: string) => {
    const found = tensors.get(key);
    if (!found) throw new Error(`${basename(path)} holds no ${key}`);
    return found;
  };
  return {
    keys: [...tensors.keys()],
    has: (key) => tensors.has(key),
    tensor: (key) => readTensor(stored(key)),
    numbers: (key) => readFloat32(stored(key)),
    shape: (key) => stored(key).shape,
    metadata: (name) => {
      const text = metadata[name];
      try {
        return text === undefined ? undefined : JSON.parse(text);
      } catch {
        return text;
      }
    },
    texts: metadata,
    tensors: () => new Map([...tensors].map(([key, tensor]) => [key, readTensor(tensor)])),
  };
}

function inMemory(reference: Reference): Reference {
  const all = reference.tensors();
  const numbers = new Map(reference.keys.map((key) => [key, reference.numbers(key)]));
  return {
    ...reference,
    tensor: (key) => all.get(key)!,
    numbers: (key) => numbers.get(key)!,
    tensors: () => all,
  };
}
