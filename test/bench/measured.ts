/** What a side prints of one process's run of a case. */
export interface Measured {
  /** From the start of the program's work to the end of the first step, in ms: reading, building, loading, running. */
  readonly first: number;
  /** Each timed step, in ms. */
  readonly times: readonly number[];
  /** Losses of the steps, or the first latents: the two sides must agree. */
  readonly results: readonly number[];
  /** High-water mark of resident memory, libraries included. */
  readonly peakBytes: number;
}
