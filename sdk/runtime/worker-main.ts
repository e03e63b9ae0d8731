import type { FromWorker, ToWorker } from './worker-messages';
import { sendError } from './worker-messages';

export interface WorkerCall {
  readonly argument: unknown;
  readonly onEvent: (event: unknown) => void;
  /** Aborted when the caller wants the call to end at its next step. */
  readonly signal: AbortSignal;
}

export type WorkerMethods = Readonly<Record<string, (call: WorkerCall) => Promise<unknown>>>;

/**
 * Answers the calls of the process that forked this one, until that process goes away. Calls come one at a time.
 * Interrupts from the terminal reach the whole group of processes; what they mean is the parent's to say.
 */
export function serveParentProcess(methods: WorkerMethods): void {
  const running = new Map<number, AbortController>();
  const send = (message: FromWorker) => {
    if (process.connected) process.send?.(message);
  };
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'stop') running.get(message.id)?.abort();
    else void answer(message);
  });
  send({ kind: 'ready' });

  async function answer({ id, method, argument }: ToWorker & { kind: 'call' }): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const call = methods[method];
      if (call === undefined) throw new Error(`The worker process has no method ${method}.`);
      const onEvent = (event: unknown) => send({ kind: 'event', id, event });
      send({ kind: 'result', id, result: await call({ argument, onEvent, signal: controller.signal }) });
    } catch (error) {
      send({ kind: 'error', id, error: sendError(error) });
    } finally {
      running.delete(id);
    }
  }
}
