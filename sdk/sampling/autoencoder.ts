/** The autoencoder's two halves, loaded: pictures to the distribution of their latents, latents to pictures. */
import { Graph } from '../graph/graph';
import type { CreateSession } from '../graph/session';
import { decodeLatents, encodePicture } from '../models/autoencoder-kl';
import { type BaseModel, weightsOf } from '../models/base-model';
import { unscaleLatents } from '../models/latents';
import { float32 } from '../tensor';

export interface Encoder {
  /** One picture [3, H, W] in [−1, 1] to mean and log variance of its unscaled latents, [channels, h, w] each. */
  encode(picture: Float32Array): Promise<{ mean: Float32Array; logvar: Float32Array }>;
  release(): Promise<void>;
}

export interface Decoder {
  /** Latents as the UNet sees them, [channels, h, w], to a picture [3, H, W] in about [−1, 1]. */
  decode(latents: Float32Array): Promise<Float32Array>;
  release(): Promise<void>;
}

/** For pictures of `height` × `width` pixels. */
export async function createEncoder(
  base: BaseModel,
  height: number,
  width: number,
  createSession: CreateSession,
): Promise<Encoder> {
  const graph = new Graph();
  const shape = [1, base.vae.config.pictureChannels, height, width];
  const picture = graph.input('picture', 'float32', shape);
  const session = await createSession(encodePicture(weightsOf(base, 'vae', graph), base.vae.config, picture));
  return {
    async encode(pixels) {
      const { mean, logvar } = await session.run({ picture: float32(shape, pixels) });
      return { mean: mean.data as Float32Array, logvar: logvar.data as Float32Array };
    },
    release: () => session.release(),
  };
}

/** For latents of `size`, height and width. */
export async function createDecoder(
  base: BaseModel,
  [height, width]: readonly [number, number],
  createSession: CreateSession,
): Promise<Decoder> {
  const graph = new Graph();
  const shape = [1, base.vae.config.latentChannels, height, width];
  const latents = graph.input('latents', 'float32', shape);
  const session = await createSession({
    picture: decodeLatents(weightsOf(base, 'vae', graph), base.vae.config, latents),
  });
  return {
    async decode(scaled) {
      const unscaled = unscaleLatents(base.vae.config, scaled, height * width);
      return (await session.run({ latents: float32(shape, unscaled) })).picture.data as Float32Array;
    },
    release: () => session.release(),
  };
}
