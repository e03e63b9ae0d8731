/** How long what failed is left alone: a second after the first failure, twice as long after each further one, a minute at most. */
const shortest = 1_000;
const longest = 60_000;

export interface Backoff {
  /** Whether `key` may be tried now. */
  isDue(key: string): boolean;
  /** It failed; returns the ms until it may be tried again. */
  failed(key: string): number;
  worked(key: string): void;
}

export function createBackoff(now: () => number = Date.now): Backoff {
  const failures = new Map<string, { readonly times: number; readonly until: number }>();
  return {
    isDue: (key) => (failures.get(key)?.until ?? 0) <= now(),
    failed(key) {
      const times = failures.get(key)?.times ?? 0;
      const wait = Math.min(longest, shortest * 2 ** times);
      failures.set(key, { times: times + 1, until: now() + wait });
      return wait;
    },
    worked: (key) => void failures.delete(key),
  };
}
