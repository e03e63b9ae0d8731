/** A checkpoint with reference values beside it. */
import { join } from 'node:path';
import { openDiffusersFolder } from '../../sdk/checkpoint/diffusers-folder';
import { Graph, type Value } from '../../sdk/graph/graph';
import { type BaseModel, readBaseModel } from '../../sdk/models/base-model';
import { createSession } from '../../sdk/runtime/session';
import type { Tensor } from '../../sdk/tensor';
import { openReference, type Reference, referenceNames } from './reference';

export interface Checkpoint {
  /** Names of the files in `golden/`. */
  readonly files: readonly string[];
  open(file: string): Reference;
  /** Throws UnsupportedModelError or UnsupportedConfigError for a kind that we do not build. */
  base(): BaseModel;
}

export function openCheckpoint(directory: string): Checkpoint {
  const golden = join(directory, 'golden');
  let base: BaseModel | undefined;
  return {
    files: referenceNames(golden),
    open: (file) => openReference(golden, file),
    base() {
      base ??= readBaseModel(openDiffusersFolder(directory));
      return base;
    },
  };
}

/** Builds a graph of inputs like `feeds`, runs it once on them. */
export async function evaluate<Input extends string, Name extends string>(
  feeds: Readonly<Record<Input, Tensor>>,
  build: (inputs: Readonly<Record<Input, Value>>, graph: Graph) => Record<Name, Value>,
): Promise<Record<Name, Tensor>> {
  const graph = new Graph();
  const inputs = Object.fromEntries(
    Object.entries<Tensor>(feeds).map(([name, { dtype, shape }]) => [name, graph.input(name, dtype, shape)]),
  ) as Record<Input, Value>;
  const session = await createSession(build(inputs, graph));
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

export const numbersOf = (tensor: Tensor): Float32Array => tensor.data as Float32Array;

/** Rows of a tensor's first axis, from `start`. */
export function rowsOf<T extends Tensor>(tensor: T, start: number, count: number): T {
  const size = tensor.data.length / tensor.shape[0]!;
  return {
    ...tensor,
    shape: [count, ...tensor.shape.slice(1)],
    data: tensor.data.slice(start * size, (start + count) * size),
  };
}
