/** What `.safetensors` files of other kinds are, by their keys: said to who takes one for another. */

export const aLora = 'a LoRA';
export const aBaseModel = 'a base model';

const kinds: readonly (readonly [key: RegExp, what: string])[] = [
  [/lora_(up|down|A|B)\.|[._]lora(_linear_layer)?\.(up|down)\./, aLora],
  [/^model\.diffusion_model\.joint_blocks\./, 'a Stable Diffusion 3 checkpoint'],
  [/^(model\.diffusion_model\.)?double_blocks\./, 'a FLUX checkpoint'],
  [/^conditioner\.embedders\.0\.model\./, 'a Stable Diffusion XL refiner'],
  [/^(control_model\.|input_hint_block\.|controlnet_cond_embedding\.)/, 'a ControlNet'],
  [/^(ip_adapter|image_proj)\./, 'an IP-Adapter'],
  [/^(emb_params|clip_l|clip_g)$/, 'a textual-inversion embedding'],
  [/^(cond_stage_model|conditioner)\./, aBaseModel],
  [/^(first_stage_model\.)?(encoder|decoder)\.(conv_in|mid)/, 'an autoencoder alone'],
  [/^(text_model|transformer\.resblocks)\./, 'a text encoder alone'],
  [/^(model\.diffusion_model\.|input_blocks\.|down_blocks\.)/, 'a UNet alone'],
];

/** The first kind of which there is a key; undefined where no key tells. */
export const kindOfFile = (keys: Iterable<string>): string | undefined => {
  const all = [...keys];
  return kinds.find(([pattern]) => all.some((key) => pattern.test(key)))?.[1];
};
