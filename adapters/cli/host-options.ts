import type { HostOptions } from 'dreambooth';
import { WrongUse } from './failures';
import type { WorkOptions } from './session';
import type { Sdk } from './surroundings';

/** Options of the commands that stay and serve. */
export interface HostCommandOptions extends WorkOptions {
  readonly keepDays?: number;
  readonly queue?: string;
}

/**
 * What `createHost` takes. With a queue elsewhere (`--queue`, DREAMBOOTH_QUEUE) jobs are for its workers, of whom
 * `isWorker` says whether this is one. Rejects where the queue does not answer.
 */
export async function hostOptions(
  sdk: Sdk,
  { home, base, vae, device, threads, memoryCheck, keepDays, queue }: HostCommandOptions,
  isWorker = false,
): Promise<HostOptions> {
  const own = { home, base, vae, device, threads, memoryCheck, keepDays };
  const url = queue ?? process.env['DREAMBOOTH_QUEUE'];
  if (!url) return own;
  if (!/^rediss?:\/\//.test(url))
    throw new WrongUse(
      `--queue ${url.replace(/\/\/.*@/, '//')} is no queue: give the address of a Redis, as redis://localhost:6379`,
    );
  return { ...own, queue: await sdk.openRedisQueue(url), runsJobs: isWorker };
}
