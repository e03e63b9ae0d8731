/** A base model against what its configs ask for: every weight there once, and what of its files nothing reads. */
import { join } from 'node:path';
import { isSingleFile, openCheckpoint } from '../checkpoint/checkpoint';
import { componentWeightFiles } from '../checkpoint/component-weights';
import type { DiffusersFolder } from '../checkpoint/diffusers-folder';
import { openSafetensors } from '../checkpoint/safetensors';
import {
  type BaseModel,
  type ComponentName,
  readBaseModel,
  tensorsOf,
  trainableComponents,
} from '../models/base-model';
import { weightsDeclaredBy } from '../models/declared-weights';
import { type DataType, type StoredTensor, sizeOf } from '../tensor';
import { describeModel, type ModelDescription } from './describe-model';

export interface ComponentReport {
  readonly name: string;
  /** As the config asks for. */
  readonly parameters: number;
  readonly tensors: number;
  /** Element types in the file, with how many tensors have each. */
  readonly precisions: Readonly<Partial<Record<DataType, number>>>;
  /** Keys that the config asks for and the file does not have. */
  readonly missing: readonly string[];
  /** Keys of another shape, with what was found and wanted. */
  readonly misshapen: readonly string[];
}

export interface BaseReport extends ModelDescription {
  /** What the network predicts, as its scheduler says; of Stable Diffusion 2 in one file it is assumed. */
  readonly predictionType: string;
  readonly components: readonly ComponentReport[];
  /** Keys of the files that nothing reads, as they stand there: averages, buffers, leavings of training. */
  readonly leftOver: readonly string[];
  /** Keys that more than one weight is read from. */
  readonly readTwice: readonly string[];
}

/** Reads headers and configs, no weight. Throws what opening the base is refused with. */
export function reportBase(path: string): BaseReport {
  const folder = openCheckpoint(path);
  const base = readBaseModel(folder);
  const names: readonly ComponentName[] = [...trainableComponents(base), 'vae'];
  const used: StoredTensor[] = [];
  const components = names.map((name) => reportComponent(folder, base, name, used));
  return {
    ...describeModel(path),
    predictionType: String(folder.schedulerConfig['prediction_type'] ?? 'epsilon'),
    components,
    ...compareWithFiles(isSingleFile(path) ? [path] : filesOf(folder.directory, names), used),
  };
}

function reportComponent(
  folder: DiffusersFolder,
  base: BaseModel,
  name: ComponentName,
  used: StoredTensor[],
): ComponentReport {
  const stored = tensorsOf(base, name);
  const declared = weightsDeclaredBy(name, folder.components.get(name)!.config);
  const missing: string[] = [];
  const misshapen: string[] = [];
  const precisions: Partial<Record<DataType, number>> = {};
  for (const { key, shape } of declared) {
    const tensor = stored.get(key);
    if (!tensor) missing.push(key);
    else {
      used.push(tensor);
      precisions[tensor.dtype] = (precisions[tensor.dtype] ?? 0) + 1;
      if (sizeOf(tensor.shape) !== sizeOf(shape)) misshapen.push(`${key} [${tensor.shape}], not [${shape}]`);
    }
  }
  const parameters = declared.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return { name, parameters, tensors: declared.length, precisions, missing, misshapen };
}

const filesOf = (directory: string, names: readonly string[]): string[] =>
  names.flatMap((name) => componentWeightFiles(join(directory, name)));

/**
 * By the bytes: a tensor of a file is read once when the weights that lie in it fill it. OpenCLIP's queries, keys and
 * values are three weights in one tensor.
 */
function compareWithFiles(files: readonly string[], used: readonly StoredTensor[]) {
  const leftOver: string[] = [];
  const readTwice: string[] = [];
  for (const path of files) {
    const { tensors } = openSafetensors(path);
    // Empty ones are signs, such as that of a network that predicts velocity.
    const filled = [...tensors].filter(([, { length }]) => length > 0);
    const inFile = used.filter(({ file }) => file === filled[0]?.[1].file);
    const read = new Map<number, number>();
    const starts = filled.map(([, { offset }]) => offset).sort((a, b) => a - b);
    for (const { offset, length } of inFile) {
      const start = starts[lastAtMost(starts, offset)]!;
      read.set(start, (read.get(start) ?? 0) + length);
    }
    for (const [key, { offset, length }] of filled) {
      const bytes = read.get(offset) ?? 0;
      if (bytes < length) leftOver.push(key);
      if (bytes > length) readTwice.push(key);
    }
  }
  return { leftOver, readTwice };
}

/** Index of the last of the rising `values` that is at most `value`. */
function lastAtMost(values: readonly number[], value: number): number {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (values[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
