import { type ChildProcess, fork } from 'node:child_process';
import { type FromWorker, receiveError, type ToWorker } from './worker-messages';

export interface WorkerProcessOptions {
  /** The module that calls `serveParentProcess`. */
  readonly module: string;
  readonly arguments?: readonly string[];
  /** Options of Node for the process. */
  readonly nodeOptions?: readonly string[];
  /** How long a call that is told to stop may take to reach its next step, in ms; then the process is ended. */
  readonly stopPatience: number;
}

export interface WorkerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what the process wrote to its error output. */
  readonly lastWords: string;
}

export interface WorkerCallOptions {
  readonly onEvent?: (event: unknown) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What a call rejects with when the process ends before it has answered. */
export class WorkerExitError extends Error {
  readonly exit: WorkerExit;

  constructor(exit: WorkerExit) {
    super(`The worker process ended (${exit.signal ?? exit.code}).`);
    this.exit = exit;
  }
}

/**
 * A process of our own that does one call after another, so that native code may block or die there. It starts with
 * the first call and again after it died; it keeps this process alive only while a call is running, and ends with it.
 */
export interface WorkerProcess {
  /** Rejects with what the method threw, or with WorkerExitError. */
  call(method: string, argument: unknown, options?: WorkerCallOptions): Promise<unknown>;
  /** Ends the process at once; a running call rejects. */
  kill(): void;
  close(): Promise<void>;
}

const wordsKept = 2_000;
/** From the polite signal to the one that cannot be refused. */
const killPatience = 2_000;
const outputPatience = 500;

export function createWorkerProcess(options: WorkerProcessOptions): WorkerProcess {
  let child: ChildProcess | undefined;
  let queue: Promise<unknown> = Promise.resolve();
  let calls = 0;

  const start = (): ChildProcess => {
    const started = fork(options.module, options.arguments ?? [], {
      serialization: 'advanced',
      execArgv: [...(options.nodeOptions ?? [])],
      // Its standard output is not ours to write to: that may be a protocol.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const words = { last: '' };
    started.stderr?.setEncoding('utf8').on('data', (text: string) => {
      words.last = (words.last + text).slice(-wordsKept);
    });
    lastWords.set(started, words);
    started.once('exit', () => {
      if (child === started) child = undefined;
    });
    return started;
  };

  const run = (method: string, argument: unknown, { onEvent, signal }: WorkerCallOptions) =>
    new Promise<unknown>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      child ??= start();
      const worker = child;
      const id = calls++;
      const timers: NodeJS.Timeout[] = [];
      hold(worker, true);

      const onMessage = (message: FromWorker) => {
        if (message.kind === 'ready' || message.id !== id) return;
        if (message.kind === 'event') return onEvent?.(message.event);
        settle();
        if (message.kind === 'result') resolve(message.result);
        else reject(receiveError(message.error));
      };
      const onExit = async (code: number | null, exitSignal: NodeJS.Signals | null) => {
        settle();
        await outputEnd(worker);
        const words = lastWords.get(worker)?.last.trim() ?? '';
        reject(new WorkerExitError({ code, signal: exitSignal, lastWords: words }));
      };
      const onError = (error: Error) => {
        settle();
        reject(error);
      };
      const onAbort = () => {
        post(worker, { kind: 'stop', id });
        timers.push(setTimeout(() => endProcess(worker, timers), options.stopPatience));
      };
      const settle = () => {
        worker.off('message', onMessage).off('exit', onExit).off('error', onError);
        signal?.removeEventListener('abort', onAbort);
        timers.forEach(clearTimeout);
        hold(worker, false);
      };
      worker.on('message', onMessage).on('exit', onExit).on('error', onError);
      signal?.addEventListener('abort', onAbort, { once: true });
      post(worker, { kind: 'call', id, method, argument });
    });

  return {
    call(method, argument, callOptions = {}) {
      const { signal } = callOptions;
      let waiting = true;
      const answer = queue.then(() => {
        waiting = false;
        return run(method, argument, callOptions);
      });
      queue = answer.catch(() => {});
      // One that still waits for its turn need not wait to be given up.
      return new Promise((resolve, reject) => {
        const giveUp = () => waiting && reject(signal?.reason);
        signal?.addEventListener('abort', giveUp, { once: true });
        answer.then(resolve, reject).finally(() => signal?.removeEventListener('abort', giveUp));
      });
    },
    kill() {
      child?.kill('SIGKILL');
    },
    async close() {
      await queue;
      const ending = child;
      if (ending === undefined) return;
      hold(ending, true);
      const gone = new Promise<void>((resolve) => ending.once('exit', () => resolve()));
      if (ending.connected) ending.disconnect();
      const timers: NodeJS.Timeout[] = [];
      timers.push(setTimeout(() => endProcess(ending, timers), killPatience));
      await gone;
      timers.forEach(clearTimeout);
    },
  };
}

/**
 * The last words may come after the exit. The child's own `close` event would tell, but it is never sent when the
 * channel was closed from this side.
 */
function outputEnd(worker: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (!worker.stderr || worker.stderr.closed) return resolve();
    worker.stderr.once('close', resolve);
    // A process that the dead one started may hold its output open.
    setTimeout(resolve, outputPatience);
  });
}

const lastWords = new WeakMap<ChildProcess, { last: string }>();

function endProcess(worker: ChildProcess, timers: NodeJS.Timeout[]): void {
  worker.kill('SIGTERM');
  timers.push(setTimeout(() => worker.kill('SIGKILL'), killPatience));
}

/** A message to a process that is just dying is lost; its exit tells. */
function post(worker: ChildProcess, message: ToWorker): void {
  if (worker.connected) worker.send(message, () => {});
}

/** Whether the process keeps this one alive. */
function hold(worker: ChildProcess, wanted: boolean): void {
  const parts = [worker, worker.channel, worker.stderr as unknown as { ref(): void; unref(): void } | null];
  for (const part of parts) {
    if (wanted) part?.ref();
    else part?.unref();
  }
}
