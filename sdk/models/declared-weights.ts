/** Every weight that a component's config asks for: what its file must hold. Found by building the network, without a file. */
import { type DeclaredWeight, declaredWeights } from '../nn/initial-weights';
import { decodeLatents, encodePicture, readAutoencoderConfig } from './autoencoder-kl';
import type { ComponentName } from './base-model';
import { clipText, readClipTextConfig } from './clip-text';
import type { ModelConfig } from './config';
import { unet } from './unet';
import { readUNetConfig } from './unet-config';

/** Keys and shapes in the order of use. Throws UnsupportedConfigError for a config that cannot be built. */
export function weightsDeclaredBy(component: ComponentName, config: ModelConfig): DeclaredWeight[] {
  if (component === 'unet') return ofUNet(config);
  return component === 'vae' ? ofAutoencoder(config) : ofTextEncoder(config);
}

function ofUNet(config: ModelConfig): DeclaredWeight[] {
  const read = readUNetConfig(config);
  const side = 2 ** (read.down.length - 1);
  return declaredWeights((w, graph) => {
    const input = (name: string, shape: readonly number[]) => graph.input(`fed.${name}`, 'float32', shape);
    unet(w, read, {
      sample: input('sample', [1, read.inChannels, side, side]),
      timesteps: input('timesteps', [1]),
      textEmbeddings: input('textEmbeddings', [1, 1, read.crossAttentionDim]),
      ...(read.timeCondDim === undefined
        ? {}
        : { timestepCond: input('timestepCond', [1, read.timeCondDim]) }),
      ...(read.addition
        ? {
            added: {
              textEmbeds: input('textEmbeds', [1, read.addition.input - 6 * read.addition.features]),
              timeIds: input('timeIds', [1, 6]),
            },
          }
        : {}),
    });
  });
}

function ofAutoencoder(config: ModelConfig): DeclaredWeight[] {
  const read = readAutoencoderConfig(config);
  return declaredWeights((w, graph) => {
    const picture = [1, read.pictureChannels, read.factor, read.factor];
    encodePicture(w, read, graph.input('fed.picture', 'float32', picture));
    decodeLatents(w, read, graph.input('fed.latents', 'float32', [1, read.latentChannels, 1, 1]));
  });
}

function ofTextEncoder(config: ModelConfig): DeclaredWeight[] {
  const read = readClipTextConfig(config);
  const projects = `${config['architectures']}`.includes('WithProjection');
  return declaredWeights((w, graph) => {
    const inputIds = graph.input('fed.inputIds', 'int64', [1, read.positions]);
    const endTokens = graph.input('fed.endTokens', 'float32', [1, read.positions]);
    const { finalNorm, hiddenStates, textEmbeds } = clipText(w, read, { inputIds, endTokens });
    finalNorm(hiddenStates.at(-1)!);
    if (projects) textEmbeds();
  });
}
