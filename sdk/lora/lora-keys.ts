/** The keys of LoRA files in all their namings, as data. */

export type LoraPart = 'down' | 'up' | 'alpha';

/** The ends of keys, of all spellings, and which part of a layer each is. */
const partOfEnding: readonly (readonly [ending: RegExp, part: LoraPart])[] = [
  [/\.lora_down\.weight$/, 'down'],
  [/\.lora_up\.weight$/, 'up'],
  [/\.lora\.down\.weight$/, 'down'],
  [/\.lora\.up\.weight$/, 'up'],
  [/\.lora_linear_layer\.down\.weight$/, 'down'],
  [/\.lora_linear_layer\.up\.weight$/, 'up'],
  // PEFT puts the adapter's name before `weight`, unless it saves only one.
  [/\.lora_A(\.[^.]+)?\.weight$/, 'down'],
  [/\.lora_B(\.[^.]+)?\.weight$/, 'up'],
  [/_lora\.down\.weight$/, 'down'],
  [/_lora\.up\.weight$/, 'up'],
  [/\.alpha$/, 'alpha'],
];

/** Module paths of other ages and writers, as they are now; applied in order. */
const pathRenames: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/(^|\.)base_model\.model\./, '$1'],
  // Files of one network alone have often no prefix.
  [/^(down_blocks|mid_block|up_blocks|conv_in|conv_out|time_embedding|add_embedding)(\.|$)/, 'unet.$1$2'],
  [/^(text_model|encoder\.layers)\./, 'text_encoder.$1.'],
  // The attention processors' days.
  [/\.processor\.to_(q|k|v)$/, '.to_$1'],
  [/\.processor\.to_out$/, '.to_out.0'],
  [/\.self_attn\.to_(q|k|v)$/, '.self_attn.$1_proj'],
  [/\.self_attn\.to_out$/, '.self_attn.out_proj'],
  // transformers 5 leaves out the first word of a text encoder's paths.
  [/^(text_encoder(?:_2)?)\.(encoder|embeddings|final_layer_norm)\./, '$1.text_model.$2.'],
];

/** A key as a path, dotted as diffusers has it or flat as kohya has it, and the part of that layer; none of other keys. */
export function splitKey(key: string): readonly [path: string, part: LoraPart] | undefined {
  const found = partOfEnding.find(([ending]) => ending.test(key));
  if (found === undefined) return undefined;
  const [ending, part] = found;
  const path = pathRenames.reduce(
    (name, [pattern, to]) => name.replace(pattern, to),
    key.replace(ending, ''),
  );
  return [path, part];
}

/** Kinds of adapter that are no plain LoRA, by what their keys contain. */
export const otherAdapters: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/dora_scale|lora_magnitude_vector/, 'DoRA'],
  [/\bhada_/, 'LoHa'],
  [/\blokr_/, 'LoKr'],
  [/\boft_/, 'OFT'],
  [/\.lora_mid\./, 'LoCon with a middle matrix (Tucker)'],
  [/\.on_input$/, '(IA)³'],
  [/\.(diff(_b)?|w_norm|b_norm)$/, 'a full difference of weights'],
  [/\.[ab][12]\.weight$/, 'GLoRA'],
  [/\.lora_[AB](\.[^.]+)?\.bias$/, 'a LoRA with biases'],
  [/^lora_controlnet$/, 'a ControlNet as LoRA'],
  [/^bundle_emb/, 'a LoRA with textual-inversion embeddings'],
];
