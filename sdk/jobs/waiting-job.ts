/** A job out of the line, run to its end by a host. */
import { DreamBoothError, JobStateError, StoppedError, UnknownJobError } from '../errors';
import type { WorkerProcess } from '../runtime/worker-process';
import type { Home } from '../subjects/home';
import type { ProgressEvent } from '../work/progress';
import { type BaseDefaults, runDrawingJob } from './drawing';
import { holdJob, readJob } from './jobs';
import { finishedSubject, retakePersonalization, runPersonalizationJob } from './personalization';
import type { EngineSettings } from './run-options';

export interface JobRunner {
  readonly home: Home;
  readonly worker: WorkerProcess;
  readonly defaults: BaseDefaults;
  readonly settings: EngineSettings;
  readonly onProgress?: (job: string, event: ProgressEvent) => void;
}

/**
 * Never rejects: the job's record says how it ended, or that it waits again. Returns what went wrong where that could not
 * be written down.
 */
export async function runWaitingJob(
  { home, worker, defaults, settings, onProgress }: JobRunner,
  id: string,
  signal: AbortSignal,
): Promise<'ended' | 'waits' | Error> {
  const run = { signal, onProgress: (event: ProgressEvent) => onProgress?.(id, event) };
  try {
    const job = readJob(home, id);
    if (job.kind === 'generate') await runDrawingJob(home, id, defaults, worker, settings, run);
    else if (finishedSubject(home, job) === undefined) {
      await runPersonalizationJob(home, retakePersonalization(home, id, {}), worker, settings, run);
    }
    return 'ended';
  } catch (error) {
    if (error instanceof UnknownJobError) return 'ended';
    if (error instanceof JobStateError) return error.state === 'running' ? 'waits' : 'ended';
    if (error instanceof StoppedError) return waitsStill(home, id) ? 'waits' : 'ended';
    recordFailure(home, id, error);
    if (!waitsStill(home, id)) return 'ended';
    return error instanceof Error ? error : new Error(String(error));
  }
}

function waitsStill(home: Home, id: string): boolean {
  try {
    return readJob(home, id).state === 'queued';
  } catch {
    return false;
  }
}

/** What fails before the work begins, as a base model that is gone. The work records its own failures. */
function recordFailure(home: Home, id: string, error: unknown): void {
  try {
    if (readJob(home, id).state !== 'queued') return;
    const held = holdJob(home, id);
    const code = error instanceof DreamBoothError ? error.code : 'unexpected';
    const message = error instanceof Error ? error.message : String(error);
    try {
      held.update({ state: 'failed', error: { code, message } });
    } finally {
      held.release();
    }
  } catch {
    // Gone, or taken by another process meanwhile.
  }
}
