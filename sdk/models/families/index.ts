import type { BaseModelFamily } from './family';
import { stableDiffusion } from './stable-diffusion';
import { stableDiffusionXL } from './stable-diffusion-xl';

/** To add a family, add its file and its line. */
export const families: readonly BaseModelFamily[] = [stableDiffusion, stableDiffusionXL];
