/** Which line of base models a LoRA file was made for, from its keys, its shapes and what it says of itself. */
import { LoraFamilyError } from '../errors';
import type { Shape } from '../tensor';
import { splitKey } from './lora-keys';
import type { LoraModel } from './lora-model';

type Shapes = ReadonlyMap<string, { readonly shape: Shape }>;
type Metadata = Readonly<Record<string, string>>;

interface Evidence {
  readonly family: string;
  readonly because: string;
}

export const sd1 = 'Stable Diffusion 1';
export const sd2 = 'Stable Diffusion 2';
const either = 'Stable Diffusion 1 or 2';
export const xl = 'Stable Diffusion XL';

/** Keys that one line alone has. */
const signs: readonly (readonly [key: RegExp, family: string])[] = [
  [/single_(transformer_)?blocks|double_blocks/, 'FLUX'],
  [/joint_blocks/, 'Stable Diffusion 3'],
  [/^lora_prior_unet_/, 'Stable Cascade'],
  [/^(transformer|diffusion_model)\.|^lora_(transformer_|unet_(blocks|layers)_)/, 'a diffusion transformer'],
  [/^lora_te[12]_|^text_encoder_2\./, xl],
  [/transformer_blocks[._][1-9]/, xl],
  // XL attends in the innermost blocks and not in the outermost; 1 and 2 the other way round.
  [/up_blocks[._]0[._]attentions|output_blocks[._][0-2][._]1[._](transformer|proj)/, xl],
  [/down_blocks[._]0[._]attentions|up_blocks[._][23][._]attentions|input_blocks[._][12][._]1[._]/, either],
];

/** Features of the text that the UNet attends to. */
const textWidths: ReadonlyMap<number, string> = new Map([
  [768, sd1],
  [1024, sd2],
  [2048, xl],
]);

/** What trainers write of the base, in `ss_base_model_version` or `modelspec.architecture`. */
const claims: readonly (readonly [value: RegExp, family: string])[] = [
  [/^(sd_?v?1|stable-diffusion-v1)/i, sd1],
  [/^(sd_?v?2|stable-diffusion-v2)/i, sd2],
  [/^(sdxl|stable-diffusion-xl)/i, xl],
  [/^(sd_?3|stable-diffusion-3)/i, 'Stable Diffusion 3'],
  [/^flux/i, 'FLUX'],
];

/** The line that a base model belongs to, by its structure. */
export function familyOfModel({ layers, hasSecondTextEncoder }: LoraModel): string {
  if (hasSecondTextEncoder) return xl;
  const projection = [...layers].find(([name]) => name.startsWith('unet.') && name.endsWith('.proj_in'));
  return projection?.[1].length === 2 ? sd2 : sd1;
}

/** By the keys of the file alone, then by the width of its text features. Undefined where neither tells. */
export function familyOfLora(file: Shapes): string | undefined {
  return (signOf(file) ?? widthEvidence(file))?.family;
}

/**
 * Throws LoraFamilyError, with both families, for a file of another line than the model's. `fits`: every layer of
 * the file is one of the model's, with its shape; then only what the file says of itself can speak against it.
 */
export function refuseOtherFamily(file: Shapes, metadata: Metadata, model: LoraModel, fits: boolean): void {
  const own = familyOfModel(model);
  const ownWidth = textWidthOf(layerShapes(model));
  const found = [...(fits ? [] : [signOf(file), widthEvidence(file, ownWidth)]), claimOf(metadata)].find(
    (evidence) =>
      evidence !== undefined && evidence.family !== own && !(evidence.family === either && own !== xl),
  );
  if (found === undefined) return;
  const width = ownWidth === undefined ? '' : ` (its text features are ${ownWidth} wide)`;
  throw new LoraFamilyError(found.family, own, `${found.because}; this base model is ${own}${width}`);
}

function signOf(file: Shapes): Evidence | undefined {
  for (const [pattern, family] of signs) {
    const key = [...file.keys()].find((one) => pattern.test(one));
    if (key !== undefined) return { family, because: `it holds ${key}` };
  }
  return undefined;
}

/** A width that is nobody's in particular still tells where it differs from the model's. */
function widthEvidence(file: Shapes, ownWidth?: number): Evidence | undefined {
  const width = textWidthOf(file);
  if (width === undefined || width === ownWidth) return undefined;
  const family = textWidths.get(width) ?? (ownWidth && `a model whose text features are ${width} wide`);
  return family ? { family, because: `its text features are ${width} wide` } : undefined;
}

/** Columns of what multiplies the text in cross-attention: of a LoRA its down matrix, of a model the weight. */
function textWidthOf(shapes: Shapes): number | undefined {
  for (const [key, { shape }] of shapes) {
    const [path, part] = splitKey(key) ?? [];
    if (part === 'down' && /attn2[._]to_[kv]$/.test(path!)) return shape[1];
  }
  return undefined;
}

const layerShapes = ({ layers }: LoraModel): Shapes =>
  new Map([...layers].map(([name, shape]) => [`${name}.lora_A.weight`, { shape }]));

function claimOf(metadata: Metadata): Evidence | undefined {
  for (const name of ['ss_base_model_version', 'modelspec.architecture']) {
    const value = metadata[name];
    const family = value && claims.find(([pattern]) => pattern.test(value))?.[1];
    if (family) return { family, because: `its ${name} is ${value}` };
  }
  return undefined;
}
