/** LoRA in the namings that other programs read. */
import { InvalidOptionError } from '../errors';
import { float32ToHalf } from '../half';
import { float32, type Tensor } from '../tensor';
import type { LayerNaming } from './kohya-names';
import { type LoraLayers, splitLayer } from './lora-layers';

/** Element types that LoRA files are written in. */
export const loraDataTypes = ['float16', 'float32'] as const;
export type LoraDataType = (typeof loraDataTypes)[number];

/**
 * The tensors of a kohya file, which every program that knows LoRA reads, layers named by `naming` (see
 * `kohyaNaming`). `alpha` is a scalar beside each pair. Throws InvalidOptionError for values beyond `dtype`.
 */
export function toKohya(layers: LoraLayers, naming: LayerNaming, dtype: LoraDataType): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  // diffusers (0.42) loses alphas that differ between layers: where they do, one stands for all and the rest is in `up`.
  const common = [...layers.values()][0]?.alpha || 1;
  for (const [name, { down, up, alpha }] of layers) {
    const flat = naming(name);
    tensors.set(`${flat}.alpha`, withType(float32([], [common]), dtype));
    tensors.set(`${flat}.lora_down.weight`, withType(down, dtype));
    tensors.set(`${flat}.lora_up.weight`, withType(scaled(up, alpha / common), dtype));
  }
  return tensors;
}

const scaled = (up: Tensor<'float32'>, by: number): Tensor<'float32'> =>
  by === 1
    ? up
    : float32(
        up.shape,
        up.data.map((value) => value * by),
      );

/**
 * The tensors of a diffusers file (`pytorch_lora_weights.safetensors`). This naming has no alpha and readers take
 * it to be the rank, so where it differs `up` is multiplied by alpha / rank. Throws InvalidOptionError as `toKohya`.
 */
export function toDiffusers(layers: LoraLayers, dtype: LoraDataType): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [name, { down, up, alpha }] of layers) {
    const suffix = splitLayer(name)[0] === 'unet' ? 'lora' : 'lora_linear_layer';
    tensors.set(`${name}.${suffix}.down.weight`, withType(down, dtype));
    tensors.set(`${name}.${suffix}.up.weight`, withType(scaled(up, alpha / down.shape[0]!), dtype));
  }
  return tensors;
}

const largestHalf = 65_504;

function withType(tensor: Tensor<'float32'>, dtype: LoraDataType): Tensor {
  if (dtype === 'float32') return tensor;
  if (tensor.data.some((value) => Math.abs(value) > largestHalf)) {
    throw new InvalidOptionError(
      'dtype',
      `This LoRA has values beyond ${largestHalf}, the largest of float16: export it in float32.`,
    );
  }
  return { dtype, shape: tensor.shape, data: float32ToHalf(tensor.data) };
}
