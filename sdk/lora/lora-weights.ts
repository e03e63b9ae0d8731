/** LoRA as inputs of a graph: any rank, several of them mixed into one. */
import type { Graph } from '../graph/graph';
import type { Feeds } from '../graph/session';
import { float32, type Shape, type StoredTensor, sizeOf, type Tensor } from '../tensor';
import type { LoraValues } from './lora';
import type { LoraLayers } from './lora-layers';

/** A LoRA and how strongly it is put on: 1 as trained. */
export interface WeightedLora {
  readonly layers: LoraLayers;
  readonly weight: number;
}

/** LoRA inputs of a graph for the layers at `paths`: any rank may be fed, so one loaded graph serves every subject. */
export function loraInputs(
  graph: Graph,
  component: string,
  paths: Iterable<string>,
  tensors: ReadonlyMap<string, StoredTensor>,
): Map<string, LoraValues> {
  const inputs = new Map<string, LoraValues>();
  for (const path of paths) {
    const { down, up } = loraShapes(tensors.get(`${path}.weight`)!.shape, 1);
    const rank = `${component}.${path}.rank`;
    inputs.set(path, {
      down: graph.input(`${component}.${path}.down`, 'float32', down, { 0: rank }),
      up: graph.input(`${component}.${path}.up`, 'float32', up, { 1: rank }),
      scale: 1,
    });
  }
  return inputs;
}

/** Shapes of the two matrices beside a weight of `shape`. */
export function loraShapes(shape: Shape, rank: number): { down: Shape; up: Shape } {
  const [out, ...rest] = shape as [number, ...number[]];
  return { down: [rank, ...rest], up: [out, rank, ...rest.slice(1).map(() => 1)] };
}

/**
 * What to feed for `paths`: the sum of `loras`, each with its weight. Sums of products stack: downs below one
 * another, ups beside one another with alpha / rank and the weight multiplied in. Zeros where a layer has none.
 */
export function loraFeeds(
  component: string,
  paths: Iterable<string>,
  tensors: ReadonlyMap<string, StoredTensor>,
  loras: readonly WeightedLora[],
): Feeds {
  const feeds: Record<string, Tensor> = {};
  for (const path of paths) {
    const present = loras.flatMap(({ layers, weight }) => {
      const layer = layers.get(`${component}.${path}`);
      return layer ? [{ layer, weight }] : [];
    });
    const rank = present.reduce((sum, { layer }) => sum + layer.down.shape[0]!, 0) || 1;
    const shapes = loraShapes(tensors.get(`${path}.weight`)!.shape, rank);
    const down = new Float32Array(sizeOf(shapes.down));
    const up = new Float32Array(sizeOf(shapes.up));
    let row = 0;
    for (const { layer, weight } of present) {
      const own = layer.down.shape[0]!;
      down.set(layer.down.data, (row * down.length) / rank);
      const scale = (weight * layer.alpha) / own;
      for (let i = 0; i < up.length / rank; i++) {
        for (let r = 0; r < own; r++) up[i * rank + row + r] = scale * layer.up.data[i * own + r]!;
      }
      row += own;
    }
    feeds[`${component}.${path}.down`] = float32(shapes.down, down);
    feeds[`${component}.${path}.up`] = float32(shapes.up, up);
  }
  return feeds;
}
