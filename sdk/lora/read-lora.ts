/** LoRA files in any of their namings, to the layers of a base model. */
import { aLora, kindOfFile } from '../checkpoint/file-kinds';
import { NonFiniteWeightError, UnsupportedLoraError } from '../errors';
import { toFloat32 } from '../half';
import { float32, type Shape, sizeOf, type Tensor } from '../tensor';
import { type AdapterSettings, adapterSettings } from './adapter-settings';
import { layerResolver } from './kohya-names';
import { refuseOtherFamily } from './lora-family';
import { type LoraPart, otherAdapters, splitKey } from './lora-keys';
import type { LoraLayers, LoraMatrices } from './lora-layers';
import type { LoraModel } from './lora-model';
import { loraShapes } from './lora-weights';

/** Something with a shape whose values can be read. */
type Shaped = { readonly shape: Shape };

/** Where the parts of one layer stand in a file. */
type Parts<T> = Partial<Record<LoraPart, { readonly key: string; readonly tensor: T }>>;

/**
 * Reads a LoRA file in kohya's naming (a UNet in diffusers' names or the original code's), in diffusers' (today's and
 * that of attention processors) or PEFT's. `read` gives a tensor's values; nothing is read before keys and shapes are
 * found to fit `model`. `metadata` is the file's; diffusers may keep alpha there.
 * Throws LoraFamilyError for a file made for another line of base models, UnsupportedLoraError for another kind of
 * file (by name), for layers that the model does not have, and for matrices that are missing or do not fit,
 * NonFiniteWeightError for NaN.
 */
export function fromFile<T extends Shaped>(
  tensors: ReadonlyMap<string, T>,
  read: (tensor: T) => Tensor,
  model: LoraModel,
  metadata: Readonly<Record<string, string>> = {},
): LoraLayers {
  refuseOtherKinds([...tensors.keys()]);
  const { layers, unknown } = sortKeys(tensors, layerResolver(model));
  const misfits = [...layers].flatMap(([name, parts]) => misfit(name, parts, model.layers.get(name)!) ?? []);
  refuseOtherFamily(tensors, metadata, model, unknown.length === 0 && misfits.length === 0);
  if (unknown.length > 0) throw unknownKeys(unknown, tensors.size);
  if (misfits.length > 0) throw new UnsupportedLoraError(misfits[0]!);
  const settings = adapterSettings(metadata);
  return new Map(
    [...layers].map(([name, parts]) => [
      name,
      matricesOf(name, parts, read, settings, model.layers.get(name)!),
    ]),
  );
}

/** Reads a file of this package's own, whose names say where the dots are, so that no model is needed. */
export function fromOwnFile<T extends Shaped>(
  tensors: ReadonlyMap<string, T>,
  read: (tensor: T) => Tensor,
): LoraLayers {
  const { layers } = sortKeys(tensors, (path) => path);
  const settings = adapterSettings({});
  return new Map([...layers].map(([name, parts]) => [name, matricesOf(name, parts, read, settings)]));
}

function refuseOtherKinds(keys: readonly string[]): void {
  if (keys.length === 0) throw new UnsupportedLoraError('The LoRA file has no tensors.');
  for (const key of keys) {
    const kind = otherAdapters.find(([pattern]) => pattern.test(key))?.[1];
    if (kind !== undefined) {
      throw new UnsupportedLoraError(
        `This file is ${kind} (it holds ${key}), which is not supported; plain LoRA is. Train or export it as LoRA.`,
      );
    }
  }
  const kind = kindOfFile(keys);
  if (kind !== undefined && kind !== aLora) {
    throw new UnsupportedLoraError(
      `The file is ${kind}, not a LoRA (it holds ${keys[0]}). A LoRA has a pair of thin matrices for each layer, as lora_down and lora_up.`,
    );
  }
}

function sortKeys<T>(
  tensors: ReadonlyMap<string, T>,
  resolve: (path: string) => string | undefined,
): { readonly layers: ReadonlyMap<string, Parts<T>>; readonly unknown: readonly string[] } {
  const unknown: string[] = [];
  const layers = new Map<string, Parts<T>>();
  for (const [key, tensor] of tensors) {
    const [path, part] = splitKey(key) ?? [];
    const name = path === undefined ? undefined : resolve(path);
    if (name === undefined || part === undefined) {
      unknown.push(key);
      continue;
    }
    const parts = layers.get(name) ?? {};
    const other = parts[part]?.key;
    if (other !== undefined) {
      throw new UnsupportedLoraError(
        `The LoRA file has the ${part} of ${name} twice, as ${other} and as ${key}: two files were joined, or a conversion was left half done.`,
      );
    }
    layers.set(name, { ...parts, [part]: { key, tensor } });
  }
  return { layers, unknown };
}

function unknownKeys(unknown: readonly string[], count: number): UnsupportedLoraError {
  const some = unknown.slice(0, 3).join(', ');
  return new UnsupportedLoraError(
    `${unknown.length} of the ${count} keys of the LoRA file name no layer of this base model (${some}${unknown.length > 3 ? ', …' : ''}): it was made for another model, or is no LoRA.`,
  );
}

/** What is wrong with the matrices beside a weight of `shape`, if anything. */
function misfit(name: string, { down, up, alpha }: Parts<Shaped>, shape: Shape): string | undefined {
  if (down === undefined || up === undefined) {
    const { key } = (down ?? up ?? alpha)!;
    return `The LoRA of ${name} lacks its ${down === undefined ? 'down' : 'up'} matrix: the file has ${key} alone.`;
  }
  const rank = down.tensor.shape[0];
  if (rank === undefined || rank === 0 || rank !== up.tensor.shape[1]) {
    return `The LoRA of ${name} has matrices of [${down.tensor.shape}] (${down.key}) and [${up.tensor.shape}]: their ranks differ.`;
  }
  const wanted = loraShapes(shape, rank);
  for (const [part, { key, tensor }] of Object.entries({ down, up })) {
    const fitting = wanted[part as 'down' | 'up'];
    if (!sameBesideOnes(tensor.shape, fitting))
      return `${key} is [${tensor.shape}]; beside ${name} of this base model, [${shape}], it must be [${fitting}].`;
  }
  return undefined;
}

/** Kernels of one pixel are written as matrices by some, and the other way round. */
const sameBesideOnes = (a: Shape, b: Shape) =>
  a.slice(0, 2).join() === b.slice(0, 2).join() && trimmed(a).join() === trimmed(b).join();
const trimmed = (shape: Shape) => (shape.slice(2).every((size) => size === 1) ? shape.slice(0, 2) : shape);

function matricesOf<T extends Shaped>(
  name: string,
  parts: Parts<T>,
  read: (tensor: T) => Tensor,
  settings: AdapterSettings,
  shape?: Shape,
): LoraMatrices {
  const { down, up, alpha } = parts;
  if (down === undefined || up === undefined) throw new UnsupportedLoraError(misfit(name, parts, [])!);
  const values = ({ key, tensor }: { readonly key: string; readonly tensor: T }) => {
    const numbers = toFloat32(read(tensor));
    const at = numbers.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) {
      throw new NonFiniteWeightError(
        key,
        `${key} of the LoRA file holds ${numbers[at]}: the file is damaged, or its training diverged.`,
      );
    }
    return numbers;
  };
  const rank = down.tensor.shape[0]!;
  const shapes = shape === undefined ? undefined : loraShapes(shape, rank);
  return {
    down: float32(shapes?.down ?? down.tensor.shape, values(down)),
    up: float32(shapes?.up ?? up.tensor.shape, values(up)),
    alpha:
      alpha === undefined || sizeOf(alpha.tensor.shape) !== 1
        ? (settings.alphaOf(name) ?? rank)
        : values(alpha)[0]!,
  };
}
