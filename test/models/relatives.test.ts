/** Networks of other configs than the published lines have, against what diffusers computes (make-relatives.py). */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { canonicalKeys } from '../../sdk/checkpoint/key-spellings';
import { openSafetensors, readTensor } from '../../sdk/checkpoint/safetensors';
import type { Graph, Value } from '../../sdk/graph/graph';
import { decodeLatents, encodePicture, readAutoencoderConfig } from '../../sdk/models/autoencoder-kl';
import { clipText, pooledPositions, readClipTextConfig } from '../../sdk/models/clip-text';
import type { ModelConfig } from '../../sdk/models/config';
import { weightsDeclaredBy } from '../../sdk/models/declared-weights';
import { unet } from '../../sdk/models/unet';
import { readUNetConfig } from '../../sdk/models/unet-config';
import { checkpointWeights, type Weights } from '../../sdk/nn/weights';
import { float32, type Tensor } from '../../sdk/tensor';
import { evaluate, numbersOf } from '../parity/checkpoint';
import { relativeError } from '../schedulers/reference-run';

const folder = mkdtempSync(join(tmpdir(), 'relatives-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'relatives.safetensors');
const packed = join(import.meta.dirname, '../../fixtures/golden/relatives.safetensors.br');
writeFileSync(file, brotliDecompressSync(readFileSync(packed)));
const { tensors, metadata } = openSafetensors(file);
const configs = JSON.parse(metadata['configs']!) as Record<string, ModelConfig>;

type Component = 'unet' | 'vae' | 'text_encoder';
type Outputs = Readonly<Record<string, Value>>;

function weightsOf(name: string, component: Component) {
  const prefix = `${name}/weight/`;
  const own = [...tensors].flatMap(([key, tensor]) =>
    key.startsWith(prefix) ? [[key.slice(prefix.length), tensor] as const] : [],
  );
  return component === 'text_encoder' ? canonicalKeys('CLIPTextModel', new Map(own)) : new Map(own);
}

/** The weights are those that the config asks for, no more; the outputs those of the file. */
async function check(
  name: string,
  component: Component,
  feeds: Readonly<Record<string, Tensor>>,
  build: (w: Weights, inputs: Readonly<Record<string, Value>>) => Outputs,
) {
  const weights = weightsOf(name, component);
  const declared = weightsDeclaredBy(component, configs[name]!).map(({ key }) => key);
  expect(declared.sort()).toEqual([...weights.keys()].sort());
  const root = (graph: Graph) => checkpointWeights(graph, { component, tensors: weights });
  const results = await evaluate(feeds, (inputs, graph) => build(root(graph), inputs));
  for (const [key, ours] of Object.entries(results))
    expect(
      relativeError(numbersOf(ours), numbersOf(readTensor(tensors.get(`${name}/${key}`)!))),
      key,
    ).toBeLessThan(1e-5);
}

const tensorOf = (name: string, key: string) => readTensor(tensors.get(`${name}/${key}`)!);
const named = (className: string) =>
  Object.keys(configs).filter((name) => classOf(configs[name]!) === className);
const classOf = (config: ModelConfig) =>
  'vocab_size' in config ? 'text' : 'latent_channels' in config ? 'autoencoder' : 'unet';

describe('UNets', () => {
  test.each(named('unet'))('%s', async (name) => {
    const config = readUNetConfig(configs[name]!);
    const feeds: Record<string, Tensor> = {
      sample: tensorOf(name, 'sample'),
      timesteps: tensorOf(name, 'timestep'),
      textEmbeddings: tensorOf(name, 'encoder_hidden_states'),
    };
    if (config.timeCondDim !== undefined) feeds['timestepCond'] = tensorOf(name, 'timestep_cond');
    if (config.addition) {
      feeds['textEmbeds'] = tensorOf(name, 'text_embeds');
      feeds['timeIds'] = tensorOf(name, 'time_ids');
    }
    await check(name, 'unet', feeds, (w, inputs) => {
      const { sample, timesteps, textEmbeddings, timestepCond, textEmbeds, timeIds } = inputs;
      return {
        output: unet(w, config, {
          sample: sample!,
          timesteps: timesteps!,
          textEmbeddings: textEmbeddings!,
          ...(timestepCond ? { timestepCond } : {}),
          ...(textEmbeds && timeIds ? { added: { textEmbeds, timeIds } } : {}),
        }),
      };
    });
  });
});

describe('autoencoders', () => {
  test.each(named('autoencoder'))('%s', async (name) => {
    const config = readAutoencoderConfig(configs[name]!);
    const feeds = { image: tensorOf(name, 'image'), latents: tensorOf(name, 'latents') };
    await check(name, 'vae', feeds, (w, { image, latents }) => ({
      ...encodePicture(w, config, image!),
      decoded: decodeLatents(w, config, latents!),
    }));
  });
});

describe('text encoders', () => {
  test.each(named('text'))('%s', async (name) => {
    const config = readClipTextConfig(configs[name]!);
    const ids = tensorOf(name, 'input_ids') as Tensor<'int64'>;
    const tokens = ids.shape[1]!;
    const ends = new Float32Array(ids.data.length);
    for (const [row, at] of pooledPositions(ids.data, tokens, config).entries()) ends[row * tokens + at] = 1;
    await check(name, 'text_encoder', { ids, ends: float32(ids.shape, ends) }, (w, inputs) => {
      const out = clipText(w, config, { inputIds: inputs['ids']!, endTokens: inputs['ends']! });
      return {
        last_hidden_state: out.finalNorm(out.hiddenStates.at(-1)!),
        penultimate_hidden_state: out.hiddenStates.at(-2)!,
        text_embeds: out.textEmbeds(),
      };
    });
  });
});
