/** A held job worked on to its end, whatever that is: signs of life, progress, wishes to stop, and how it ended. */
import { existsSync } from 'node:fs';
import { DreamBoothError, EngineCrashedError, JobStateError, StoppedError } from '../errors';
import { WorkerExitError, type WorkerProcess } from '../runtime/worker-process';
import type { Home } from '../subjects/home';
import type { ProgressEvent } from '../work/progress';
import type { WorkEvent, WorkOrder } from '../work/work';
import type { JobRecord } from './job-record';
import { clearJobFiles, type HeldJob, takenOver } from './jobs';
import type { EngineSettings, RunOptions } from './run-options';

/** How often a run shows that it lives, looks for a wish to cancel, and writes down how far it is; ms. */
const beatInterval = 1_000;

export interface JobWork<Task, Made, Result> {
  readonly method: 'personalize' | 'generate';
  readonly task: () => Task;
  /** Keeps what was made, under its final name; the job is recorded as done after it. */
  readonly keep: (made: Made) => Result;
  readonly onBeat?: () => void;
}

/**
 * Rejects with StoppedError, EngineCrashedError, or what the work threw; the record says how it ended. Rejects with
 * JobStateError where another process took the job over from this one, as from a laptop that was closed: the record and
 * what the job makes are that one's then, and the work here is stopped.
 */
export async function workOn<Task, Made, Result>(
  home: Home,
  held: HeldJob,
  { method, task, keep, onBeat }: JobWork<Task, Made, Result>,
  worker: WorkerProcess,
  { device, threads, memoryCheck }: EngineSettings,
  { onProgress, signal }: RunOptions,
): Promise<Result> {
  const stop = new AbortController();
  const onStop = () => stop.abort();
  signal?.addEventListener('abort', onStop, { once: true });
  if (signal?.aborted) stop.abort();
  const told: { progress: JobRecord['progress']; warnings: string[] } = { progress: null, warnings: [] };
  let written = JSON.stringify(told);
  const timer = setInterval(() => {
    held.beat();
    onBeat?.();
    if (held.cancelRequested() || !held.isHeld()) stop.abort();
    const now = JSON.stringify(told);
    if (now === written || held.record().state !== 'running') return;
    written = now;
    try {
      held.update(told);
    } catch {
      // A full disk: how far it is will be told later; the work itself says what it could not write.
    }
  }, beatInterval);
  timer.unref();

  try {
    const order: WorkOrder<Task> = { task: task(), home, folder: held.folder, device, threads, memoryCheck };
    held.update({ state: 'running', warnings: [], error: null });
    const onEvent = (event: unknown) => {
      const one = event as WorkEvent;
      // A job keeps its pictures together, when it is done.
      if (one.kind === 'picture-made') return;
      if (one.kind === 'step-end') told.progress = recorded(one);
      if (one.kind === 'warning-found') told.warnings = [...told.warnings, one.message];
      onProgress?.(one);
    };
    const made = await worker.call(method, order, { onEvent, signal: stop.signal });
    if (!held.isHeld()) throw takenOver(home, held.record().id);
    const result = keep(made as Made);
    held.update({ state: 'done', ...told });
    return result;
  } catch (error) {
    throw ended(home, held, told, stop.signal.aborted, error);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', onStop);
  }
}

/** Records how a run that did not succeed ended, and returns what the caller gets to know. */
function ended(
  home: Home,
  held: HeldJob,
  told: Pick<JobRecord, 'progress' | 'warnings'>,
  stopped: boolean,
  error: unknown,
): unknown {
  const { id, attended } = held.record();
  if (!held.isHeld() && existsSync(held.folder)) {
    return error instanceof JobStateError ? error : takenOver(home, id);
  }
  const failure =
    error instanceof WorkerExitError && !stopped ? new EngineCrashedError(id, error.exit) : error;
  try {
    if (stopped && held.cancelRequested()) {
      held.update({ state: 'cancelled' });
      clearJobFiles(home, id);
      return new StoppedError(null, { cause: error });
    }
    if (stopped) {
      // Its host goes; another takes it up.
      held.update({ state: attended ? 'stopped' : 'queued', ...told });
      return new StoppedError(id, { cause: error });
    }
    const code = failure instanceof DreamBoothError ? failure.code : 'unexpected';
    held.update({
      state: 'failed',
      ...told,
      error: { code, message: failure instanceof Error ? failure.message : String(failure) },
    });
  } catch {
    // The disk may be full or gone: the first failure is the one to tell; the job will be seen as broken off.
  }
  return failure;
}

function recorded(event: ProgressEvent & { kind: 'step-end' }): JobRecord['progress'] {
  const { phase, step, steps, loss, secondsLeft } = event;
  return { phase, step, steps, secondsLeft, ...(loss === undefined ? {} : { loss }) };
}
