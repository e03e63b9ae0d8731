import { EngineCrashedError, StoppedError } from '../errors';
import { WorkerExitError, type WorkerProcess } from '../runtime/worker-process';
import type { Home } from '../subjects/home';
import type { GeneratedPicture } from '../work/generated-picture';
import type { WorkEvent, WorkOrder } from '../work/work';
import type { EngineSettings, RunOptions } from './run-options';

/** Work that is no job: it leaves nothing behind, and is asked for again when it breaks off. */
export async function askEngine<Task, Result>(
  worker: WorkerProcess,
  method: 'generate' | 'measure' | 'embed',
  task: Task,
  home: Home,
  { device, threads, memoryCheck }: EngineSettings,
  { onProgress, signal }: RunOptions,
  onPicture?: (picture: GeneratedPicture) => void,
): Promise<Result> {
  const order: WorkOrder<Task> = { task, home, folder: home.cache, device, threads, memoryCheck };
  try {
    const onEvent = (told: unknown) => {
      const event = told as WorkEvent;
      if (event.kind === 'picture-made') onPicture?.(event.picture);
      else onProgress?.(event);
    };
    return (await worker.call(method, order, { onEvent, signal })) as Result;
  } catch (error) {
    if (signal?.aborted) throw new StoppedError(null, { cause: error });
    if (error instanceof WorkerExitError) throw new EngineCrashedError(null, error.exit);
    throw error;
  }
}
