/** What the engine is told of a personalisation. */
import type { PersonalizationSettings } from './personalization-settings';

/** A personalisation as the engine gets it, the same at every resume. */
export interface PersonalizationJob {
  readonly id: string;
  readonly name: string;
  readonly className: string;
  /** As given, empty for none; null: as the settings say, from the tokenizer, seeded by `seed`, not in `usedIdentifiers`. */
  readonly identifier: string | null;
  readonly usedIdentifiers: readonly string[];
  /** The checkpoint: a folder or a `.safetensors` file, by absolute path. */
  readonly basePath: string;
  /** An autoencoder in place of its own; null: none. */
  readonly vaePath: string | null;
  readonly seed: number;
  /** As given and checked by name and type; what is missing comes from the preset. */
  readonly settings: PersonalizationSettings;
  readonly photos: readonly PersonalizationPhoto[];
  /** A folder with the weights of the subject that is gone on with, as it keeps them; null: the base's own. */
  readonly start: { readonly folder: string; readonly baseFingerprint: string } | null;
}

export interface PersonalizationPhoto {
  /** Absolute path of the job's own copy. */
  readonly file: string;
  /** What the caller called it: for messages. */
  readonly name: string;
  readonly sha256: string;
  /** What the text beside it says. */
  readonly caption?: string | undefined;
  /** Absolute path of the job's own copy of the mask beside it. */
  readonly mask?: string | undefined;
}
