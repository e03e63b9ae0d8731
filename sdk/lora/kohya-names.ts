/**
 * kohya's names of layers: a prefix for the component, then the path with `_` for every dot. Of Stable Diffusion XL
 * kohya trains the original code's UNet, so there the path is that code's; of 1 and 2 it is diffusers'.
 */
import { type ModulePair, renamer } from '../checkpoint/ldm-keys';
import { splitLayer } from './lora-layers';
import type { LoraModel } from './lora-model';

export type LayerNaming = (name: string) => string;

/** The names that kohya's scripts give the layers of a model with one text encoder, or of Stable Diffusion XL. */
export function kohyaNaming({
  hasSecondTextEncoder,
  unetModules,
}: Pick<LoraModel, 'hasSecondTextEncoder' | 'unetModules'>): LayerNaming {
  return flatNaming(hasSecondTextEncoder ? 'lora_te1' : 'lora_te', hasSecondTextEncoder ? unetModules : []);
}

function flatNaming(firstTextEncoder: string, unetModules: readonly ModulePair[]): LayerNaming {
  const inUNet = renamer(unetModules, 'ldm');
  return (name) => {
    const [component, path] = splitLayer(name);
    const flat = (prefix: string, dotted: string) => `${prefix}_${dotted.replaceAll('.', '_')}`;
    if (component === 'unet') return flat('lora_unet', inUNet(path));
    return flat(component === 'text_encoder' ? firstTextEncoder : 'lora_te2', path);
  };
}

/** From a path as a file has it, dotted or flat in any of the namings, to the name of a layer of the model. */
export function layerResolver({ layers, unetModules }: LoraModel): (path: string) => string | undefined {
  const namings = [flatNaming('lora_te', []), flatNaming('lora_te1', unetModules)];
  const known = new Map<string, string>();
  for (const name of layers.keys()) {
    known.set(name, name);
    for (const naming of namings) {
      const flat = naming(name);
      known.set(flat, name);
      // Writers on transformers 5 lose the first word of a text encoder's paths.
      known.set(flat.replace(/^(lora_te\d?)_text_model_/, '$1_'), name);
    }
  }
  return (path) => known.get(path);
}
