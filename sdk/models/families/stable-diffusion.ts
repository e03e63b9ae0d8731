/** Stable Diffusion 1.x and 2.x: one CLIP text encoder, whose last layer after the final norm conditions the UNet. */
import type { BaseModelFamily } from './family';

export const stableDiffusion: BaseModelFamily = {
  title: 'Stable Diffusion 1 and 2',
  pipelineClasses: [
    'StableDiffusionPipeline',
    'StableDiffusionImg2ImgPipeline',
    'StableDiffusionInpaintPipeline',
    'LatentConsistencyModelPipeline',
  ],
  textEncoders: ['text_encoder'],
  addsSizes: false,
  normalizesLatents: false,
  skippedLayers: 0,
  condition: ([text], skipped) => ({
    textEmbeddings: text!.finalNorm(text!.hiddenStates.at(-1 - skipped)!),
  }),
};
