import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What a training left in a job's or subject's folder for people and programs to look at. */
export interface RunFiles {
  readonly log?: string;
  readonly samples?: string;
}

export function runFiles(folder: string): RunFiles {
  const [log, samples] = [join(folder, 'log.jsonl'), join(folder, 'samples')];
  return { ...(existsSync(log) ? { log } : {}), ...(existsSync(samples) ? { samples } : {}) };
}

export const runFileLines = ({ log, samples }: RunFiles): string[] => [
  ...(log === undefined ? [] : [`  log of the training: ${log}`]),
  ...(samples === undefined ? [] : [`  pictures drawn during it: ${samples}`]),
];
