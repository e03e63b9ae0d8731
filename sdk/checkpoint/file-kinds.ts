/** What `.safetensors` files of other kinds are, by their keys: said to who takes one for another. */

export const aLora = 'a LoRA';
export const aBaseModel = 'a base model';

const kinds: readonly (readonly [key: RegExp, what: string])[] = [
  [
    /lora_(up|down|A|B)\.|[._]lora(_linear_layer)?\.(up|down)\.|\.(hada_w|lokr_w|oft_blocks|oft_diag|dora_scale)/,
    aLora,
  ],
  [
    /^(model\.diffusion_model\.)?joint_blocks\.|^transformer_blocks\.\d+\.attn\.add_k_proj\./,
    'a Stable Diffusion 3 checkpoint',
  ],
  [/^(model\.diffusion_model\.)?(double_blocks|single_transformer_blocks)\./, 'a FLUX checkpoint'],
  [
    /(clf\.1\.|clip_txt(_pooled)?_mapper\.|effnet_mapper\.|^down_blocks\.\d+\.\d+\.(channelwise|depthwise))/,
    'a Stable Cascade checkpoint',
  ],
  [/motion_modules?\./, 'an AnimateDiff motion module'],
  [/\.(time_stack|temporal_transformer_blocks|time_mixer)\./, 'a video model'],
  [
    /^(model\.diffusion_model\.)?(x_embedder|patch_embedding|adaln_single|cap_embedder|img_in|context_embedder)\./,
    'a diffusion transformer (such as PixArt, Hunyuan, Lumina or Wan)',
  ],
  [/^conditioner\.embedders\.0\.model\./, 'a Stable Diffusion XL refiner'],
  [/^(control_model\.|input_hint_block\.|controlnet_cond_embedding\.)/, 'a ControlNet'],
  [/^(ip_adapter|image_proj)\./, 'an IP-Adapter'],
  [/^(adapter\.)?body\.\d+\.(resnets|block1|in_conv)\./, 'a T2I-Adapter'],
  [
    /^(model\.\d+\.sub\.|(body|trunk)\.\d+\.rdb1\.|RRDB_trunk\.|conv_first\.)/i,
    'an upscaler of finished pictures (ESRGAN)',
  ],
  [/^(emb_params|clip_l|clip_g)$/, 'a textual-inversion embedding'],
  [/^(cond_stage_model|conditioner)\./, aBaseModel],
  [/^(first_stage_model\.)?(encoder|decoder)\.(conv_in|mid)/, 'an autoencoder alone'],
  [/^(taesd_)?(encoder|decoder)\.(layers\.)?\d+\./, 'a tiny autoencoder (TAESD)'],
  [/^(text_model|transformer\.resblocks|encoder\.layers\.\d+\.self_attn)\b/, 'a text encoder alone'],
  [/^(vision_model|visual)\./, 'an image encoder'],
  [/^(encoder\.block|shared)\./, 'a T5 text encoder'],
  [/^(model\.diffusion_model\.|input_blocks\.|down_blocks\.|conv_in\.)/, 'a UNet alone'],
];

/** The first kind of which there is a key; undefined where no key tells. */
export const kindOfFile = (keys: Iterable<string>): string | undefined => {
  const all = [...keys];
  return kinds.find(([pattern]) => all.some((key) => pattern.test(key)))?.[1];
};
