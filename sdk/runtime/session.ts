/** The only door to onnxruntime-node: a graph becomes a session, tensors go in and come out. */
import { realpathSync } from 'node:fs';
import { dirname, relative, sep } from 'node:path';
import * as ort from 'onnxruntime-node';
import { RuntimeFailedError } from '../errors';
import type { Value } from '../graph/graph';
import { weightFiles } from '../graph/lowering';
import { type OnnxModel, writeOnnxModel } from '../graph/onnx-model';
import type { Feeds, Session } from '../graph/session';
import type { DataType, Tensor } from '../tensor';

export type Device = 'cpu' | 'cuda' | 'webgpu';

export interface SessionOptions {
  /** Default `cpu`. Where another is asked for, a node that it cannot run is an error, not a silent copy to the CPU. */
  readonly device?: Device;
  /** Threads within an operator; default: onnxruntime's, one a core. */
  readonly threads?: number;
  /** How much onnxruntime rewrites the graph: more takes longer to load and runs faster. Default `all`. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** Optimisers of onnxruntime to leave out, by its names. */
  readonly withoutOptimizers?: readonly string[];
  /** Write a profile of every run to files of this prefix. */
  readonly profile?: string;
}

/**
 * For a graph with a backward pass: `all` would keep frozen convolution weights in a second layout for the forward pass
 * and a third for the backward one, and run no faster.
 */
export const forTraining: SessionOptions = { optimization: 'extended' };

export async function createSession<Name extends string>(
  outputs: Readonly<Record<Name, Value>>,
  options: SessionOptions = {},
): Promise<Session<Name>> {
  const root = weightsRoot(Object.values<Value>(outputs));
  const model = writeOnnxModel(outputs, (file) => relative(root, realpathSync(file)).split(sep).join('/'));
  const native = await loading(() => ort.InferenceSession.create(model.bytes, sessionOptions(root, options)));
  const outputNames = Object.entries<string>(model.outputNames) as [Name, string][];
  const fetches = [...new Set(outputNames.map(([, onnxName]) => onnxName))];
  return {
    inputNames: model.inputs.map((input) => input.name),
    async run(feeds) {
      const results = await running(() => native.run(toNative(model, feeds), fetches));
      return Object.fromEntries(
        outputNames.map(([name, onnxName]) => [name, fromNative(results[onnxName]!)]),
      ) as Record<Name, Tensor>;
    },
    release: () => native.release(),
  };
}

function sessionOptions(root: string, options: SessionOptions): ort.InferenceSession.SessionOptions {
  const { device = 'cpu', threads, optimization = 'all', withoutOptimizers = [], profile } = options;
  const session = {
    model_external_initializers_file_folder_path: root,
    // onnxruntime prints and copies without a word when a node has no kernel on the device; we want to know.
    ...(device === 'cpu' ? {} : { disable_cpu_ep_fallback: '1' }),
  };
  return {
    executionProviders: [device],
    graphOptimizationLevel: optimization,
    logSeverityLevel: 3,
    // At its second run it would lay out all memory in one block, beside what the first run's arena still holds: twice
    // the peak, and no faster.
    enableMemPattern: false,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
    extra: {
      session,
      ...(withoutOptimizers.length > 0
        ? { optimization: { disable_specified_optimizers: withoutOptimizers.join(';') } }
        : {}),
    },
  } as ort.InferenceSession.SessionOptions;
}

/** The folder that holds every weight file of the graph, since onnxruntime reads only from below one root. */
function weightsRoot(outputs: readonly Value[]): string {
  const [first, ...others] = [...weightFiles(outputs)].map((file) => dirname(realpathSync(file)));
  if (first === undefined) return process.cwd();
  return others.reduce((root, folder) => {
    let shared = root;
    while (folder !== shared && !folder.startsWith(shared.endsWith(sep) ? shared : shared + sep))
      shared = dirname(shared);
    return shared;
  }, first);
}

function toNative(model: OnnxModel, feeds: Feeds): Record<string, ort.Tensor> {
  return Object.fromEntries(
    model.inputs.map((input) => {
      const tensor = feeds[input.name];
      if (!tensor) {
        throw new RuntimeFailedError(
          `The graph's input "${input.name}" was not fed; given were ${Object.keys(feeds).join(', ') || 'none'}.`,
        );
      }
      const open = input.source.kind === 'input' ? input.source.openAxes : new Map();
      const fits =
        tensor.dtype === input.dtype &&
        tensor.shape.length === input.shape.length &&
        tensor.shape.every((size, axis) => open.has(axis) || size === input.shape[axis]);
      if (!fits) {
        throw new RuntimeFailedError(
          `The graph's input "${input.name}" is ${input.dtype} [${input.shape}]; fed was ${tensor.dtype} [${tensor.shape}].`,
        );
      }
      return [
        input.name,
        new ort.Tensor(tensor.dtype as 'float32', tensor.data as Float32Array, [...tensor.shape]),
      ];
    }),
  );
}

const fromNative = (tensor: ort.Tensor): Tensor =>
  ({ dtype: tensor.type as DataType, shape: tensor.dims, data: tensor.data }) as Tensor;

async function loading<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new RuntimeFailedError(`onnxruntime could not load the graph: ${reason(cause)}`, { cause });
  }
}

async function running<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new RuntimeFailedError(`onnxruntime failed while running the graph: ${reason(cause)}`, { cause });
  }
}

const reason = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause));
