/** What prompts come to: skipped layers, more tokens than one chunk, embeddings; from a pipeline's own noise to its latents. */
import type { BaseModel } from '../../sdk/models/base-model';
import { tokenizeChunks } from '../../sdk/models/text-condition';
import { createSession } from '../../sdk/runtime/session';
import { denoise } from '../../sdk/sampling/denoise';
import { createDenoiser } from '../../sdk/sampling/denoiser';
import { createTextEncoder, type TokenEmbedding } from '../../sdk/sampling/text-encoder';
import { schedulerFromConfig } from '../../sdk/schedulers/index';
import type { SchedulerConfig } from '../../sdk/schedulers/scheduler-config';
import type { Tensor } from '../../sdk/tensor';
import { type Checkpoint, numbersOf } from './checkpoint';
import type { Reference } from './reference';
import { absent, compare, type Finding, type Findings, guarded, tolerances } from './report';

const file = 'prompts.safetensors';

interface Run {
  readonly prompt: string;
  readonly negative_prompt: string | null;
  readonly clip_skip?: number;
  readonly embeddings?: readonly string[];
}

export async function* checkPrompts(checkpoint: Checkpoint): AsyncGenerator<Finding> {
  if (!checkpoint.files.includes(file)) {
    yield absent('prompts');
    return;
  }
  const reference = checkpoint.open(file);
  const runs = reference.metadata('runs') as Readonly<Record<string, Run>>;
  for (const [name, run] of Object.entries(runs)) {
    yield* guarded(`prompts ${name}`, () => checkRun(name, run, checkpoint.base(), reference));
  }
}

async function* checkRun(name: string, run: Run, base: BaseModel, reference: Reference): Findings {
  const embeddings = (run.embeddings ?? []).map((token) => embeddingIn(reference, base, token));
  const chunksOf = (text: string | null) => (text === null ? null : tokenizeChunks(base, text, embeddings));
  const [prompt, negative] = [chunksOf(run.prompt), chunksOf(run.negative_prompt)];
  const chunks = Math.max(prompt!.length, negative?.length ?? 1);

  const shape = { loraPaths: [], clipSkip: run.clip_skip ?? 0 };
  const textEncoder = await createTextEncoder(base, shape, createSession);
  const [prompts, negativePrompts] = [
    await textEncoder.encode([prompt], { embeddings, chunks }),
    await textEncoder.encode([negative], { embeddings, chunks, negative: true }),
  ];
  await textEncoder.release();
  const held = {
    prompt_embeds: prompts[0]!.textEmbeddings,
    negative_prompt_embeds: negativePrompts[0]!.textEmbeddings,
    pooled_prompt_embeds: prompts[0]!.pooledEmbeddings,
    negative_pooled_prompt_embeds: negativePrompts[0]!.pooledEmbeddings,
  };
  for (const [what, ours] of Object.entries(held)) {
    const key = `${name}/${what}`;
    if (ours && reference.has(key))
      yield compare(`prompts ${key}`, ours, reference.numbers(key), tolerances.modules);
  }

  const latents = reference.tensor('latents');
  const size = latents.shape.slice(2) as [number, number];
  const denoiser = await createDenoiser(base, { pictures: 1, size, guided: true, chunks }, [], createSession);
  const predict = denoiser.under({
    prompts,
    negativePrompts,
    guidanceScale: reference.metadata('guidance_scale') as number,
    loras: [],
  });
  const scheduler = schedulerFromConfig(
    reference.metadata('scheduler') as SchedulerConfig,
    reference.metadata('steps') as number,
  );
  const drawNoise = () => {
    throw new Error('a sampler that draws has no place here');
  };
  const ours = await denoise({ scheduler, noise: numbersOf(latents), drawNoise, predict });
  await denoiser.release();
  const key = `${name}/latents`;
  yield compare(`prompts ${key}`, ours, reference.numbers(key), tolerances.latents);
}

function embeddingIn(reference: Reference, base: BaseModel, token: string): TokenEmbedding {
  const rows = base.textEncoders.map(
    ({ name }) => [name, reference.tensor(`embedding/${token}/${name}`) as Tensor<'float32'>] as const,
  );
  return { token, vectors: rows[0]![1].shape[0]!, rows: Object.fromEntries(rows) };
}
