import { DreamBoothError } from '../errors';
import type { SchedulerName } from '../schedulers/index';
import type { SettingValue, Subject } from '../subjects/subjects';
import type { WorkContext } from './work-context';

/** Pictures to make, as the engine gets them. */
export interface GenerationRequest {
  /** As typed. */
  readonly prompt: string;
  /** For the text encoder: mentions are replaced. */
  readonly text: string;
  readonly negativePrompt: string;
  /** Whose weights to put on the base, with the weight of each; at most one of kind `full`, then alone. */
  readonly subjects: readonly { readonly subject: Subject; readonly weight: number }[];
  /** The checkpoint: a folder or a `.safetensors` file, by absolute path. */
  readonly basePath: string;
  /** One picture for each, which depends on nothing but its own seed. */
  readonly seeds: readonly number[];
  /** null: the base's usual. */
  readonly steps: number | null;
  readonly guidanceScale: number | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly scheduler: SchedulerName;
}

/** A picture as it leaves the engine. */
export interface GeneratedPicture {
  /** A PNG file's bytes, what made it in its texts. */
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  /** As typed. */
  readonly prompt: string;
  /** In effect, defaults written out. */
  readonly settings: Readonly<Record<string, SettingValue>>;
}

/**
 * Makes one picture a seed, in their order. Throws WrongBaseError when a subject's `base.fingerprint` is not the
 * base's, InvalidOptionError for a size that the base cannot make.
 */
export type RunGeneration = (
  request: GenerationRequest,
  context: WorkContext,
) => Promise<readonly GeneratedPicture[]>;

export const runGeneration: RunGeneration = () =>
  Promise.reject(new DreamBoothError('not-implemented', 'Sampling is not connected to the engine yet.'));
