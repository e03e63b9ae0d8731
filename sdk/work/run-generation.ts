/** A generation, in the engine: base and subjects loaded, one picture a seed. */
import { join } from 'node:path';
import { openSafetensors, readTensor } from '../checkpoint/safetensors';
import { WrongBaseError } from '../errors';
import { fromPlanes } from '../images/pixel-planes';
import { encodePng } from '../images/png';
import type { LoraLayers } from '../lora/lora-layers';
import { loraModel } from '../lora/lora-model';
import type { WeightedLora } from '../lora/lora-weights';
import { fromFile } from '../lora/read-lora';
import { type BaseModel, tensorsOf } from '../models/base-model';
import { type PromptTokens, tokenizePrompt } from '../models/text-condition';
import type { SchedulerName } from '../schedulers/index';
import type { SettingValue, Subject } from '../subjects/subjects';
import { latentSize, loadPipeline, openBase } from './loaded-base';
import { withTrained } from './trained-weights';
import type { WorkContext } from './work-context';

/** Pictures to make, as the engine gets them. */
export interface GenerationRequest {
  /** As typed. */
  readonly prompt: string;
  /** For the text encoder: mentions are replaced. */
  readonly text: string;
  readonly negativePrompt: string;
  /** Whose weights to put on the base, with the weight of each; at most one of kind `full`, then alone. */
  readonly subjects: readonly { readonly subject: Subject; readonly weight: number }[];
  /** The checkpoint: a folder or a `.safetensors` file, by absolute path. */
  readonly basePath: string;
  /** One picture for each, which depends on nothing but its own seed. */
  readonly seeds: readonly number[];
  /** null: the base's usual. */
  readonly steps: number | null;
  readonly guidanceScale: number | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly scheduler: SchedulerName;
}

/** A picture as it leaves the engine. */
export interface GeneratedPicture {
  /** A PNG file's bytes, what made it in its texts. */
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  /** As typed. */
  readonly prompt: string;
  /** In effect, defaults written out. */
  readonly settings: Readonly<Record<string, SettingValue>>;
}

/**
 * Makes one picture a seed, in their order. Throws WrongBaseError when a subject's `base.fingerprint` is not the
 * base's, InvalidOptionError for a size that the base cannot make.
 */
export type RunGeneration = (
  request: GenerationRequest,
  context: WorkContext,
) => Promise<readonly GeneratedPicture[]>;

export const runGeneration: RunGeneration = async (request, context) => {
  const { signal, onProgress } = context;
  onProgress({ phase: 'load', step: 0, steps: 1 });
  const opened = openBase(request.basePath);
  for (const { subject } of request.subjects) {
    if (subject.base.fingerprint !== opened.fingerprint) {
      throw new WrongBaseError(
        subject.name,
        `@${subject.name} was learned on another base model (${subject.base.path}) than ${request.basePath}: pass that one with --base, or learn the subject again.`,
      );
    }
  }
  const full = request.subjects.find(({ subject }) => subject.kind === 'full')?.subject;
  const base = full ? withTrained(opened.base, full.folder) : opened.base;
  const loras = request.subjects.flatMap(({ subject, weight }): WeightedLora[] =>
    subject.kind === 'lora' ? [{ layers: readLora(subject, base), weight }] : [],
  );
  const side = base.unet.config.sampleSize * base.vae.config.factor;
  const [width, height] = [request.width ?? side, request.height ?? side];
  const guidanceScale = request.guidanceScale ?? opened.defaults.guidanceScale;
  const steps = request.steps ?? opened.defaults.steps;
  const prompt = tokenize(base, request.text, context);
  // One picture at a time: each is then the same alone as among others.
  const pipeline = await loadPipeline(context, { ...opened, base }, full?.id ?? '', {
    pictures: 1,
    size: latentSize(base, { width, height }),
    guided: guidanceScale > 1,
    loraPaths: [...new Set(loras.flatMap(({ layers }) => [...layers.keys()]))].sort(),
  });
  onProgress({ phase: 'load', step: 1, steps: 1 });

  const settings = {
    steps,
    guidanceScale,
    width,
    height,
    scheduler: request.scheduler,
    negativePrompt: request.negativePrompt,
  };
  const pictures: GeneratedPicture[] = [];
  for (const [i, seed] of request.seeds.entries()) {
    const [planes] = await pipeline.draw({
      prompts: [prompt],
      negativePrompt: request.negativePrompt === '' ? null : tokenize(base, request.negativePrompt, context),
      seeds: [seed],
      scheduler: request.scheduler,
      steps,
      guidanceScale,
      loras,
      signal,
      onStep: (done, of) => {
        onProgress({
          phase: 'sample',
          step: i * of + done,
          steps: of * request.seeds.length,
          imagesPerStep: 1 / of,
        });
      },
    });
    const made = { prompt: request.prompt, seed, ...settings };
    const texts = { parameters: parametersText(request, made), dreambooth: JSON.stringify(made) };
    const png = await encodePng(fromPlanes(planes!, { width, height }), texts);
    pictures.push({ png, width, height, seed, prompt: request.prompt, settings });
  }
  return pictures;
};

function tokenize(base: BaseModel, text: string, { onWarning }: WorkContext): PromptTokens {
  const { tokens, cut } = tokenizePrompt(base, text);
  if (cut !== '') {
    onWarning(
      `The prompt is longer than the ${base.tokenizer.maxLength} tokens this model reads; cut off was: "${cut}".`,
    );
  }
  return tokens;
}

export function readLora(subject: Subject, base: BaseModel): LoraLayers {
  const { tensors, metadata } = openSafetensors(join(subject.folder, 'lora.safetensors'));
  return fromFile(
    tensors,
    readTensor,
    loraModel((component) => tensorsOf(base, component)),
    metadata,
  );
}

/** The line that other tools read back from a picture. */
function parametersText(
  { prompt, negativePrompt }: GenerationRequest,
  {
    seed,
    steps,
    guidanceScale,
    width,
    height,
    scheduler,
  }: { seed: number; steps: number; guidanceScale: number; width: number; height: number; scheduler: string },
): string {
  const negative = negativePrompt === '' ? '' : `\nNegative prompt: ${negativePrompt}`;
  return `${prompt}${negative}\nSteps: ${steps}, Sampler: ${scheduler}, CFG scale: ${guidanceScale}, Seed: ${seed}, Size: ${width}x${height}`;
}
