/** The only door to onnxruntime-node: a graph becomes a session, tensors go in and come out. */
import { realpathSync } from 'node:fs';
import { dirname, relative, sep } from 'node:path';
import * as ort from 'onnxruntime-node';
import { RuntimeFailedError, UnusableDeviceError } from '../errors';
import { asItRan } from '../graph/execution-order';
import type { Value } from '../graph/graph';
import { storedWeights } from '../graph/lowering';
import { type OnnxModel, writeOnnxModel } from '../graph/onnx-model';
import type { Feeds, Session } from '../graph/session';
import type { DataType, StoredTensor, Tensor } from '../tensor';
import { whatIsMissing } from './backends';
import { cachedGraph } from './graph-cache';

export const devices = ['cpu', 'cuda', 'webgpu'] as const;
export type Device = (typeof devices)[number];

export interface SessionOptions {
  /** Default `cpu`. Where another is asked for, a node that it cannot run is an error, not a silent copy to the CPU. */
  readonly device?: Device;
  /** Threads within an operator; default: onnxruntime's, one a core. */
  readonly threads?: number;
  /** How much onnxruntime rewrites the graph: more takes longer to load and runs faster. Default `all`. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /**
   * `folded`: half-precision weights are copied to single precision once, when the graph is loaded. `mapped`: they stay
   * in their files, and each use casts its own. Default: by their size, since a copy of gigabytes is memory that a step
   * needs, and casting them takes a tenth of its time.
   */
  readonly weights?: 'folded' | 'mapped';
  /** A folder that keeps graphs with mapped weights as they are after optimisation, so that a second start is faster. */
  readonly graphCache?: string;
  readonly onLoaded?: (loaded: LoadedGraph) => void;
  /** Write a profile of every run to files of this prefix. */
  readonly profile?: string;
}

/** How a graph was loaded. */
export interface LoadedGraph {
  /** Writing it for onnxruntime and creating the session. */
  readonly seconds: number;
  /** Whether an earlier start had optimised it. */
  readonly cached: boolean;
  readonly weights: 'folded' | 'mapped';
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
  const begun = performance.now();
  const stored = storedWeights(Object.values<Value>(outputs));
  const root = weightsRoot(stored);
  const weights = options.weights ?? usualWeights(stored);
  const model = writeOnnxModel(outputs, (file) => relative(root, realpathSync(file)).split(sep).join('/'), {
    castAtUse: weights === 'mapped',
  });
  const settings = sessionOptions(root, { ...options, weights });
  const cache = weights === 'mapped' ? options.graphCache : undefined;
  const { native, cached } = await loading(options.device ?? 'cpu', () => load(model.bytes, settings, cache));
  options.onLoaded?.({ seconds: (performance.now() - begun) / 1000, cached, weights });
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

/** With a cache, the graph as onnxruntime optimised it the last time; weights are references in it, not copies. */
async function load(
  bytes: Uint8Array,
  settings: ort.InferenceSession.SessionOptions,
  cache: string | undefined,
): Promise<{ native: ort.InferenceSession; cached: boolean }> {
  const create = (from: Uint8Array, changed: ort.InferenceSession.SessionOptions) =>
    ort.InferenceSession.create(from, { ...settings, ...changed });
  const { executionProviders, graphOptimizationLevel, extra } = settings;
  const made = [ort.env.versions.node, executionProviders, graphOptimizationLevel, extra];
  const known = cache === undefined ? undefined : cachedGraph(cache, bytes, JSON.stringify(made));
  if (!known) return { native: await create(bytes, {}), cached: false };
  const optimized = known.read();
  if (optimized) {
    try {
      return {
        native: await create(asItRan(optimized), { graphOptimizationLevel: 'disabled' }),
        cached: true,
      };
    } catch {
      // Cut short or of another build: made anew below.
      known.forget();
    }
  }
  try {
    const native = await create(bytes, { optimizedModelFilePath: known.draft });
    known.keep();
    return { native, cached: false };
  } catch {
    // A full disk must not stop the work; what is wrong with the graph itself is told by this second try.
    known.forget();
    return { native: await create(bytes, {}), cached: false };
  }
}

/** From this size on, weights stay in their files. */
const largeWeights = 2 ** 28;

/** How a session has its weights when nobody says. */
export const usualWeights = (stored: readonly StoredTensor[]): 'folded' | 'mapped' =>
  stored.reduce((sum, { length }) => sum + length, 0) >= largeWeights ? 'mapped' : 'folded';

/** Optimisers that would hold a copy of weights: of their casts' results, or of one cast's for all its uses. */
const keptFromMappedWeights = ['ConstantFolding', 'CommonSubexpressionElimination'];

function sessionOptions(root: string, options: SessionOptions): ort.InferenceSession.SessionOptions {
  const { device = 'cpu', threads, optimization = 'all', weights = 'folded', profile } = options;
  const mapped = weights === 'mapped';
  const session = {
    model_external_initializers_file_folder_path: root,
    // Packing lays a second copy of each matrix in memory.
    ...(mapped ? { disable_prepacking: '1' } : {}),
    // onnxruntime prints and copies without a word when a node has no kernel on the device; we want to know.
    ...(device === 'cpu' ? {} : { disable_cpu_ep_fallback: '1' }),
  };
  return {
    executionProviders: [device],
    // `all` would lay kernels out anew, for which it needs them in memory.
    graphOptimizationLevel: mapped && optimization === 'all' ? 'extended' : optimization,
    logSeverityLevel: 3,
    // At its second run it would lay out all memory in one block, beside what the first run's arena still holds: twice
    // the peak, and no faster.
    enableMemPattern: false,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
    extra: {
      session,
      ...(mapped ? { optimization: { disable_specified_optimizers: keptFromMappedWeights.join(';') } } : {}),
    },
  } as ort.InferenceSession.SessionOptions;
}

/** The folder that holds every weight file of the graph, since onnxruntime reads only from below one root. */
function weightsRoot(stored: readonly StoredTensor[]): string {
  const files = new Set(stored.map(({ file }) => file));
  const [first, ...others] = [...files].map((file) => dirname(realpathSync(file)));
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

/** How onnxruntime tells that a provider itself cannot start, whatever the graph. */
const noProvider =
  /AppendExecutionProvider|Failed to load (shared )?library|WebGPU adapter|no CUDA-capable|CUDA driver version|backend not found/i;

async function loading<T>(device: Device, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (device !== 'cpu' && noProvider.test(reason(cause))) {
      const why = whatIsMissing(device)?.split('. ')[0] ?? reason(cause).split('\n')[0]!;
      throw new UnusableDeviceError(device, why, { cause });
    }
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
