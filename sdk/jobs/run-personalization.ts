import { DreamBoothError } from '../errors';
import type { SettingValue } from '../subjects/subjects';
import type { PersonalizationSettings } from './personalization-settings';
import type { WorkContext } from './work-context';

/** A personalisation as the engine gets it, the same at every resume. */
export interface PersonalizationJob {
  readonly id: string;
  readonly name: string;
  readonly className: string;
  /** As given; null: choose one from the tokenizer, seeded by `seed`, that is not in `usedIdentifiers`. */
  readonly identifier: string | null;
  readonly usedIdentifiers: readonly string[];
  /** The checkpoint: a folder or a `.safetensors` file, by absolute path. */
  readonly basePath: string;
  readonly seed: number;
  /** As given and checked by name and type; what is missing comes from the preset. */
  readonly settings: PersonalizationSettings;
  readonly photos: readonly PersonalizationPhoto[];
}

export interface PersonalizationPhoto {
  /** Absolute path of the job's own copy. */
  readonly file: string;
  /** What the caller called it: for messages. */
  readonly name: string;
  readonly sha256: string;
}

/** What was learned, ready to become a subject. */
export interface SubjectDraft {
  /**
   * A folder within `context.folder` that holds what the subject needs and nothing else: `lora.safetensors` in
   * diffusers' naming (or a folder of each trained component, as `unet/`), and `thumbnail.png`. It becomes the
   * subject's folder by one rename.
   */
  readonly folder: string;
  readonly kind: 'lora' | 'full';
  readonly identifier: string;
  readonly instancePrompt: string;
  readonly baseFingerprint: string;
  /** All in effect, defaults written out. */
  readonly settings: Readonly<Record<string, SettingValue>>;
  readonly steps: number;
}

/**
 * Learns a subject. Goes on from the checkpoint in `context.folder` when there is one, to the same bits as a run that
 * never stopped. Throws UnreadableImageError (naming the photo), TrainingDivergedError, DiskFullError and the errors
 * of a base model that cannot be opened.
 */
export type RunPersonalization = (job: PersonalizationJob, context: WorkContext) => Promise<SubjectDraft>;

export const runPersonalization: RunPersonalization = () =>
  Promise.reject(new DreamBoothError('not-implemented', 'Training is not connected to the engine yet.'));
