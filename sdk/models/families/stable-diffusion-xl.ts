/**
 * Stable Diffusion XL (Podell et al. 2023): the layers before the last of two CLIP text encoders, side by side and
 * without the final norm; the second one's projected end token, and the picture's sizes, join the time embedding.
 */
import { op } from '../../graph/operators';
import type { BaseModelFamily } from './family';

export const stableDiffusionXL: BaseModelFamily = {
  title: 'Stable Diffusion XL',
  pipelineClasses: [
    'StableDiffusionXLPipeline',
    'StableDiffusionXLImg2ImgPipeline',
    'StableDiffusionXLInpaintPipeline',
  ],
  textEncoders: ['text_encoder', 'text_encoder_2'],
  addsSizes: true,
  normalizesLatents: true,
  skippedLayers: 1,
  condition: ([first, second], skipped) => ({
    textEmbeddings: op.Concat(first!.hiddenStates.at(-1 - skipped)!, second!.hiddenStates.at(-1 - skipped)!, {
      axis: 2,
    }),
    pooledEmbeddings: second!.textEmbeds(),
  }),
};
