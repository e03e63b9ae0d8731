/** What of a base model a LoRA file is read against, and named by. */
import { ldmUNetModules, type ModulePair, unetBlocks } from '../checkpoint/ldm-keys';
import type { Shape } from '../tensor';
import { type LoraComponent, loraComponents } from './lora-layers';

export interface LoraModel {
  /** The shape of every layer's weight, by component and path (see `LoraLayers`). */
  readonly layers: ReadonlyMap<string, Shape>;
  /** The UNet's modules in diffusers' names and in the original code's. */
  readonly unetModules: readonly ModulePair[];
  readonly hasSecondTextEncoder: boolean;
}

/** `tensorsOf` gives a component's tensors by key; none where the model has no such component. */
export function loraModel(
  tensorsOf: (component: LoraComponent) => ReadonlyMap<string, { readonly shape: Shape }> | undefined,
): LoraModel {
  const layers = new Map<string, Shape>();
  for (const component of loraComponents) {
    for (const [key, { shape }] of tensorsOf(component) ?? []) {
      if (key.endsWith('.weight') && shape.length > 1)
        layers.set(`${component}.${key.slice(0, -'.weight'.length)}`, shape);
    }
  }
  return {
    layers,
    unetModules: ldmUNetModules(unetBlocks(tensorsOf('unet')?.keys() ?? [])),
    hasSecondTextEncoder: (tensorsOf('text_encoder_2')?.size ?? 0) > 0,
  };
}

/** The modules of the published Stable Diffusion XL, for a LoRA whose base is not at hand. */
export const publishedXlModules: readonly ModulePair[] = ldmUNetModules({
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
});
