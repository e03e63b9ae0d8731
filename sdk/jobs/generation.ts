/** One generation from options to pictures: mentions, base and seeds are settled before the engine is asked. */
import { randomInt } from 'node:crypto';
import { basename, isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { makeFolderOf } from '../checkpoint/write-failure';
import { InvalidOptionError, WrongBaseError } from '../errors';
import { readPhotoFile } from '../images/read-image';
import type { WorkerProcess } from '../runtime/worker-process';
import { defaultSchedulerName, schedulerName } from '../schedulers/index';
import type { Home } from '../subjects/home';
import { mentionedNames, type ResolvedPrompt, resolvePrompt } from '../subjects/prompt';
import { snapshotFolder } from '../subjects/snapshots';
import { readSubject, type Subject } from '../subjects/subjects';
import type { GeneratedPicture } from '../work/generated-picture';
import type { PersonalizationSettings } from '../work/personalization-settings';
import type { GivenPicture, PhotoRequest } from '../work/photo-request';
import type { GenerationRequest } from '../work/run-generation';
import { askEngine } from './ask-engine';
import { autoencoderPath, baseName, basePath } from './base-path';
import { refuseUnknownOptions } from './known-options';
import type { EngineSettings, RunOptions } from './run-options';
import { packageVersions } from './versions';

export interface GenerateRequest {
  /** `@name` stands for a learned subject, `@name:0.8` for one with its LoRA weakened; several may be mentioned. */
  readonly prompt: string;
  /** How many pictures, 1 to 1000; default 1. */
  readonly count?: number;
  /** Of the first picture; picture i is the one that `seed + i` makes alone. Default: random. */
  readonly seed?: number;
  /** Default: that of the subjects, else the engine's. */
  readonly base?: string;
  /** An autoencoder in place of the base's own, a folder or a `.safetensors` file; `base` for that. Default: as the first subject was learned. */
  readonly vae?: string;
  readonly steps?: number;
  readonly guidanceScale?: number;
  /** Subjects may be mentioned here, too: embeddings are made to be. */
  readonly negativePrompt?: string;
  /** In pixels. */
  readonly width?: number;
  readonly height?: number;
  /** Default: the first subject's `drawScheduler`, a LoRA's before an embedding's, as steps and guidance, else `dpmpp_2m_karras`. */
  readonly scheduler?: string;
  /** Lin et al. 2023: how much of the contrast that guidance adds is taken back, 0 to 1; default 0. */
  readonly guidanceRescale?: number;
  /**
   * A photo to begin from. Pictures have its shape and the base's usual area where no size is given; with a mask they
   * are the photo itself, in its own size, with what is drawn in it.
   */
  readonly image?: PictureFile;
  /** White where something new is drawn, black where the photo stays; of the photo's shape. */
  readonly mask?: PictureFile;
  /** By how much the photo changes, above 0 (hardly) to 1; default 0.8, with a mask 1. */
  readonly strength?: number;
  /**
   * How many pictures are drawn at a time, 1 to 64, default 1: faster on some devices, with more memory. Each has the
   * noise of its own seed alone, but sums are rounded in another order, so it may differ in the last bits.
   */
  readonly batch?: number;
  /** Whether the autoencoder works in tiles, which holds memory down; default: where pictures are larger than the base's usual. */
  readonly vaeTiling?: boolean;
  /**
   * How many of the text encoders' last layers are skipped, as diffusers counts (AUTOMATIC1111's web UI says one
   * more). Default: as many as the first subject was learned with, else 0.
   */
  readonly clipSkip?: number;
  /**
   * A subject whose weights are on whether the prompt speaks of it or not: what became of the bare class is seen so. With
   * `step` it is, in mentions too, as it was after so many steps, where those weights were kept.
   */
  readonly learned?: { readonly name: string; readonly step?: number };
  /** Of the base that is meant, as a picture remembers it: there is a warning where the base is another. */
  readonly baseFingerprint?: string;
}

const requestOptions: Readonly<Record<keyof GenerateRequest, true>> = {
  prompt: true,
  count: true,
  seed: true,
  base: true,
  vae: true,
  steps: true,
  guidanceScale: true,
  negativePrompt: true,
  width: true,
  height: true,
  scheduler: true,
  guidanceRescale: true,
  image: true,
  mask: true,
  strength: true,
  batch: true,
  vaeTiling: true,
  clipSkip: true,
  learned: true,
  baseFingerprint: true,
};

/** A picture's file, or its bytes. */
export type PictureFile = string | URL | Uint8Array;

export interface GeneratedImage extends GeneratedPicture {
  /** Writes the PNG, whole or not at all; folders are made. Throws DiskFullError, UnwritablePathError. */
  save(path: string): Promise<void>;
}

export interface GenerateRunOptions extends RunOptions {
  /** Each picture as soon as it is made: with a stop, or where a later one fails, they are all there is of the call. */
  readonly onImage?: ((image: GeneratedImage) => void) | undefined;
}

/** Throws InvalidOptionError (a step that was not kept, too), UnknownSubjectError, WrongBaseError, MissingFileError. */
export function prepareGeneration(
  home: Home,
  request: GenerateRequest,
  defaultBase: string,
  defaultVae?: string,
): GenerationRequest {
  refuseUnknownOptions('generate', request, requestOptions);
  const { prompt, negativePrompt = '', learned } = request;
  refuseNoText(prompt);
  const count = whole('count', request.count, 1, 1000) ?? 1;
  const seed = whole('seed', request.seed, 0, Number.MAX_SAFE_INTEGER - count) ?? randomInt(2 ** 31);
  const found = new Map<string, Subject>(
    [...mentionedNames(prompt), ...mentionedNames(negativePrompt)].map((name) => [
      name,
      readSubject(home, name),
    ]),
  );
  if (learned !== undefined) found.set(learned.name, asLearned(home, learned));
  const [wanted, unwanted] = [prompt, negativePrompt].map((one) =>
    resolvePrompt(one, (name) => found.get(name)!),
  ) as [ResolvedPrompt, ResolvedPrompt];
  const alsoUnwanted = unwanted.mentions.filter(
    ({ name }) => !wanted.mentions.some((other) => other.name === name),
  );
  const mentions = [...wanted.mentions, ...alsoUnwanted];
  const unspoken =
    learned === undefined || mentions.some(({ name }) => name === learned.name)
      ? []
      : [{ name: learned.name, weight: 1 }];
  const subjects = [...mentions, ...unspoken].map(({ name, weight }) => ({
    subject: found.get(name)!,
    weight,
  }));
  const base = chooseBase(
    home,
    subjects.map(({ subject }) => subject),
    request.base,
    defaultBase,
  );
  // The first subject's recipe may say how it is drawn; a word among others goes with any.
  const leading = (subjects.find(({ subject }) => subject.kind !== 'embedding') ?? subjects[0])?.subject;
  const usual: PersonalizationSettings = leading?.settings ?? {};
  return {
    prompt,
    text: wanted.text,
    negativePrompt,
    negativeText: unwanted.text,
    subjects,
    basePath: basePath(base),
    vaePath: autoencoderPath(request.vae ?? leading?.base.vae ?? defaultVae),
    baseName: isAbsolute(base) ? basename(base) : base,
    seeds: Array.from({ length: count }, (_, i) => seed + i),
    steps: whole('steps', request.steps, 1, 1000) ?? usual.drawSteps ?? null,
    guidanceScale: guidance(request.guidanceScale) ?? usual.drawGuidanceScale ?? null,
    width: whole('width', request.width, 8, 8192) ?? null,
    height: whole('height', request.height, 8, 8192) ?? null,
    scheduler: schedulerName(request.scheduler ?? usual.drawScheduler ?? defaultSchedulerName),
    guidanceRescale: share('guidanceRescale', request.guidanceRescale) ?? 0,
    photo: photoOf(request),
    batch: whole('batch', request.batch, 1, 64) ?? 1,
    vaeTiling: request.vaeTiling ?? null,
    clipSkip: whole('clipSkip', request.clipSkip, 0, 100) ?? usual.clipSkip ?? 0,
    baseFingerprint: request.baseFingerprint ?? null,
    versions: packageVersions(),
  };
}

function refuseNoText(prompt: unknown): void {
  if (typeof prompt === 'string' && prompt.trim() !== '') return;
  throw new InvalidOptionError(
    'prompt',
    `The prompt is ${JSON.stringify(prompt)}: say what to draw, as "a photo of @rex in the snow".`,
  );
}

/** The subject, with the weights of an earlier step in place of its last where one is named. */
function asLearned(home: Home, { name, step }: NonNullable<GenerateRequest['learned']>): Subject {
  const subject = readSubject(home, name);
  if (step === undefined || step === subject.steps) return subject;
  return { ...subject, folder: snapshotFolder(subject, step), steps: step };
}

function photoOf({ image, mask, strength }: GenerateRequest): PhotoRequest | null {
  if (image === undefined) {
    const given = mask !== undefined ? 'mask' : strength !== undefined ? 'strength' : undefined;
    if (given === undefined) return null;
    throw new InvalidOptionError(given, `${given} is given without image: name the photo that it is for.`);
  }
  const changed = share('strength', strength) ?? (mask === undefined ? 0.8 : 1);
  if (changed === 0)
    throw new InvalidOptionError('strength', 'strength 0 leaves the photo as it is: give more.');
  return {
    image: pictureOf('the image', image),
    mask: mask === undefined ? null : pictureOf('the mask', mask),
    strength: changed,
  };
}

/** Throws MissingFileError. */
export function pictureOf(name: string, file: PictureFile): GivenPicture {
  if (file instanceof Uint8Array) return { bytes: file, name };
  const path = file instanceof URL ? fileURLToPath(file) : file;
  return { bytes: readPhotoFile(path), name: path };
}

export async function runGenerationRequest(
  home: Home,
  task: GenerationRequest,
  worker: WorkerProcess,
  settings: EngineSettings,
  { onImage, ...run }: GenerateRunOptions,
): Promise<GeneratedImage[]> {
  const pictures: readonly GeneratedPicture[] = await askEngine(
    worker,
    'generate',
    task,
    home,
    settings,
    run,
    onImage && ((picture) => onImage(withSave(picture))),
  );
  return pictures.map(withSave);
}

function withSave(picture: GeneratedPicture): GeneratedImage {
  return {
    ...picture,
    async save(path) {
      const file = resolve(path);
      makeFolderOf(file);
      writeFileAtomically(file, [picture.png]);
    },
  };
}

function chooseBase(
  home: Home,
  subjects: readonly Subject[],
  given: string | undefined,
  fallback: string,
): string {
  const [first, ...others] = subjects;
  if (first === undefined) return baseName(home, given ?? fallback);
  const stranger = others.find(({ base }) => base.fingerprint !== first.base.fingerprint);
  if (stranger !== undefined) {
    throw new WrongBaseError(
      stranger.name,
      `@${first.name} was learned on ${first.base.path} and @${stranger.name} on ${stranger.base.path}: subjects of one picture must share their base model.`,
    );
  }
  const whole = subjects.find(({ kind }) => kind === 'full');
  if (whole !== undefined && subjects.filter(({ kind }) => kind !== 'embedding').length > 1) {
    throw new WrongBaseError(
      whole.name,
      `@${whole.name} was learned by changing the whole model, so it cannot share a picture with another subject: leave one out, or learn it as a LoRA.`,
    );
  }
  const words = subjects.filter(({ kind }) => kind === 'embedding');
  const same = words.find((one) =>
    words.some((other) => other !== one && other.identifier === one.identifier),
  );
  if (same !== undefined) {
    throw new InvalidOptionError(
      'prompt',
      `Two subjects of this prompt stand in the text as ${same.identifier}: leave one out, or import one again under its own name.`,
    );
  }
  // A base named by the caller is compared by its contents, in the engine: the folder may have moved.
  return given === undefined ? first.base.path : baseName(home, given);
}

function whole(option: string, value: number | undefined, least: number, most: number): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)) return value;
  const range = most < 1e6 ? `from ${least} to ${most}` : `from ${least} on`;
  throw new InvalidOptionError(option, `${option} is ${value}: give a whole number ${range}.`);
}

function share(option: string, value: number | undefined): number | undefined {
  if (value === undefined || (value >= 0 && value <= 1)) return value;
  throw new InvalidOptionError(
    option,
    `${option} is ${value}: give a number ${option === 'strength' ? 'above 0' : 'from 0'} to 1.`,
  );
}

function guidance(value: number | undefined): number | null {
  if (value === undefined) return null;
  if (value >= 0 && value <= 100) return value;
  throw new InvalidOptionError(
    'guidance',
    `guidance is ${value}: give a number from 0 to 100; 7.5 is usual.`,
  );
}
