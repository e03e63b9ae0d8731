/** Where an engine's work is done: in a process of its own, or in this one. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageFolder } from '../checkpoint/package-folder';
import { MissingFileError } from '../errors';
import { createWorkerProcess, type WorkerProcess } from '../runtime/worker-process';
import type { Work } from '../work/work';

export interface EngineWorkerOptions {
  readonly mode: 'process' | 'in-process';
  /** Does the work in place of our own; an absolute path. */
  readonly workerModule: string | undefined;
  readonly stopPatience: number;
}

export function createEngineWorker({ mode, workerModule, stopPatience }: EngineWorkerOptions): WorkerProcess {
  if (mode === 'in-process') return createInProcessWorker(workerModule);
  return createWorkerProcess({
    ...engineProgram(),
    arguments: workerModule === undefined ? [] : [workerModule],
    stopPatience,
  });
}

/** The program of the process: the built one, or its source where this file is source. */
function engineProgram(): { module: string; nodeOptions: string[] } {
  const here = fileURLToPath(import.meta.url);
  if (here.endsWith('.ts')) {
    const loader = createRequire(here).resolve('tsx');
    return {
      module: join(here, '../../work/engine-main.ts'),
      nodeOptions: ['--import', pathToFileURL(loader).href],
    };
  }
  const module = join(packageFolder(), 'dist', 'engine.js');
  if (!existsSync(module)) {
    throw new MissingFileError(
      module,
      `The engine's program ${module} is missing: install the package again (or, in its repository, npm run build).`,
    );
  }
  return { module, nodeOptions: [] };
}

function createInProcessWorker(workerModule: string | undefined): WorkerProcess {
  let queue: Promise<unknown> = Promise.resolve();
  const methods = async () => {
    const { createWorkerMethods } = await import('../work/work');
    const work: Work =
      workerModule === undefined
        ? await import('../work/own-work')
        : await import(/* @vite-ignore */ pathToFileURL(workerModule).href);
    return createWorkerMethods(work);
  };
  let loaded: ReturnType<typeof methods> | undefined;
  return {
    call(method, argument, { onEvent = () => {}, signal = new AbortController().signal } = {}) {
      const answer = queue.then(async () => {
        signal.throwIfAborted();
        loaded ??= methods();
        return (await loaded)[method]!({ argument, onEvent, signal });
      });
      queue = answer.catch(() => {});
      return answer;
    },
    kill() {},
    close: async () => void (await queue),
  };
}
