/** What the algorithms know of a runtime: a graph is loaded once and run often. runtime/session.ts has one for onnxruntime. */
import type { Tensor } from '../tensor';
import type { Value } from './graph';

export type Feeds = Readonly<Record<string, Tensor>>;

/** A loaded graph. Names are those of the graph's inputs and of the outputs it was made with. */
export interface Session<Name extends string = string> {
  readonly inputNames: readonly string[];
  /** Feeds that the graph does not read are ignored; one that is missing or of another shape is an error. */
  run(feeds: Feeds): Promise<Record<Name, Tensor>>;
  release(): Promise<void>;
}

export type CreateSession = <Name extends string>(
  outputs: Readonly<Record<Name, Value>>,
) => Promise<Session<Name>>;
