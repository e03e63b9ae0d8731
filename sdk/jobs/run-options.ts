import type { Device } from '../runtime/session';
import type { ProgressEvent } from '../work/progress';

/** What a run needs to know of its engine. */
export interface EngineSettings {
  readonly device: Device;
  readonly threads: number | null;
  readonly memoryCheck: boolean;
}

export interface RunOptions {
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
  /** Stops the run at its next step; it rejects with StoppedError, and a job can be resumed. */
  readonly signal?: AbortSignal | undefined;
}
