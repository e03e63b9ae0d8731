/** The work of an engine, behind methods that a message can call. */
import type { Device } from '../runtime/session';
import type { WorkerMethods } from '../runtime/worker-main';
import { type Home, makeFolder } from '../subjects/home';
import type { GeneratedPicture } from './generated-picture';
import type { PersonalizationJob } from './personalization-job';
import { createProgressMeter, type ProgressEvent } from './progress';
import type { EmbeddingRequest, RunEmbedding } from './run-embedding';
import type { GenerationRequest, RunGeneration } from './run-generation';
import type { MeasurementRequest, RunMeasurement } from './run-measurement';
import type { RunPersonalization } from './run-personalization';
import { createLoadedModels, type WorkContext } from './work-context';

/** What the methods take: the task, and where and on what it is done. */
export interface WorkOrder<Task> {
  readonly task: Task;
  readonly home: Home;
  readonly folder: string;
  readonly device: Device;
  readonly threads: number | null;
  readonly memoryCheck: boolean;
}

/** What the work tells: its progress, and pictures. */
export type WorkEvent = ProgressEvent | { readonly kind: 'picture-made'; readonly picture: GeneratedPicture };

/** What does the work; a module that exports these can stand in for it (`workerModule` of an engine). */
export interface Work {
  readonly runPersonalization: RunPersonalization;
  readonly runGeneration: RunGeneration;
  readonly runMeasurement: RunMeasurement;
  readonly runEmbedding: RunEmbedding;
}

/** Bases differ by hundreds of megabytes to gigabytes: one is kept, and the one in use. */
const modelsKept = 2;

export function createWorkerMethods(work: Work): WorkerMethods {
  const loadedModels = createLoadedModels(modelsKept);
  const context = (
    { home, folder, device, threads, memoryCheck }: WorkOrder<unknown>,
    onEvent: (event: WorkEvent) => void,
    signal: AbortSignal,
  ): WorkContext => {
    const measure = createProgressMeter(() => performance.now());
    return {
      home,
      folder: makeFolder(folder),
      device,
      threads,
      memoryCheck,
      onEstimate: (estimate) => onEvent({ kind: 'estimate-made', ...estimate }),
      onTimed: (what, seconds) => onEvent({ kind: 'timed', what, seconds }),
      onProgress: (step) => onEvent(measure(step)),
      onRecipe: (recipe) => onEvent({ kind: 'recipe-chosen', ...recipe }),
      onSample: (step, files, scores) =>
        onEvent({ kind: 'sample-made', step, files, ...(scores ? { scores } : {}) }),
      onPicture: (picture) => onEvent({ kind: 'picture-made', picture }),
      onWarning: (message) => onEvent({ kind: 'warning-found', message }),
      signal,
      loadedModels,
    };
  };
  return {
    personalize({ argument, onEvent, signal }) {
      const order = argument as WorkOrder<PersonalizationJob>;
      return work.runPersonalization(order.task, context(order, onEvent, signal));
    },
    generate({ argument, onEvent, signal }) {
      const order = argument as WorkOrder<GenerationRequest>;
      return work.runGeneration(order.task, context(order, onEvent, signal));
    },
    measure({ argument, onEvent, signal }) {
      const order = argument as WorkOrder<MeasurementRequest>;
      return work.runMeasurement(order.task, context(order, onEvent, signal));
    },
    embed({ argument, onEvent, signal }) {
      const order = argument as WorkOrder<EmbeddingRequest>;
      return work.runEmbedding(order.task, context(order, onEvent, signal));
    },
  };
}
