/** The tensors of a checkpoint under the keys of single files: the way back from what single-file.ts reads. */
import { type ArrayOf, sizeOf } from '../tensor';
import type { DiffusersFolder } from './diffusers-folder';
import type { JsonObject } from './json-file';
import { ldmAutoencoderModules, ldmUNetModules, renamer } from './ldm-keys';
import { toOpenClip } from './open-clip';
import type { TensorInTheMaking } from './safetensors';

export type ComponentTensors = ReadonlyMap<string, ReadonlyMap<string, TensorInTheMaking>>;
export type SingleFileLine = 'sd1' | 'sd2' | 'sdxl';

/** Which line's keys a checkpoint takes: two text encoders are XL's, one of OpenCLIP's is 2's. */
export function singleFileLine({ components }: Pick<DiffusersFolder, 'components'>): SingleFileLine {
  if (components.has('text_encoder_2')) return 'sdxl';
  return components.get('text_encoder')?.config['hidden_act'] === 'gelu' ? 'sd2' : 'sd1';
}

/** `tensors`: by component and key, to be written in place of the checkpoint's own. */
export function singleFileTensors(
  checkpoint: DiffusersFolder,
  tensors: ComponentTensors,
): Map<string, TensorInTheMaking> {
  const file = new Map<string, TensorInTheMaking>();
  const put = (
    prefix: string,
    entries: Iterable<readonly [string, TensorInTheMaking]>,
    rename: (key: string) => string = (key) => key,
  ) => {
    for (const [key, tensor] of entries) file.set(prefix + rename(key), tensor);
  };
  const config = (component: string): JsonObject => checkpoint.components.get(component)!.config;
  const line = singleFileLine(checkpoint);
  put('model.diffusion_model.', tensors.get('unet')!, renamer(ldmUNetModules(config('unet')), 'ldm'));
  put(
    'first_stage_model.',
    [...tensors.get('vae')!].map(([key, tensor]) => [key, asKernel(key, tensor)]),
    renamer(ldmAutoencoderModules(config('vae')), 'ldm'),
  );
  const first = tensors.get('text_encoder')!;
  if (line === 'sd2') put('cond_stage_model.model.', toOpenClip(first));
  if (line === 'sd1') put('cond_stage_model.transformer.', withPositions(first));
  if (line === 'sdxl') {
    put('conditioner.embedders.0.transformer.', withPositions(first));
    put('conditioner.embedders.1.model.', toOpenClip(tensors.get('text_encoder_2')!));
  }
  return file;
}

/** The original code's autoencoder has kernels of one pixel where diffusers has matrices. */
function asKernel(key: string, tensor: TensorInTheMaking): TensorInTheMaking {
  const isMatrix = /\.attentions\.\d+\.to_\w+(\.0)?\.weight$/.test(key) && tensor.shape.length === 2;
  return isMatrix ? { ...tensor, shape: [...tensor.shape, 1, 1] } : tensor;
}

/** Old readers want the numbers of the positions, which every published file carries. */
function withPositions(tensors: ReadonlyMap<string, TensorInTheMaking>): Map<string, TensorInTheMaking> {
  const positions = tensors.get('text_model.embeddings.position_embedding.weight')!.shape[0]!;
  const shape = [1, positions];
  const make = (): ArrayOf['int64'] => BigInt64Array.from({ length: sizeOf(shape) }, (_, i) => BigInt(i));
  return new Map([...tensors, ['text_model.embeddings.position_ids', { dtype: 'int64', shape, make }]]);
}
