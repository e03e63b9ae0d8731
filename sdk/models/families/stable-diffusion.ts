/** Stable Diffusion 1.x and 2.x: one CLIP text encoder, whose last layer after the final norm conditions the UNet. */
import { clipText } from '../clip-text';
import type { BaseModelFamily } from './family';

export const stableDiffusion: BaseModelFamily = {
  title: 'Stable Diffusion 1 and 2',
  pipelineClasses: ['StableDiffusionPipeline'],
  encodeText: (w, config, inputIds) => clipText(w, config, inputIds).lastHiddenState,
};
