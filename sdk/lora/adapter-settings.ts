/** PEFT's settings, which diffusers keeps in a LoRA file's metadata as JSON (`lora_adapter_metadata`), by component. */
import { UnsupportedLoraError } from '../errors';
import { type LoraLayers, loraComponents, splitLayer } from './lora-layers';

const metadataKey = 'lora_adapter_metadata';

export interface AdapterSettings {
  alphaOf(name: string): number | undefined;
}

/** Throws UnsupportedLoraError where they ask for DoRA, or are no JSON. */
export function adapterSettings(metadata: Readonly<Record<string, string>>): AdapterSettings {
  const text = metadata[metadataKey];
  if (text === undefined) return { alphaOf: () => undefined };
  const settings = parsed(text);
  for (const component of loraComponents) {
    if (settings[`${component}.use_dora`] === true) {
      throw new UnsupportedLoraError(
        `This file is DoRA (its ${metadataKey} says ${component}.use_dora), which is not supported; plain LoRA is. Train or export it as LoRA.`,
      );
    }
  }
  return {
    alphaOf(name) {
      const [component, path] = splitLayer(name);
      const pattern = settings[`${component}.alpha_pattern`];
      const special = Object.entries(typeof pattern === 'object' && pattern !== null ? pattern : {}).find(
        ([module]) => belongsTo(path, module),
      )?.[1];
      const alpha: unknown = special ?? settings[`${component}.lora_alpha`];
      if (typeof alpha !== 'number') return undefined;
      if (settings[`${component}.use_rslora`] !== true) return alpha;
      throw new UnsupportedLoraError(
        `This file's ${metadataKey} says ${component}.use_rslora, another scale than alpha / rank: export it without.`,
      );
    },
  };
}

/** A module is named by its path or the end of it; `^` in front stands for the whole path. */
const belongsTo = (path: string, module: string) =>
  module.startsWith('^') ? path === module.slice(1) : path === module || path.endsWith(`.${module}`);

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) ?? {};
  } catch (cause) {
    throw new UnsupportedLoraError(
      `The LoRA file keeps settings in ${metadataKey} that are not valid JSON.`,
      {
        cause,
      },
    );
  }
}

/**
 * The metadata of a diffusers file whose layers have several ranks: without it readers before diffusers 0.42 take the
 * alpha of one layer for all. None where the ranks are equal. Here alpha is the rank of each layer (see `toDiffusers`).
 */
export function settingsMetadata(layers: LoraLayers): Record<string, string> {
  if (new Set([...layers.values()].map(({ down }) => down.shape[0])).size < 2) return {};
  const settings: Record<string, unknown> = {};
  for (const component of loraComponents) {
    const ranks = [...layers].flatMap(([name, { down }]) => {
      const [own, path] = splitLayer(name);
      // By the end of the path, which is the same with and without the first word of a text encoder's.
      return own === component ? [[path.replace(/^text_model\./, ''), down.shape[0]!] as const] : [];
    });
    if (ranks.length === 0) continue;
    const usual = ranks[0]![1];
    const others = Object.fromEntries(ranks.filter(([, rank]) => rank !== usual));
    settings[`${component}.r`] = usual;
    settings[`${component}.lora_alpha`] = usual;
    settings[`${component}.rank_pattern`] = others;
    settings[`${component}.alpha_pattern`] = others;
    settings[`${component}.target_modules`] = ranks.map(([path]) => path);
  }
  return { [metadataKey]: JSON.stringify(settings) };
}
