import type { Operation } from 'dreambooth';

/** What the program stands in: streams, signals, the SDK. Tests give their own. */
export type Sdk = typeof import('dreambooth');

export interface Surroundings {
  readonly loadSdk: () => Promise<Sdk>;
  /** What hosts offer; see `operations` of the SDK. */
  readonly operations: Readonly<Record<string, Operation>>;
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Tells when the user wants to stop (Ctrl-C); returns how to stop listening. */
  readonly onInterrupt: (listener: () => void) => () => void;
  /** Ends the program at once. */
  readonly exit: (code: number) => void;
}
