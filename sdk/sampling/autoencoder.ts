/** The autoencoder's two halves, loaded: pictures to the distribution of their latents, latents to pictures. */
import { Graph, type Value } from '../graph/graph';
import type { CreateSession } from '../graph/session';
import { type AutoencoderConfig, decodeLatents, encodePicture } from '../models/autoencoder-kl';
import { type BaseModel, weightsOf } from '../models/base-model';
import { type LatentDistribution, unscaleLatents } from '../models/latents';
import { float32, type Shape } from '../tensor';
import { cutPlanes, joinTiles, type Planes, type Tiling, tileStarts, tilingOf } from './tiles';

export interface Encoder {
  /** One picture [3, H, W] in [−1, 1] to the distribution of its latents. */
  encode(picture: Float32Array): Promise<LatentDistribution>;
  release(): Promise<void>;
}

export interface Decoder {
  /** Latents as the UNet sees them, [channels, h, w], to a picture [3, H, W] in about [−1, 1]. */
  decode(latents: Float32Array): Promise<Float32Array>;
  release(): Promise<void>;
}

/** For pictures of `height` × `width` pixels; `tiled`: in tiles of the size that the autoencoder was made for. */
export async function createEncoder(
  base: BaseModel,
  height: number,
  width: number,
  createSession: CreateSession,
  tiled = false,
): Promise<Encoder> {
  const { config } = base.vae;
  const network = await createNetwork(
    config.pictureChannels,
    [height, width],
    (picture) => encodePicture(weightsOf(base, 'vae', picture.graph), config, picture),
    createSession,
    tiled ? tilingOf(config.sampleSize, latentSide(config)) : undefined,
  );
  return {
    async encode(picture) {
      const moments = await network.run(picture);
      const half = moments.length / 2;
      return { mean: moments.subarray(0, half), logvar: moments.subarray(half) };
    },
    release: network.release,
  };
}

/** For latents of `size`, height and width; `tiled` as for `createEncoder`. */
export async function createDecoder(
  base: BaseModel,
  [height, width]: readonly [number, number],
  createSession: CreateSession,
  tiled = false,
): Promise<Decoder> {
  const { config } = base.vae;
  const network = await createNetwork(
    config.latentChannels,
    [height, width],
    (latents) => ({ picture: decodeLatents(weightsOf(base, 'vae', latents.graph), config, latents) }),
    createSession,
    tiled ? tilingOf(latentSide(config), config.sampleSize) : undefined,
  );
  return {
    decode: (latents) => network.run(unscaleLatents(config, latents, height * width)),
    release: network.release,
  };
}

/** A tile's side in latents. */
const latentSide = ({ sampleSize, factor }: AutoencoderConfig) => Math.trunc(sampleSize / factor);

interface Network<Result> {
  run(planes: Float32Array): Promise<Result>;
  release(): Promise<void>;
}

type Outputs = (input: Value) => Readonly<Record<string, Value>>;

/** A network on planes [channels, ...size] whose outputs come one after another, in tiles where `tiling` cuts it up. */
async function createNetwork(
  channels: number,
  size: readonly [number, number],
  outputsOf: Outputs,
  createSession: CreateSession,
  tiling: Tiling | undefined,
): Promise<Network<Float32Array>> {
  const [height, width] = size;
  const { side } = tiling ?? { side: Infinity };
  const load = (part: readonly [number, number]) =>
    loadPlanes([1, channels, ...part], outputsOf, createSession);
  const first = await load([Math.min(side, height), Math.min(side, width)]);
  const { release } = first;
  if (!tiling || Math.max(height, width) <= side) {
    return { run: async (planes) => (await first.run(planes)).data, release };
  }

  const bySize = new Map<string, Tile[]>();
  for (const [row, top] of tileStarts(tiling, height).entries()) {
    for (const [column, left] of tileStarts(tiling, width).entries()) {
      const tile: Tile = {
        row,
        column,
        top,
        left,
        size: [Math.min(side, height - top), Math.min(side, width - left)],
      };
      const key = tile.size.join();
      bySize.set(key, [...(bySize.get(key) ?? []), tile]);
    }
  }
  const [whole, ...edges] = bySize.values();
  return {
    async run(data) {
      const planes = { channels, height, width, data };
      const results = tileStarts(tiling, height).map((): Planes[] => []);
      const runAll = async (network: Network<Planes>, tiles: readonly Tile[]) => {
        for (const { row, column, top, left } of tiles) {
          results[row]![column] = await network.run(cutPlanes(planes, top, left, side).data);
        }
      };
      await runAll(first, whole!);
      // Those at the edges are smaller and few. Each network has the weights once more, in the layout that
      // convolutions want, so these are not kept.
      for (const tiles of edges) {
        const network = await load(tiles[0]!.size);
        try {
          await runAll(network, tiles);
        } finally {
          await network.release();
        }
      }
      return joinTiles(results, tiling).data;
    },
    release,
  };
}

interface Tile {
  readonly row: number;
  readonly column: number;
  readonly top: number;
  readonly left: number;
  readonly size: readonly [number, number];
}

async function loadPlanes(
  shape: Shape,
  outputsOf: Outputs,
  createSession: CreateSession,
): Promise<Network<Planes>> {
  const session = await createSession(outputsOf(new Graph().input('planes', 'float32', shape)));
  return {
    async run(planes) {
      const parts = Object.values(await session.run({ planes: float32(shape, planes) }));
      const [, , height, width] = parts[0]!.shape as [number, number, number, number];
      const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
      let at = 0;
      for (const part of parts) {
        data.set(part.data as Float32Array, at);
        at += part.data.length;
      }
      return { channels: data.length / height / width, height, width, data };
    },
    release: () => session.release(),
  };
}
