/** Told what keeps a host from its work and does not end it, a line each. */
export type Log = (line: string) => void;

/** That a job is tried again in `wait` ms, and why. */
export const leftAlone = (job: string, error: Error, wait: number): string =>
  `Job ${job} could not be run (${wordsOf(error)}); it waits, and is tried again in ${wait / 1000} s.`;

export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
