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
import { checkClipSkip, tokenizeChunks } from '../models/text-condition';
import type { SchedulerName } from '../schedulers/index';
import { withoutZeroTerminalSnr } from '../schedulers/zero-terminal-snr';
import { tokenEmbedding } from '../subjects/embedding-subject';
import type { Subject } from '../subjects/subjects';
import { foretellDrawing } from './estimate';
import type { GeneratedPicture } from './generated-picture';
import { latentSize, loadPipeline, openBase, usualSide, wantsTiles } from './loaded-base';
import { type PhotoRequest, preparePhoto, refuseMissingMask } from './photo-request';
import { pictureTexts } from './picture-record';
import { withTrained } from './trained-weights';
import type { WorkContext } from './work-context';

/** Pictures to make, as the engine gets them. */
export interface GenerationRequest {
  /** As typed. */
  readonly prompt: string;
  /** For the text encoder: mentions are replaced. */
  readonly text: string;
  readonly negativePrompt: string;
  /** For the text encoder, likewise. */
  readonly negativeText: string;
  /** Whose weights to put on the base, with the weight of each; at most one of kind `full`, then alone. */
  readonly subjects: readonly { readonly subject: Subject; readonly weight: number }[];
  /** The checkpoint: a folder or a `.safetensors` file, by absolute path. */
  readonly basePath: string;
  /** An autoencoder in place of its own; null: none. */
  readonly vaePath: string | null;
  /** What the picture calls it: a hub id says more than the folder of a commit. */
  readonly baseName: string;
  /** One picture for each, which depends on nothing but its own seed. */
  readonly seeds: readonly number[];
  /** null: the base's usual. */
  readonly steps: number | null;
  readonly guidanceScale: number | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly scheduler: SchedulerName;
  /** Lin et al. 2023: how much of the contrast that guidance adds is taken back, 0 to 1. */
  readonly guidanceRescale: number;
  /** A photo to draw from or into; null: from nothing. */
  readonly photo: PhotoRequest | null;
  /** How many pictures are drawn at a time. */
  readonly batch: number;
  /** Whether the autoencoder works in tiles; null: where pictures are large. */
  readonly vaeTiling: boolean | null;
  /** How many of the text encoders' last layers are skipped. */
  readonly clipSkip: number;
  /** Of a base to which the picture is to be like; null: whichever. */
  readonly baseFingerprint: string | null;
  /** Written into the pictures. */
  readonly versions: Readonly<Record<string, string>>;
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
  const opened = openBase(request.basePath, request.vaePath);
  if (request.baseFingerprint !== null && request.baseFingerprint !== opened.contents) {
    context.onWarning(
      `The picture to be made again was drawn with another base model than ${request.basePath}, with another version of it, or with another autoencoder: name that one with --base or --vae.`,
    );
  }
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
  refuseMissingMask(base, request.photo);
  const photo = request.photo && (await preparePhoto(request.photo, request, base, context));
  const side = usualSide(base);
  const { width, height } = photo?.size ?? { width: request.width ?? side, height: request.height ?? side };
  const guidanceScale = request.guidanceScale ?? opened.defaults.guidanceScale;
  const steps = request.steps ?? opened.defaults.steps;
  const { clipSkip } = request;
  checkClipSkip(base, clipSkip);
  const embeddings = request.subjects.flatMap(({ subject }) =>
    subject.kind === 'embedding' ? [tokenEmbedding(subject)] : [],
  );
  const prompt = tokenizeChunks(base, request.text, embeddings);
  const negativePrompt =
    request.negativeText === '' ? null : tokenizeChunks(base, request.negativeText, embeddings);
  const { seeds, guidanceRescale } = request;
  const guided = guidanceScale > 1;
  const zeroTerminalSnr = learnedWithZeroTerminalSnr(request, context);
  // One picture at a time, unless several are asked for: each is then to the bit the same alone as among others.
  const batch = Math.min(request.batch, seeds.length);
  const shape = {
    pictures: batch,
    size: latentSize(base, { width, height }),
    guided,
    rescaled: guided && guidanceRescale > 0,
    tiled: request.vaeTiling ?? wantsTiles(base, width * height),
    chunks: Math.max(prompt.length, (guided && negativePrompt?.length) || 0),
    clipSkip,
    loraPaths: [...new Set(loras.flatMap(({ layers }) => [...layers.keys()]))].sort(),
  };
  const beforeLoading = () =>
    foretellDrawing(
      base,
      shape,
      { pictures: seeds.length, steps: evaluations(steps, request.photo), photo: photo !== null },
      context,
    );
  // Weights of another step may take the place of a subject's own.
  const exchanged = full ? `${full.id} ${full.steps}` : '';
  const pipeline = await loadPipeline(context, { ...opened, base }, exchanged, shape, beforeLoading);
  onProgress({ phase: 'load', step: 1, steps: 1 });

  const settings = {
    steps,
    guidanceScale,
    width,
    height,
    scheduler: request.scheduler,
    negativePrompt: request.negativePrompt,
    ...(request.photo ? { strength: request.photo.strength } : {}),
    // The picture has the photo's own size, whatever was drawn.
    ...(request.photo?.mask && request.width === null && request.height === null ? { photoSize: true } : {}),
    ...(guidanceRescale > 0 ? { guidanceRescale } : {}),
    ...(batch > 1 ? { batch } : {}),
    ...(request.vaeTiling === null ? {} : { vaeTiling: request.vaeTiling }),
    clipSkip,
  };
  const record = {
    prompt: request.prompt,
    text: request.text,
    negativeText: request.negativeText,
    subjects: request.subjects.map(({ subject, weight }) => {
      const { name, kind, identifier, className } = subject;
      return { name, kind, identifier, className, weight };
    }),
    base: { name: request.baseName, fingerprint: opened.contents },
    versions: request.versions,
  };
  const encoded = photo && { photo: await pipeline.encode(photo.photo), strength: request.photo!.strength };
  const groups = Math.ceil(seeds.length / batch);
  const pictures: GeneratedPicture[] = [];
  for (let group = 0; group < groups; group++) {
    const wanted = seeds.slice(group * batch, (group + 1) * batch);
    const drawn = await pipeline.draw({
      prompts: Array.from({ length: batch }, () => prompt),
      negativePrompt,
      embeddings,
      // The last group may be short: the pipeline draws as many as it was loaded for.
      seeds: Array.from({ length: batch }, (_, i) => wanted[i] ?? wanted[0]!),
      scheduler: request.scheduler,
      steps,
      zeroTerminalSnr,
      guidanceScale,
      guidanceRescale,
      ...(encoded ? { photo: encoded } : {}),
      loras,
      signal,
      onStep: (done, of) => {
        onProgress({
          phase: 'sample',
          step: group * of + done,
          steps: of * groups,
          imagesPerStep: batch / of,
        });
      },
    });
    for (const [i, seed] of wanted.entries()) {
      const picture = fromPlanes(drawn[i]!, { width, height });
      const finished = photo ? photo.finish(picture) : picture;
      const png = await encodePng(finished, pictureTexts({ ...record, seed, settings }));
      const size = { width: finished.width, height: finished.height };
      const made = { png, ...size, seed, prompt: request.prompt, settings };
      context.onPicture(made);
      pictures.push(made);
    }
  }
  return pictures;
};

/** Of the UNet: a photo is begun from part-way. */
const evaluations = (steps: number, photo: PhotoRequest | null): number =>
  Math.ceil(steps * (photo?.strength ?? 1));

/** Whether the subjects were learned with noise up to noise alone; drawn with less, they come out grey. */
function learnedWithZeroTerminalSnr(
  { subjects, scheduler }: GenerationRequest,
  { onWarning }: WorkContext,
): boolean {
  const [learned, others] = [true, false].map((is) =>
    subjects.flatMap(({ subject: { name, kind, settings } }) =>
      // An embedding made elsewhere does not say.
      (settings['zeroTerminalSnr'] ?? (kind === 'embedding' ? undefined : false)) === is ? [`@${name}`] : [],
    ),
  ) as [string[], string[]];
  if (learned.length === 0) return false;
  if (others.length > 0) {
    onWarning(
      `${learned.join(', ')} was learned with zero terminal SNR, ${others.join(', ')} without: the picture is drawn with it.`,
    );
  }
  if (withoutZeroTerminalSnr.includes(scheduler)) {
    onWarning(
      `${learned.join(', ')} was learned with zero terminal SNR, which ${scheduler} does not know: choose another sampler, as ddim.`,
    );
  }
  return true;
}

export function readLora(subject: Pick<Subject, 'folder'>, base: BaseModel): LoraLayers {
  const { tensors, metadata } = openSafetensors(join(subject.folder, 'lora.safetensors'));
  return fromFile(
    tensors,
    readTensor,
    loraModel((component) => tensorsOf(base, component)),
    metadata,
  );
}
