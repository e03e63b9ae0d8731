/** A file of a training run: the batches, and the names of its parameters in ours. */
import { canonicalKeys } from '../../sdk/checkpoint/key-spellings';
import { UnsupportedConfigError } from '../../sdk/errors';
import { Graph } from '../../sdk/graph/graph';
import type { Feeds, Session } from '../../sdk/graph/session';
import type { LoraTarget } from '../../sdk/lora/lora';
import { encodePicture } from '../../sdk/models/autoencoder-kl';
import type { BaseModel, ComponentName } from '../../sdk/models/base-model';
import { weightsOf } from '../../sdk/models/base-model';
import { scaleLatents } from '../../sdk/models/latents';
import { tokenFeeds } from '../../sdk/models/text-condition';
import { createSession } from '../../sdk/runtime/session';
import type { NoiseSchedule } from '../../sdk/schedulers/noise-schedule';
import { float32, type Tensor } from '../../sdk/tensor';
import { snrWeight, targetOf, trainingNoises } from '../../sdk/training/diffusion-target';
import { offsetNoise } from '../../sdk/training/dreambooth-batch';
import { latentMask } from '../../sdk/work/photo-masks';
import { numbersOf } from './checkpoint';
import type { Reference } from './reference';
import type { ScriptSettings } from './script-arguments';

/** How the file calls the trained components. */
const components: Readonly<Record<string, ComponentName>> = {
  unet: 'unet',
  text: 'text_encoder',
  text2: 'text_encoder_2',
};

/** `<set>/unet/<path>.lora_A.default.weight` and the like by our parameter names, with the file's keys. */
export function parametersIn(
  reference: Reference,
  set: 'init' | 'final' | 'grad0' | 'ema',
): Map<string, string> {
  const found = new Map<string, string>();
  for (const key of reference.keys.filter((one) => one.startsWith(`${set}/`))) {
    const [, part, ...rest] = key.split('/');
    const component = components[part!];
    if (!component) throw new UnsupportedConfigError('training', part!, 'trained', Object.keys(components));
    const [, path, matrix] = /^(.*)\.lora_([AB])(?:\.\w+)?\.weight$/.exec(rest.join('/')) ?? [];
    const own = path ? `${path}.${matrix === 'A' ? 'down' : 'up'}` : rest.join('/');
    const canonical =
      component === 'unet' || own === 'addedTokens'
        ? own
        : [...canonicalKeys('CLIPTextModel', new Map([[own, 0]])).keys()][0];
    if (canonical) found.set(`${component}.${canonical}`, key);
  }
  return found;
}

/** The layers with a LoRA, from the first values in the file. */
export function targetsIn(reference: Reference, component: ComponentName): LoraTarget[] {
  const parameters = parametersIn(reference, 'init');
  return [...parameters].flatMap(([name, key]) => {
    if (!name.startsWith(`${component}.`) || !name.endsWith('.down')) return [];
    const path = name.slice(component.length + 1, -'.down'.length);
    return [
      { path, down: reference.shape(key), up: reference.shape(parameters.get(`${component}.${path}.up`)!) },
    ];
  });
}

/** Reads one batch after the other as the training graph takes it, filled up to `batch` rows that weigh nothing. */
export function createBatches(reference: Reference, base: BaseModel, settings: ScriptSettings) {
  const schedule = trainingNoises(base.schedulerConfig, settings.zeroTerminalSnr);
  const encoder = createEncoder(base);
  const steps = [...new Set(reference.keys.flatMap((key) => /^(step\d+)\//.exec(key)?.[1] ?? []))].sort();
  const rowsOf = (step: string) => reference.shape(`${step}/pixel_values`)[0]!;
  const batch = Math.max(...steps.map(rowsOf));
  return {
    steps,
    batch,
    release: encoder.release,
    tokens: reference.shape(
      `${steps[0]}/${settings.trainTextEncoder ? 'text.input_ids' : 'encoder_hidden_states'}`,
    )[1]!,
    size: reference.shape(`${steps[0]}/noise`).slice(2) as [number, number],
    async read(step: string): Promise<Feeds> {
      const at = (name: string) => `${step}/${name}`;
      const rows = rowsOf(step);
      const noise = reference.numbers(at('noise')).slice();
      // A file without offsets of their own has them in its noise.
      if (reference.has(at('offset')))
        offsetNoise(noise, reference.numbers(at('offset')), settings.noiseOffset);
      const timesteps = reference.numbers(at('timesteps'));
      const latents = await encoder.encode(
        reference.tensor(at('pixel_values')),
        reference.numbers(at('vae_noise')),
      );
      const byRow = (
        make: (latents: Float32Array, noise: Float32Array, timestep: number) => Float32Array,
      ) => {
        const size = latents.length / rows;
        const made = Array.from({ length: rows }, (_, i) =>
          make(latents.slice(i * size, (i + 1) * size), noise.slice(i * size, (i + 1) * size), timesteps[i]!),
        );
        return float32(reference.shape(at('noise')), Float32Array.from(made.flatMap((row) => [...row])));
      };
      const told: Record<string, Tensor> = {};
      if (settings.trainTextEncoder) {
        const ids = base.textEncoders.map((_, i) =>
          reference.tensor(at(`text${i === 0 ? '' : '2'}.input_ids`)),
        );
        const texts = Array.from({ length: ids[0]!.shape[0]! }, (_, row) =>
          ids.map(({ data, shape }) =>
            Int32Array.from(data.slice(row * shape[1]!, (row + 1) * shape[1]!) as BigInt64Array, Number),
          ),
        );
        Object.assign(told, tokenFeeds(base, texts));
      } else {
        told['textEmbeddings'] = reference.tensor(at('encoder_hidden_states'));
        if (base.family.addsSizes) told['pooledEmbeddings'] = reference.tensor(at('added.text_embeds'));
      }
      if (base.family.addsSizes) told['timeIds'] = reference.tensor(at('added.time_ids'));
      const feeds: Record<string, Tensor> = {
        sample: byRow(schedule.addNoise),
        target: byRow((x, n, t) => targetOf(schedule, x, n, t)),
        timesteps: float32([rows], timesteps),
        ...told,
        ...(settings.masks ? { lossMask: lossMasks(reference, at('mask'), settings, base) } : {}),
      };
      const filled = Object.entries(feeds).map(([name, tensor]) => [name, withRows(tensor, rows, batch)]);
      const weights = lossWeights(schedule, settings, timesteps, batch);
      return { ...Object.fromEntries(filled), lossWeights: float32([batch], weights) };
    },
  };
}

/** Pictures of weights from 0 to 1, [rows, 1, H, W], to those of the latents. */
function lossMasks(
  reference: Reference,
  key: string,
  { unmaskedWeight }: ScriptSettings,
  base: BaseModel,
): Tensor {
  const { factor } = base.vae.config;
  const [rows, , height, width] = reference.shape(key) as [number, number, number, number];
  const pixels = height * width;
  const masks = Array.from({ length: rows }, (_, row) => {
    const data = Uint8Array.from(
      { length: pixels * 3 },
      (_, i) => reference.numbers(key)[row * pixels + Math.floor(i / 3)]! * 255,
    );
    return latentMask({ width, height, data }, factor, unmaskedWeight);
  });
  const shape = [rows, 1, height / factor, width / factor];
  return float32(shape, Float32Array.from(masks.flatMap((mask) => [...mask])));
}

/**
 * Instance rows first, a 1/B each, then as many class rows, λ/B each (Ruiz et al. 2023, eq. 2). Min-SNR
 * weighs the instance rows only.
 */
function lossWeights(
  schedule: NoiseSchedule,
  settings: ScriptSettings,
  timesteps: ArrayLike<number>,
  batch: number,
): number[] {
  const instances = settings.priorPreservation ? timesteps.length / 2 : timesteps.length;
  return Array.from({ length: batch }, (_, i) => {
    if (i >= timesteps.length) return 0;
    if (i >= instances) return settings.priorLossWeight / instances;
    return snrWeight(schedule, timesteps[i]!, settings.snrGamma) / instances;
  });
}

/** Draws from the distribution of pictures' latents, scaled as the UNet sees them. */
function createEncoder(base: BaseModel) {
  const config = base.vae.config;
  const sessions = new Map<string, Promise<Session<'mean' | 'logvar'>>>();
  const sessionFor = ({ shape }: Tensor) => {
    const known = sessions.get(shape.join());
    if (known) return known;
    const graph = new Graph();
    const picture = graph.input('picture', 'float32', shape);
    const session = createSession(encodePicture(weightsOf(base, 'vae', graph), config, picture));
    sessions.set(shape.join(), session);
    return session;
  };
  return {
    async encode(picture: Tensor, noise: Float32Array): Promise<Float32Array> {
      const { mean, logvar } = await (await sessionFor(picture)).run({ picture });
      const logVariances = numbersOf(logvar);
      const drawn = numbersOf(mean).map(
        (value, i) => value + Math.exp(0.5 * Math.min(20, Math.max(-30, logVariances[i]!))) * noise[i]!,
      );
      return scaleLatents(config, drawn, mean.shape[2]! * mean.shape[3]!);
    },
    async release() {
      for (const session of sessions.values()) await (await session).release();
    },
  };
}

/** One row stands for all; missing ones at the end are copies of the first, which weigh nothing. */
function withRows(tensor: Tensor, rows: number, batch: number): Tensor {
  const own = tensor.shape[0]!;
  if (own !== rows && own !== 1) throw new Error(`${own} rows of text for ${rows} pictures`);
  if (own === batch) return tensor;
  const size = tensor.data.length / own;
  const data = new (tensor.data.constructor as Float32ArrayConstructor)(batch * size);
  for (let row = 0; row < batch; row++) {
    const from = row < own ? row : 0;
    data.set((tensor.data as Float32Array).subarray(from * size, (from + 1) * size), row * size);
  }
  return { ...tensor, shape: [batch, ...tensor.shape.slice(1)], data } as Tensor;
}

/**
 * After which batches weights are updated: after every so many, unless the file says otherwise, by a yes or no for
 * each batch or by the updates made so far. Its number of learning rates is the number of updates.
 */
export function updatesIn(reference: Reference, batches: number, accumulation: number): boolean[] {
  const given = reference.metadata('optimizer_step_after') as readonly (boolean | number)[] | undefined;
  if (given === undefined) return Array.from({ length: batches }, (_, i) => (i + 1) % accumulation === 0);
  const flags = given.map(Boolean);
  const wanted = (reference.metadata('learning_rates') as readonly unknown[]).length;
  if (flags.filter(Boolean).length === wanted) return flags;
  return given.map((made, i) => Number(made) > Number(given[i - 1] ?? 0));
}
