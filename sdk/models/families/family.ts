/** What distinguishes one line of base models from another, beyond what their configs say. */
import type { Value } from '../../graph/graph';
import type { ClipTextOutputs } from '../clip-text';

/** The text encoders that a base model may have, by the names of their folders. */
export type TextEncoderName = 'text_encoder' | 'text_encoder_2';

/** What a UNet is told by text. */
export interface TextCondition {
  /** What it attends to, [N, tokens, features]. */
  readonly textEmbeddings: Value;
  /** The whole text in one vector, [N, features], where the family's UNet takes one. */
  readonly pooledEmbeddings?: Value;
}

export interface BaseModelFamily {
  /** As people say it. */
  readonly title: string;
  /** `_class_name` of the model_index.json files that belong to it. */
  readonly pipelineClasses: readonly string[];
  readonly textEncoders: readonly TextEncoderName[];
  /** Whether the UNet is also told sizes and the text in one vector (`text_time`). */
  readonly addsSizes: boolean;
  /** How many of the last layers of its text encoders it was trained without. */
  readonly skippedLayers: number;
  /**
   * Whether latents are brought to the autoencoder's `latents_mean` and `latents_std`, where it has them. diffusers'
   * pipelines of the other lines read its `scaling_factor` alone.
   */
  readonly normalizesLatents: boolean;
  /**
   * The encoders' outputs, in the order of `textEncoders`, to what the UNet is told, so many of the last layers
   * skipped: `skippedLayers` and, where asked for, more (diffusers' `clip_skip`).
   */
  condition(encoded: readonly ClipTextOutputs[], skipped: number): TextCondition;
}
