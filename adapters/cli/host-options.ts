import type { HostOptions } from 'dreambooth';
import type { WorkOptions } from './session';

/** Options of the commands that stay and serve. */
export interface HostCommandOptions extends WorkOptions {
  readonly keepDays?: number;
}

export const hostOptions = ({
  home,
  base,
  vae,
  device,
  threads,
  memoryCheck,
  keepDays,
}: HostCommandOptions): HostOptions => ({ home, base, vae, device, threads, memoryCheck, keepDays });
