import type { BaseModelFamily } from './family';
import { stableDiffusion } from './stable-diffusion';

/** To add a family, add its file and its line. */
export const families: readonly BaseModelFamily[] = [stableDiffusion];
