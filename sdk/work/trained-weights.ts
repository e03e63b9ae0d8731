/** What a training changed of a base model, as a subject keeps it: a LoRA in one file, or components in folders. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors, writeSafetensors } from '../checkpoint/safetensors';
import { weightsFile } from '../checkpoint/write-folder';
import { float32ToHalf } from '../half';
import { loraTargets } from '../lora/lora';
import type { LoraLayers, LoraMatrices } from '../lora/lora-layers';
import { toDiffusers } from '../lora/write-lora';
import { type BaseModel, type ComponentName, type ModelPart, tensorsOf } from '../models/base-model';
import type { EmbeddingRows } from '../subjects/embedding-file';
import { writeEmbedding } from '../subjects/embedding-subject';
import { makeFolder } from '../subjects/home';
import { type DataType, float32, sizeOf, type Tensor } from '../tensor';
import type { TrainingSettings } from '../training/presets';
import type { TrainedWeights } from '../training/train-dreambooth';

/** What the trained weights will take in a subject's folder. */
export function trainedBytes(
  base: BaseModel,
  { kind, rank, targetModules, trainTextEncoder, vectors }: TrainingSettings,
): number {
  const components = ['unet', ...(trainTextEncoder ? base.family.textEncoders : [])] as const;
  const sum = (sizes: readonly number[]) => sizes.reduce((all, size) => all + size, 0);
  if (kind === 'embedding')
    return 4 * vectors * sum(base.textEncoders.map(({ config }) => config.hiddenSize));
  return sum(
    components.map((component) => {
      const tensors = tensorsOf(base, component);
      if (kind === 'full')
        return sum(
          [...tensors.values()].map(({ dtype, shape }) => sizeOf(shape) * (dtype === 'float16' ? 2 : 4)),
        );
      const targets = loraTargets(tensors, targetModules, rank);
      return 4 * sum(targets.map(({ down, up }) => sizeOf(down) + sizeOf(up)));
    }),
  );
}

/** The LoRA of all components; empty where none was trained as one. */
export function trainedLora({ parameters, trained }: TrainedWeights, alpha: number): LoraLayers {
  const layers = new Map<string, LoraMatrices>();
  for (const [component, how] of Object.entries(trained)) {
    if (how.kind !== 'lora') continue;
    for (const { path, down, up } of how.targets) {
      const name = `${component}.${path}`;
      layers.set(name, {
        down: float32(down, parameters.get(`${name}.down`)!),
        up: float32(up, parameters.get(`${name}.up`)!),
        alpha,
      });
    }
  }
  return layers;
}

/** The vectors for each text encoder; empty where no embedding was trained. */
export function trainedEmbedding({ parameters, trained }: TrainedWeights): EmbeddingRows {
  return Object.fromEntries(
    Object.entries(trained).flatMap(([component, how]) => {
      if (how.kind !== 'embedding') return [];
      const values = parameters.get(`${component}.addedTokens`)!;
      return [[component, float32([how.vectors, values.length / how.vectors], values)]];
    }),
  );
}

/** A LoRA or an embedding as one file, a LoRA in diffusers' naming; a fully trained component as a folder of its own, in the base's precision. */
export function writeTrainedWeights(
  folder: string,
  weights: TrainedWeights,
  base: BaseModel,
  alpha: number,
): void {
  makeFolder(folder);
  for (const [name, how] of Object.entries(weights.trained)) {
    if (how.kind !== 'full') continue;
    const component = name as ComponentName;
    const tensors = [...tensorsOf(base, component)].flatMap(([key, { dtype, shape }]) => {
      const values = weights.parameters.get(`${component}.${key}`);
      return values ? [[key, toDtype(float32(shape, values), dtype)] as const] : [];
    });
    makeFolder(join(folder, component));
    writeSafetensors(join(folder, component, weightsFile(component)), tensors, { format: 'pt' });
  }
  const rows = trainedEmbedding(weights);
  if (Object.keys(rows).length > 0) writeEmbedding(folder, rows);
  const layers = trainedLora(weights, alpha);
  if (layers.size > 0)
    writeSafetensors(join(folder, 'lora.safetensors'), toDiffusers(layers, 'float32'), { format: 'pt' });
}

/** The base with the components that `folder` has in place of its own. */
export function withTrained(base: BaseModel, folder: string): BaseModel {
  const part = <Part extends ModelPart<unknown>>(name: ComponentName, own: Part): Part => {
    const file = join(folder, name, weightsFile(name));
    if (!existsSync(file)) return own;
    return { ...own, tensors: new Map([...own.tensors, ...openSafetensors(file).tensors]) };
  };
  return {
    ...base,
    unet: part('unet', base.unet),
    textEncoders: base.textEncoders.map((encoder) => part(encoder.name, encoder)),
  };
}

const toDtype = (tensor: Tensor<'float32'>, dtype: DataType): Tensor =>
  dtype === 'float16' ? { dtype, shape: tensor.shape, data: float32ToHalf(tensor.data) } : tensor;
