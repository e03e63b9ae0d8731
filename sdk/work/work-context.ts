import type { Device } from '../runtime/session';
import type { Home } from '../subjects/home';
import type { GeneratedPicture } from './generated-picture';
import type { Estimate, PhaseStep, RecipeChosen } from './progress';
import type { SampleScores } from './sample-scores';

/** What a run is given beside its task. It lives in the engine's process. */
export interface WorkContext {
  readonly home: Home;
  /**
   * The run's own folder, which exists. Of a personalisation it stays until the job is done or cancelled, over
   * crashes and restarts: checkpoints and half-made results belong in it, under names other than `job.json`,
   * `photos`, `start`, `lock*` and `cancel`. Of a generation it is the cache folder.
   */
  readonly folder: string;
  readonly device: Device;
  /** Threads within an operator; null: onnxruntime's default. */
  readonly threads: number | null;
  /** Called when a phase begins (step 0) and after each of its steps. */
  readonly onProgress: (step: PhaseStep) => void;
  /** What a subject is learned by, before it is. */
  readonly onRecipe: (recipe: Omit<RecipeChosen, 'kind'>) => void;
  /** Pictures of a training as it is, and where they are. */
  readonly onSample: (step: number, files: readonly string[], scores?: SampleScores) => void;
  /** A picture of a generation as soon as it is made, so that none is lost with those that follow. */
  readonly onPicture: (picture: GeneratedPicture) => void;
  /** Of a large base, before anything of it is loaded; then how long its start takes. */
  readonly onEstimate: (estimate: Estimate) => void;
  readonly onTimed: (what: string, seconds: number) => void;
  /** Whether a run that needs more memory than there is is refused. */
  readonly memoryCheck: boolean;
  /** For what the user should know and what does not stop the run. */
  readonly onWarning: (message: string) => void;
  /**
   * Aborted when the run is to end at its next step: write a checkpoint, then throw (`signal.throwIfAborted()` will
   * do; what is thrown after an abort counts as stopped). A run that ends anyway may return its result.
   */
  readonly signal: AbortSignal;
  readonly loadedModels: LoadedModels;
}

export interface Releasable {
  release(): Promise<void>;
}

/** Models that stay loaded between the runs of an engine. */
export interface LoadedModels {
  /**
   * The model under `key`, which names everything that makes it (fingerprint, size, device) and one type of model;
   * loaded with `load` unless resident. The ones used longest ago are released when there are too many.
   */
  get<Model extends Releasable>(key: string, load: () => Promise<Model>): Promise<Model>;
  releaseAll(): Promise<void>;
}

/** `capacity` models stay resident, at least the one asked for last. A failed load is forgotten. */
export function createLoadedModels(capacity: number): LoadedModels {
  // A map keeps the order of insertion: the first is the one used longest ago.
  const resident = new Map<string, Promise<Releasable>>();
  return {
    async get<Model extends Releasable>(key: string, load: () => Promise<Model>): Promise<Model> {
      const model = (resident.get(key) ?? load()) as Promise<Model>;
      resident.delete(key);
      resident.set(key, model);
      try {
        await model;
      } catch (error) {
        resident.delete(key);
        throw error;
      }
      for (const [oldest, old] of resident) {
        if (resident.size <= capacity || oldest === key) break;
        resident.delete(oldest);
        await (await old).release();
      }
      return model;
    },
    async releaseAll() {
      const models = [...resident.values()];
      resident.clear();
      for (const model of models) await (await model).release();
    },
  };
}
