/** What folders are that hold no base model, in words: said to who takes one for a base. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DreamBoothError, MissingFileError, UnsupportedModelError } from '../errors';
import { readJsonFile } from './json-file';

/** diffusers' pipelines of other kinds, by how their classes are called. */
const pipelines: readonly (readonly [pipelineClass: RegExp, what: string])[] = [
  [/^Flux/, 'FLUX'],
  [/^StableDiffusion3/, 'Stable Diffusion 3'],
  [/Cascade|Wuerstchen/, 'Stable Cascade'],
  [/^Kandinsky/, 'Kandinsky'],
  [/^IF/, 'DeepFloyd IF, which works on pixels'],
  [/Video|AnimateDiff|^Wan|^LTX|^Mochi/, 'a model of videos'],
  [/ControlNet|Adapter/, 'a base model with further networks beside it: give the base model'],
  [/Upscale|SuperResolution/, 'an upscaler of finished pictures'],
  [/InstructPix2Pix/, 'a model that edits by instruction'],
  [/PixArt|Hunyuan|Lumina|AuraFlow|Sana|Qwen|ZImage|HiDream|Chroma|Cog|Bria/, 'a diffusion transformer'],
];

/** `, FLUX,` and the like after the name of a pipeline class; empty for one of which nothing is known. */
export function inWords(pipelineClass: string): string {
  const what = pipelines.find(([pattern]) => pattern.test(pipelineClass))?.[1];
  return what === undefined ? '' : ` (${what})`;
}

/** Networks by the class in their config.json. */
const networks: readonly (readonly [className: RegExp, what: string])[] = [
  [/^Autoencoder/, 'an autoencoder alone'],
  [/^UNet/, 'a UNet alone'],
  [/^ControlNet/, 'a ControlNet'],
  [/Adapter/, 'an adapter network'],
  [/^CLIPText|^T5/, 'a text encoder alone'],
  [/^CLIPVision|Safety/, 'an image encoder'],
  [/Transformer/, 'a diffusion transformer alone'],
];

/** The error for a folder without model_index.json. `whatABaseIs` ends it. */
export function notAPipeline(folder: string, whatABaseIs: string): DreamBoothError {
  const names = readdirSync(folder);
  const lora = names.find((name) => /^(adapter_config\.json|pytorch_lora_weights\.safetensors)$/.test(name));
  if (lora !== undefined)
    return new UnsupportedModelError(
      `${folder} holds a LoRA (${lora}), not a base model. Bring it in with: dreambooth subjects import. ${whatABaseIs}.`,
    );
  const config = existsSync(join(folder, 'config.json'))
    ? readJsonFile(join(folder, 'config.json'), 'the configuration of a network')
    : {};
  const className = config['_class_name'] ?? [config['architectures']].flat()[0];
  if (typeof className === 'string') {
    const what = networks.find(([pattern]) => pattern.test(className))?.[1] ?? 'one network alone';
    return new UnsupportedModelError(
      `${folder} is ${what} (${className}), not a base model. ${whatABaseIs}.`,
    );
  }
  const files = names.filter((name) => name.endsWith('.safetensors'));
  const perhaps =
    files.length > 0 ? ` If one of its files is a whole checkpoint, give that: ${files.join(', ')}.` : '';
  return new MissingFileError(
    join(folder, 'model_index.json'),
    `There is no file ${join(folder, 'model_index.json')}: every diffusers folder has one.${perhaps} ${whatABaseIs}.`,
  );
}
