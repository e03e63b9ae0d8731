/** What distinguishes one line of base models from another, beyond what their configs say. */
import type { Value } from '../../graph/graph';
import type { Weights } from '../../nn/weights';
import type { ClipTextConfig } from '../clip-text';

export interface BaseModelFamily {
  /** As people say it. */
  readonly title: string;
  /** `_class_name` of the model_index.json files that belong to it. */
  readonly pipelineClasses: readonly string[];
  /** Token ids int64 [N, tokens] to what the UNet attends to, [N, tokens, features]. */
  encodeText(w: Weights, config: ClipTextConfig, inputIds: Value): Value;
}
