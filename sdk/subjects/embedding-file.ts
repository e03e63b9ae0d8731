/**
 * Textual-inversion embeddings (Gal et al. 2022) in files. AUTOMATIC1111's web UI and ComfyUI read `emb_params`
 * [vectors, width], of Stable Diffusion XL `clip_l` and `clip_g`; diffusers reads a tensor under the token itself, and
 * of XL a file for each text encoder.
 */
import { UnsupportedEmbeddingError } from '../errors';
import { toFloat32 } from '../half';
import type { BaseModel } from '../models/base-model';
import { float32, type Tensor } from '../tensor';

/** Vectors [n, width] for each text encoder of a base, by its name: as many for one as for another. */
export type EmbeddingRows = Readonly<Record<string, Tensor<'float32'>>>;

type Tensors = ReadonlyMap<string, Tensor>;

const single = 'emb_params';
/** The web UI's names of XL's text encoders, in their order. */
const pair = ['clip_l', 'clip_g'] as const;

/** Which published line has text encoders of these widths. */
const lines: ReadonlyMap<string, string> = new Map([
  ['768', 'Stable Diffusion 1'],
  ['1024', 'Stable Diffusion 2'],
  ['768 + 1280', 'Stable Diffusion XL'],
]);

/** Whether a file of these tensors holds an embedding in one of the forms above. */
export function isEmbedding(tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): boolean {
  const keys = [...tensors.keys()];
  if (keys.some((key) => key === single || pair.some((one) => one === key))) return true;
  return keys.length === 1 && !/lora|hada|lokr/i.test(keys[0]!) && tensors.get(keys[0]!)!.shape.length <= 2;
}

/**
 * The vectors in a web UI's file, in diffusers' one, or in diffusers' two of XL, for the base model.
 * Throws UnsupportedEmbeddingError where they do not fit it, naming the widths and whose they are.
 */
export function readEmbedding(files: readonly Tensors[], base: BaseModel): EmbeddingRows {
  const found = files.flatMap((tensors) => {
    const keys = tensors.has(pair[0]) || tensors.has(pair[1]) ? pair : [...tensors.keys()];
    return keys.map((key) => {
      const tensor = tensors.get(key);
      if (!tensor)
        throw new UnsupportedEmbeddingError(
          `The embedding has no ${key}, which goes with ${[...tensors.keys()].join(', ')}.`,
        );
      if (tensor.shape.length === 0 || tensor.shape.length > 2 || tensor.data.length === 0)
        throw new UnsupportedEmbeddingError(
          `"${key}" is [${tensor.shape}]: an embedding is one vector, or a row for each of several.`,
        );
      const width = tensor.shape.at(-1)!;
      const values = toFloat32(tensor);
      const broken = values.findIndex((value) => !Number.isFinite(value));
      if (broken >= 0)
        throw new UnsupportedEmbeddingError(
          `"${key}" holds ${values[broken]} at ${broken}: the embedding is damaged or its training diverged.`,
        );
      return float32([values.length / width, width], values);
    });
  });
  const wanted = base.textEncoders.map(({ config }) => config.hiddenSize);
  const widths = found.map(({ shape }) => shape[1]!);
  if (widths.join() !== wanted.join()) throw otherWidths(widths, wanted, base);
  const counts = found.map(({ shape }) => shape[0]!);
  if (counts.some((count) => count !== counts[0]))
    throw new UnsupportedEmbeddingError(
      `The embedding has ${counts.join(' and ')} vectors for the text encoders of one base: it needs as many for each.`,
    );
  return Object.fromEntries(base.textEncoders.map(({ name }, i) => [name, found[i]!]));
}

function otherWidths(widths: readonly number[], wanted: readonly number[], base: BaseModel) {
  const said = (sizes: readonly number[]) => sizes.join(' + ');
  const line = lines.get(said(widths));
  const half =
    wanted.length === 2 && widths.length === 1
      ? ' In diffusers’ form one for this base is two files: name the folder that holds learned_embeds.safetensors and learned_embeds_2.safetensors.'
      : '';
  return new UnsupportedEmbeddingError(
    `The embedding has vectors of ${said(widths)} numbers${line === undefined ? '' : `, as ${line} takes them`}; ` +
      `${base.directory} (${base.family.title}) takes ${said(wanted)}. Name the base that it was made for, or take the one made for this base.${half}`,
  );
}

/** As the web UI and ComfyUI read it; its file's name is then the word for it in prompts. */
export function toWebUi(rows: EmbeddingRows): ReadonlyMap<string, Tensor> {
  const each = Object.values(rows);
  return new Map(each.map((tensor, i) => [each.length === 1 ? single : pair[i]!, tensor]));
}

/** As diffusers' `load_textual_inversion` reads it: a file for each text encoder, with their usual names. */
export function toDiffusersFiles(
  rows: EmbeddingRows,
  token: string,
): ReadonlyMap<string, ReadonlyMap<string, Tensor>> {
  return new Map(Object.values(rows).map((tensor, i) => [diffusersFiles[i]!, new Map([[token, tensor]])]));
}

/** What diffusers' textual-inversion scripts write, the second of XL alone. */
export const diffusersFiles = ['learned_embeds.safetensors', 'learned_embeds_2.safetensors'] as const;
