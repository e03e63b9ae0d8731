/** What hosts talk to: subjects learned and pictures made, one after another, away from the caller's event loop. */
import { resolve } from 'node:path';
import { InvalidOptionError, StoppedError } from '../errors';
import type { ToyMeasurement } from '../evaluation/toybox-protocol';
import { type Device, devices } from '../runtime/session';
import { type Home, openHome } from '../subjects/home';
import type { Subject } from '../subjects/subjects';
import type { ToySubject } from '../toybox/toy-subject';
import type { EmbeddingRequest, Embeddings } from '../work/run-embedding';
import type { MeasurementRequest } from '../work/run-measurement';
import { askEngine } from './ask-engine';
import { basePath, embeddedBase } from './base-path';
import { inTurn } from './engine-lease';
import { createEngineWorker } from './engine-worker';
import {
  type GeneratedImage,
  type GenerateRequest,
  type GenerateRunOptions,
  prepareGeneration,
  runGenerationRequest,
} from './generation';
import { type Placement, readJob } from './jobs';
import { refuseUnknownOptions } from './known-options';
import { measuredModel, type ToySource } from './measured-model';
import {
  finishedSubject,
  type PersonalizationRequest,
  type ResumeChanges,
  retakePersonalization,
  runPersonalizationJob,
  startPersonalization,
} from './personalization';
import type { EngineSettings, RunOptions } from './run-options';

export interface EngineOptions {
  /**
   * `process` (default): a process of its own, started by the first call, ended with this one. `in-process`: here,
   * where the work blocks the event loop and a crash of native code ends the program; for tests and scripts.
   */
  readonly mode?: 'process' | 'in-process';
  /** Holds subjects, jobs and caches; default `$DREAMBOOTH_HOME`, then the platform's folder for data. */
  readonly home?: string;
  /** For calls that name none; default `toybox`. */
  readonly base?: string;
  /** For calls that name none, an autoencoder in place of the base's own; default: that. */
  readonly vae?: string;
  /** Default `cpu`. */
  readonly device?: Device;
  /** Threads within an operator; default: one a core. */
  readonly threads?: number;
  /** Whether a run that needs more memory than there is is refused, with InsufficientMemoryError; default true. */
  readonly memoryCheck?: boolean;
  /** Whether work waits until no other engine of this home works on this machine; default true. */
  readonly oneAtATime?: boolean;
  /** How long a stopped run may take to reach its next step before its process is ended, in ms; default 60,000. */
  readonly stopPatience?: number;
  /** A module that exports `runPersonalization` and `runGeneration` and does the work in place of our own. */
  readonly workerModule?: string;
}

export interface Engine {
  readonly home: Home;
  /**
   * Learns a subject as a job. Rejects with StoppedError, EngineCrashedError (both can be resumed), NameTakenError,
   * InvalidNameError, InvalidOptionError, MissingFileError, UnreadableImageError, TrainingDivergedError, DiskFullError…
   */
  personalize(request: PersonalizationRequest, options?: RunOptions): Promise<Subject>;
  /** Goes on with a job that was stopped, crashed or failed, to the same bits unless settings change. */
  resume(job: string, options?: RunOptions & ResumeChanges): Promise<Subject>;
  /** Rejects with UnknownSubjectError, InvalidOptionError, WrongBaseError, StoppedError, EngineCrashedError… */
  generate(request: GenerateRequest, options?: GenerateRunOptions): Promise<GeneratedImage[]>;
  /**
   * How well models know `toy`, somebody of the embedded world, by the truth; a measurement for each source. Rejects
   * with UnknownSubjectError, InvalidOptionError (a step that was not kept), StoppedError…
   */
  measure(
    toy: ToySubject,
    sources: readonly ToySource[],
    options?: RunOptions,
  ): Promise<readonly ToyMeasurement[]>;
  /**
   * Pictures (paths) and texts as the vectors that metrics compare. Rejects with MissingFileError, UnreadableImageError,
   * InvalidOptionError (texts for what reads none, an encoder of another size), what a broken encoder throws…
   */
  embed(request: EmbeddingRequest, options?: RunOptions): Promise<Embeddings>;
  /** Ends the process at once, whatever it does; the next call starts another. */
  kill(): void;
  /**
   * Waits for the calls that were made, then ends the process and lets go of its memory. A program need not call it to
   * end, and a later call starts the process again.
   */
  close(): Promise<void>;
}

const engineOptions: Readonly<Record<keyof EngineOptions, true>> = {
  mode: true,
  home: true,
  base: true,
  vae: true,
  device: true,
  threads: true,
  memoryCheck: true,
  oneAtATime: true,
  stopPatience: true,
  workerModule: true,
};

/** Throws InvalidOptionError for an option that there is not, and a device or a number of threads that cannot be. */
export function createEngine(options: EngineOptions = {}): Engine {
  refuseUnknownOptions('createEngine', options, engineOptions);
  const { device, threads } = options;
  if (device !== undefined && !devices.includes(device))
    throw new InvalidOptionError('device', `device is "${device}": choose one of ${devices.join(', ')}.`);
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1))
    throw new InvalidOptionError('threads', `threads is ${threads}: give a whole number from 1 on.`);
  const home = openHome(options.home);
  const base = options.base ?? embeddedBase;
  const settings: EngineSettings = {
    device: options.device ?? 'cpu',
    threads: options.threads ?? null,
    memoryCheck: options.memoryCheck ?? true,
  };
  const ownWorker = createEngineWorker({
    mode: options.mode ?? 'process',
    workerModule: options.workerModule === undefined ? undefined : resolve(options.workerModule),
    stopPatience: options.stopPatience ?? 60_000,
  });
  const worker = options.oneAtATime === false ? ownWorker : inTurn(home, ownWorker);
  const defaults = { base, vae: options.vae };
  return {
    home,
    async personalize(request, run = {}) {
      refuseStopped(run.signal);
      const onWarning = (message: string) => run.onProgress?.({ kind: 'warning-found', message });
      const held = await startPersonalization(home, request, defaults, () => ownPlace, onWarning);
      return runPersonalizationJob(home, held, worker, settings, run);
    },
    async resume(job, run = {}) {
      refuseStopped(run.signal);
      if (typeof job !== 'string')
        throw new InvalidOptionError(
          'job',
          `job is ${job}: give the id of a job, as "rex-1f3a"; list them with listJobs.`,
        );
      const record = readJob(home, job);
      const finished = record.kind === 'personalize' ? finishedSubject(home, record) : undefined;
      if (finished !== undefined) return finished;
      return runPersonalizationJob(home, retakePersonalization(home, job, run), worker, settings, run);
    },
    async generate(request, run = {}) {
      refuseStopped(run.signal);
      const task = prepareGeneration(home, request, base, options.vae);
      return runGenerationRequest(home, task, worker, settings, run);
    },
    async measure(toy, sources, run = {}) {
      refuseStopped(run.signal);
      const models = sources.map((source) => measuredModel(home, toy, source));
      const request: MeasurementRequest = { basePath: basePath(embeddedBase), toy, models };
      return askEngine(worker, 'measure', request, home, settings, run);
    },
    async embed(request, run = {}) {
      refuseStopped(run.signal);
      const { path, kind } = request.encoder;
      const encoder = { kind, path: resolve(path) };
      return askEngine(worker, 'embed', { ...request, encoder }, home, settings, run);
    },
    kill: worker.kill,
    close: worker.close,
  };
}

/** Jobs of a program's own: it runs them itself, and they are its user's. */
const ownPlace: Placement = {
  owner: 'local',
  scope: null,
  host: 'library',
  attended: true,
  turn: 0,
  replyTo: null,
};

function refuseStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new StoppedError(null);
}
