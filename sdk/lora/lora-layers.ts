/** A LoRA as this package holds it, whatever its file's naming was. */
import type { Tensor } from '../tensor';

/** The LoRA of one layer: ΔW = (alpha / rank) · up · down. */
export interface LoraMatrices {
  /** A: `[rank, in]`, or `[rank, in, kernel, kernel]` for a convolution. */
  readonly down: Tensor<'float32'>;
  /** B: `[out, rank]`, or `[out, rank, 1, 1]`. */
  readonly up: Tensor<'float32'>;
  readonly alpha: number;
}

/**
 * A LoRA by the names of the layers it attaches to: component and module path as diffusers has them, such as
 * `unet.mid_block.attentions.0.proj_in` or `text_encoder.text_model.encoder.layers.0.mlp.fc1`.
 */
export type LoraLayers = ReadonlyMap<string, LoraMatrices>;

/** The components of a model whose layers a LoRA file can name. */
export const loraComponents = ['unet', 'text_encoder', 'text_encoder_2'] as const;
export type LoraComponent = (typeof loraComponents)[number];

/** The component that a layer lies in, and its path there. */
export function splitLayer(name: string): readonly [component: LoraComponent, path: string] {
  const component = loraComponents.find((candidate) => name.startsWith(`${candidate}.`));
  if (component === undefined) {
    throw new RangeError(
      `A LoRA layer's name starts with ${loraComponents.join('., ')}., not ${JSON.stringify(name)}.`,
    );
  }
  return [component, name.slice(component.length + 1)];
}
