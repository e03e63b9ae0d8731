/** Each network alone, at every size the file has. */
import type { Value } from '../../sdk/graph/graph';
import { decodeLatents, encodePicture } from '../../sdk/models/autoencoder-kl';
import { type BaseModel, weightsOf } from '../../sdk/models/base-model';
import { clipText, pooledPositions } from '../../sdk/models/clip-text';
import { unet } from '../../sdk/models/unet';
import { float32, type Tensor } from '../../sdk/tensor';
import { type Checkpoint, evaluate, numbersOf, rowsOf } from './checkpoint';
import type { Reference } from './reference';
import {
  absent,
  compare,
  type Finding,
  type Findings,
  guarded,
  same,
  tolerances,
  unsupported,
} from './report';

const file = 'modules.safetensors';

/** The tensors that the checks below read. */
const known =
  /^(text\.(input_ids|(last|penultimate)_hidden_state|pooler_output)|vae\.(image|mean|logvar|latents|decoded)|unet\.(sample|output)(_\d+x\d+)?|unet\.(timestep|encoder_hidden_states|timestep_cond|text_embeds|time_ids))$/;

export async function* checkModules(checkpoint: Checkpoint): AsyncGenerator<Finding> {
  if (!checkpoint.files.includes(file)) {
    yield absent('modules');
    return;
  }
  const reference = checkpoint.open(file);
  const parts = {
    tokenizer: checkPrompts,
    text: checkText,
    'vae.encode': checkEncoder,
    'vae.decode': checkDecoder,
    unet: checkUNet,
  };
  for (const [name, part] of Object.entries(parts))
    yield* guarded(name, () => part(checkpoint.base(), reference));
  const unknown = reference.keys.filter((key) => !known.test(key));
  if (unknown.length > 0) yield unsupported('modules', `not looked at: ${unknown.join(', ')}`);
}

function* checkPrompts(base: BaseModel, reference: Reference): Findings {
  const prompts = reference.metadata('prompts') as readonly string[] | undefined;
  if (!prompts || !reference.has('text.input_ids')) {
    yield absent('tokenizer');
    return;
  }
  const ids = [...reference.numbers('text.input_ids')];
  const length = ids.length / prompts.length;
  const ours = prompts.flatMap((prompt) => [...base.tokenizer.tokenize(prompt, length).ids]);
  yield same('text.input_ids', ours.join() === ids.join(), `${prompts.length} prompts`);
}

async function* checkText(base: BaseModel, reference: Reference): AsyncGenerator<Finding> {
  if (!reference.has('text.input_ids')) {
    yield absent('text');
    return;
  }
  const ids = reference.tensor('text.input_ids') as Tensor<'int64'>;
  const config = base.text_encoder.config;
  const { last, penultimate } = await evaluate({ ids }, (inputs, graph) => {
    const output = clipText(weightsOf(base, 'text_encoder', graph), config, inputs.ids);
    return { last: output.lastHiddenState, penultimate: output.hiddenStates.at(-2)! };
  });
  const tokens = ids.shape[1]!;
  const positions = pooledPositions(ids.data, tokens, config);
  const pooled = positions.flatMap((position, row) => [
    ...numbersOf(last)
      .subarray((row * tokens + position) * config.hiddenSize)
      .subarray(0, config.hiddenSize),
  ]);
  yield held(reference, 'text.last_hidden_state', numbersOf(last));
  yield held(reference, 'text.penultimate_hidden_state', numbersOf(penultimate));
  yield held(reference, 'text.pooler_output', pooled);
}

async function* checkEncoder(base: BaseModel, reference: Reference): AsyncGenerator<Finding> {
  if (!reference.has('vae.image')) {
    yield absent('vae.mean');
    return;
  }
  const { mean, logvar } = await evaluate({ image: reference.tensor('vae.image') }, ({ image }, graph) =>
    encodePicture(weightsOf(base, 'vae', graph), base.vae.config, image),
  );
  yield held(reference, 'vae.mean', numbersOf(mean));
  yield held(reference, 'vae.logvar', numbersOf(logvar));
}

async function* checkDecoder(base: BaseModel, reference: Reference): AsyncGenerator<Finding> {
  if (!reference.has('vae.latents')) {
    yield absent('vae.decoded');
    return;
  }
  const { picture } = await evaluate({ latents: reference.tensor('vae.latents') }, ({ latents }, graph) => ({
    picture: decodeLatents(weightsOf(base, 'vae', graph), base.vae.config, latents),
  }));
  yield held(reference, 'vae.decoded', numbersOf(picture));
}

async function* checkUNet(base: BaseModel, reference: Reference): AsyncGenerator<Finding> {
  const samples = reference.keys.filter((key) => /^unet\.sample(_|$)/.test(key)).sort();
  if (samples.length === 0) yield absent('unet.output');
  for (const key of samples) {
    const size = key.slice('unet.sample'.length);
    yield* guarded(`unet.output${size}`, async function* () {
      const ours = await runUNet(base, reference, size);
      yield held(reference, `unet.output${size}`, ours);
    });
  }
}

async function runUNet(base: BaseModel, reference: Reference, size: string): Promise<Float32Array> {
  const sample = reference.tensor(`unet.sample${size}`);
  const batch = sample.shape[0]!;
  // A picture of its own size comes alone: with the second timestep and the first text of the main batch.
  const alone = size !== '' && batch === 1;
  const batched = (tensor: Tensor, aloneAt: number) =>
    tensor.shape[0] === batch
      ? tensor
      : rowsOf(tensor, alone ? Math.min(aloneAt, tensor.shape[0]! - 1) : 0, batch);
  const timesteps = reference.numbers('unet.timestep');
  const feeds: Record<string, Tensor> = {
    sample,
    timesteps: batched(float32([timesteps.length], timesteps), 1),
    textEmbeddings: batched(reference.tensor('unet.encoder_hidden_states'), 0),
  };
  const further = {
    timestepCond: 'unet.timestep_cond',
    textEmbeds: 'unet.text_embeds',
    timeIds: 'unet.time_ids',
  };
  for (const [name, key] of Object.entries(further)) {
    if (reference.has(key)) feeds[name] = batched(reference.tensor(key), 0);
  }
  const { output } = await evaluate(feeds, (inputs: Readonly<Record<string, Value>>, graph) => ({
    output: unet(weightsOf(base, 'unet', graph), base.unet.config, {
      sample: inputs['sample']!,
      timesteps: inputs['timesteps']!,
      textEmbeddings: inputs['textEmbeddings']!,
      ...(inputs['timestepCond'] ? { timestepCond: inputs['timestepCond'] } : {}),
      ...(inputs['textEmbeds'] && inputs['timeIds']
        ? { added: { textEmbeds: inputs['textEmbeds'], timeIds: inputs['timeIds'] } }
        : {}),
    }),
  }));
  return numbersOf(output);
}

const held = (reference: Reference, key: string, ours: ArrayLike<number>): Finding =>
  reference.has(key) ? compare(key, ours, reference.numbers(key), tolerances.modules) : absent(key);
