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
  condition: ([first, second], skip) => ({
    textEmbeddings: op.Concat(first!.hiddenStates.at(-2 - skip)!, second!.hiddenStates.at(-2 - skip)!, {
      axis: 2,
    }),
    pooledEmbeddings: second!.textEmbeds(),
  }),
};
