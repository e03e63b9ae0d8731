/** Each network alone, at every size the file has. */
import type { Value } from '../../sdk/graph/graph';
import { decodeLatents, encodePicture } from '../../sdk/models/autoencoder-kl';
import { type BaseModel, type TextEncoderPart, weightsOf } from '../../sdk/models/base-model';
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
  /^(text2?\.(input_ids|(last|penultimate)_hidden_state|pooler_output|text_embeds)|vae\.(image|mean|logvar|latents|decoded)|unet\.(sample|output)(_\d+x\d+)?|unet\.(timestep|encoder_hidden_states|timestep_cond|text_embeds|time_ids))$/;

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
  yield* guarded('modules', function* () {
    const encoders = textNames.slice(0, checkpoint.base().textEncoders.length);
    const unknown = reference.keys.filter(
      (key) => !known.test(key) || (key.startsWith('text') && !encoders.includes(key.split('.')[0]!)),
    );
    if (unknown.length > 0) yield unsupported('modules', `not looked at: ${unknown.join(', ')}`);
  });
}

function* checkPrompts(base: BaseModel, reference: Reference): Findings {
  const prompts = reference.metadata('prompts') as readonly string[] | undefined;
  if (!prompts || !reference.has('text.input_ids')) {
    yield absent('tokenizer');
    return;
  }
  for (const [i, { tokenizer }] of base.textEncoders.entries()) {
    const key = `${textNames[i]!}.input_ids`;
    if (!reference.has(key)) continue;
    const ids = [...reference.numbers(key)];
    const length = ids.length / prompts.length;
    const ours = prompts.flatMap((prompt) => [...tokenizer.tokenize(prompt, length).ids]);
    yield same(key, ours.join() === ids.join(), `${prompts.length} prompts`);
  }
}

/** The references' names of the text encoders, in the order of the base's. */
const textNames = ['text', 'text2'];

async function* checkText(base: BaseModel, reference: Reference): AsyncGenerator<Finding> {
  if (!reference.has('text.input_ids')) yield absent('text');
  for (const [i, encoder] of base.textEncoders.entries()) {
    const name = textNames[i]!;
    if (reference.has(`${name}.input_ids`))
      yield* guarded(name, () => checkTextEncoder(base, encoder, name, reference));
  }
}

async function* checkTextEncoder(
  base: BaseModel,
  { name: component, config }: TextEncoderPart,
  name: string,
  reference: Reference,
): AsyncGenerator<Finding> {
  const ids = reference.tensor(`${name}.input_ids`) as Tensor<'int64'>;
  const tokens = ids.shape[1]!;
  const ends = new Float32Array(ids.data.length);
  for (const [row, position] of pooledPositions(ids.data, tokens, config).entries())
    ends[row * tokens + position] = 1;
  const results = await evaluate({ ids, ends: float32(ids.shape, ends) }, (inputs, graph) => {
    const output = clipText(weightsOf(base, component, graph), config, {
      inputIds: inputs.ids,
      endTokens: inputs.ends,
    });
    const outputs: Record<string, Value> = {
      last_hidden_state: output.finalNorm(output.hiddenStates.at(-1)!),
      penultimate_hidden_state: output.hiddenStates.at(-2)!,
      pooler_output: output.pooled(),
    };
    if (reference.has(`${name}.text_embeds`)) outputs['text_embeds'] = output.textEmbeds();
    return outputs;
  });
  for (const [output, tensor] of Object.entries(results)) {
    if (name === 'text' || reference.has(`${name}.${output}`))
      yield held(reference, `${name}.${output}`, numbersOf(tensor));
  }
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
