/** A personalisation, in the engine: photos to latents, class images, training, the subject's files. */
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { readFloat32 } from '../checkpoint/safetensors';
import { InvalidOptionError, TrainingDivergedError, UnsupportedModelError, WrongBaseError } from '../errors';
import { writePng } from '../images/png';
import { readImage } from '../images/read-image';
import { resizeShorterSide } from '../images/resize';
import type { RgbImage } from '../images/rgb-image';
import { inpaints, tensorsOf } from '../models/base-model';
import { checkClipSkip, tokenizePrompt } from '../models/text-condition';
import { createRandom } from '../random';
import { forTraining } from '../runtime/session';
import { createTextEncoder } from '../sampling/text-encoder';
import { embeddingToken } from '../subjects/embedding-subject';
import { fillPrompt } from '../subjects/prompt';
import type { SettingValue } from '../subjects/subjects';
import { checkClassName, checkIdentifier, chooseIdentifier } from '../tokenizers/identifier';
import type { PictureSize } from '../training/aspect-buckets';
import { encodesText, type TrainingPhoto, type TrainingPrompt } from '../training/dreambooth-batch';
import { effectiveSettings, type PresetName, type TrainingSettings } from '../training/presets';
import {
  checkTraining,
  type DreamBoothHooks,
  type DreamBoothRun,
  trainDreamBooth,
} from '../training/train-dreambooth';
import { foretellTraining } from './foretell-training';
import {
  checkWeights,
  latentSize,
  loadPipeline,
  type OpenedBase,
  openBase,
  sessionsOf,
  usualSide,
} from './loaded-base';

import type { PersonalizationSettings } from './personalization-settings';
import { type CaptionedSubject, captionPrompt } from './photo-captions';
import { readMasks } from './photo-masks';
import { readLora } from './run-generation';
import { trainedBytes, withTrained, writeTrainedWeights } from './trained-weights';
import { readCheckpoint, writeCheckpoint } from './training-checkpoint';
import { logFile, openTrainingLog } from './training-log';
import {
  asWhole,
  classImages,
  classVariant,
  encodePictures,
  trainedSizes,
  variantsOf,
} from './training-pictures';
import { drawSamples, samplePrompts, samplesFolder } from './training-samples';
import type { WorkContext } from './work-context';

/** A personalisation as the engine gets it, the same at every resume. */
export interface PersonalizationJob {
  readonly id: string;
  readonly name: string;
  readonly className: string;
  /** As given, empty for none; null: as the settings say, from the tokenizer, seeded by `seed`, not in `usedIdentifiers`. */
  readonly identifier: string | null;
  readonly usedIdentifiers: readonly string[];
  /** The checkpoint: a folder or a `.safetensors` file, by absolute path. */
  readonly basePath: string;
  /** An autoencoder in place of its own; null: none. */
  readonly vaePath: string | null;
  readonly seed: number;
  /** As given and checked by name and type; what is missing comes from the preset. */
  readonly settings: PersonalizationSettings;
  readonly photos: readonly PersonalizationPhoto[];
  /** A folder with the weights of the subject that is gone on with, as it keeps them; null: the base's own. */
  readonly start: { readonly folder: string; readonly baseFingerprint: string } | null;
}

export interface PersonalizationPhoto {
  /** Absolute path of the job's own copy. */
  readonly file: string;
  /** What the caller called it: for messages. */
  readonly name: string;
  readonly sha256: string;
  /** What the text beside it says. */
  readonly caption?: string | undefined;
  /** Absolute path of the job's own copy of the mask beside it. */
  readonly mask?: string | undefined;
}

/** What was learned, ready to become a subject. */
export interface SubjectDraft {
  /**
   * A folder within `context.folder` that holds what the subject needs and nothing else: `lora.safetensors` in
   * diffusers' naming (or a folder of each trained component, as `unet/`; or `embedding.safetensors`), `thumbnail.png`, `log.jsonl` and `samples`.
   * It becomes the subject's folder by one rename.
   */
  readonly folder: string;
  readonly kind: 'lora' | 'full' | 'embedding';
  readonly identifier: string;
  readonly instancePrompt: string;
  readonly baseFingerprint: string;
  /** All in effect, defaults written out. */
  readonly settings: Readonly<Record<string, SettingValue>>;
  readonly steps: number;
}

/**
 * Learns a subject. Goes on from the checkpoint in `context.folder` when there is one, to the same bits as a run that
 * never stopped. Throws UnreadableImageError (naming the photo), TrainingDivergedError, DiskFullError and the errors
 * of a base model that cannot be opened.
 */
export type RunPersonalization = (job: PersonalizationJob, context: WorkContext) => Promise<SubjectDraft>;

export const runPersonalization: RunPersonalization = async (job, context) => {
  const { onProgress, signal } = context;
  const warnings: string[] = [];
  const onWarning = (message: string) => {
    warnings.push(message);
    context.onWarning(message);
  };
  onProgress({ phase: 'load', step: 0, steps: 1 });
  const opened = openBase(job.basePath, job.vaePath);
  const { base } = opened;
  if (inpaints(base)) {
    throw new UnsupportedModelError(
      `${base.directory} is an inpainting model, which learns from masked pictures; subjects are not learned on one. Learn on the model that it was made from.`,
    );
  }
  if (job.start !== null && job.start.baseFingerprint !== opened.fingerprint) {
    throw new WrongBaseError(
      job.name,
      `What is gone on with was learned on another base model than ${job.basePath}: leave --base out, or name the folder where that one is now.`,
    );
  }
  const usualPreset = job.settings.kind === 'embedding' ? 'textual-inversion' : opened.defaults.preset;
  const { preset = usualPreset, ...given } = job.settings;
  const settings = effectiveSettings(preset, given as Partial<TrainingSettings>);
  checkClipSkip(base, settings.clipSkip);
  for (const warning of checkClassName(base.tokenizer, job.className)) onWarning(warning);
  const random = createRandom(job.seed);
  const { kind } = settings;
  if (kind === 'embedding' && job.identifier !== null) {
    throw new InvalidOptionError(
      'identifier',
      `identifier is "${job.identifier}": an embedding is a word of its own, ${embeddingToken(job.name)}. Leave it out.`,
    );
  }
  const rareWord = () =>
    settings.rareIdentifier
      ? chooseIdentifier(base.tokenizer, job.className, random, job.usedIdentifiers)
      : '';
  const identifier = kind === 'embedding' ? embeddingToken(job.name) : (job.identifier ?? rareWord());
  if (job.identifier !== null && identifier !== '')
    for (const warning of checkIdentifier(base.tokenizer, identifier)) onWarning(warning);
  checkTraining(base, settings);
  if (settings.zeroTerminalSnr && settings.snrGamma > 0) {
    onWarning(
      'snrGamma takes nearly all weight from the noisiest pictures, which zeroTerminalSnr adds: use one of the two.',
    );
  }
  const side = settings.resolution ?? usualSide(base);
  latentSize(base, { resolution: side });
  const subject = { name: job.name, className: job.className, identifier, kind };
  const prompts = {
    instance: fillPrompt(settings.instancePrompt, subject),
    templates: settings.promptTemplates.map((template) => fillPrompt(template, subject)),
    class: fillPrompt(settings.classPrompt, subject),
  };
  const added = kind === 'embedding' ? [{ token: identifier, vectors: settings.vectors }] : [];
  if (settings.prior !== 'none' && prompts.instance === prompts.class) {
    onWarning(
      `"${prompts.instance}" is the prompt of the photos and of what is to stay as it is: the two pull against each other. Set prior to none, or give an identifier.`,
    );
  }
  const samples = { prompts: samplePrompts(settings, subject), token: identifier, side, seed: job.seed };
  const inEffect = {
    ...settings,
    preset,
    rareIdentifier: identifier !== '',
    resolution: side,
    instancePrompt: prompts.instance,
    promptTemplates: prompts.templates,
    classPrompt: prompts.class,
  };
  const usual = effectiveSettings(preset, {});
  const changed = Object.entries(settings).filter(
    ([name, value]) => String(value) !== String(usual[name as keyof TrainingSettings]),
  );
  context.onRecipe({
    preset: preset as PresetName,
    settings: inEffect,
    changed: changed.map(([name]) => name),
    bytes: trainedBytes(base, settings),
  });
  onProgress({ phase: 'load', step: 1, steps: 1 });

  const classDrawn = settings.prior === 'images' ? settings.classImages : 0;
  const encoded = job.photos.length + classDrawn;
  const classSteps = opened.defaults.steps;
  await foretellTraining(base, { settings, side, encoded, classImages: classDrawn, classSteps }, context);
  checkWeights(base);

  const photos: { photo: PersonalizationPhoto; picture: RgbImage }[] = [];
  for (const [i, photo] of job.photos.entries()) {
    signal.throwIfAborted();
    photos.push({ photo, picture: await readImage(photo.file, { onWarning, name: photo.name }) });
    onProgress({ phase: 'photos', step: i + 1, steps: job.photos.length });
  }
  const masks = await readMasks(photos, settings.masks, onWarning);
  const pictures = photos.map(({ picture }) => picture);
  const sizes = trainedSizes(pictures, side, base.vae.config.factor, settings);
  const variants = pictures
    .map((picture, i) => variantsOf({ picture, mask: masks[i] }, sizes[i]!, settings, random))
    .map((one) => (settings.sizeConditioning === 'constant' ? one.map(asWhole) : one));
  const captioned = { ...subject, instancePrompt: prompts.instance };
  const captions = captionsOf(settings.captions ? job.photos : [], captioned, onWarning);
  const classPictures =
    settings.prior === 'images' ? await priorPictures(opened, settings, prompts.class, sizes, context) : [];
  // What drew them would lie beside the training.
  await context.loadedModels.releaseAll();

  const latents = await encodePictures(
    [...variants, ...classPictures.map((picture) => [classVariant(picture)])],
    base,
    settings,
    context,
  );
  const sessions = sessionsOf(context);
  const textEncoder = await createTextEncoder(base, { loraPaths: [], clipSkip: settings.clipSkip }, sessions);
  const known = new Map<string, TrainingPrompt>();
  const promptOf = async (text: string) => {
    const before = known.get(text);
    if (before) return before;
    const { tokens, cut } = tokenizePrompt(base, text, added);
    if (cut !== '') onWarning(`"${text}" is longer than this model reads; cut off was: "${cut}".`);
    const prompt = encodesText(settings)
      ? { tokens }
      : { tokens, condition: (await textEncoder.encode([[tokens]]))[0]! };
    known.set(text, prompt);
    return prompt;
  };
  const trainingPhotos: TrainingPhoto[] = [];
  for (const i of photos.keys()) {
    const caption = captions[i];
    const texts =
      caption === undefined && prompts.templates.length > 0
        ? prompts.templates
        : [caption ?? prompts.instance];
    const silent = texts.find((text) => added.some(({ token }) => !text.includes(token)));
    if (silent !== undefined) {
      throw new InvalidOptionError(
        'instancePrompt',
        `"${silent}" does not speak of the subject, so an embedding learns nothing from it: write {subject} where it belongs.`,
      );
    }
    const own: TrainingPrompt[] = [];
    for (const text of texts) own.push(await promptOf(text));
    trainingPhotos.push({ variants: latents[i]!, prompts: own });
  }
  const started = job.start ? withTrained(base, job.start.folder) : base;
  const run: DreamBoothRun = {
    base,
    settings,
    seed: job.seed,
    photos: trainingPhotos,
    classImages: latents.slice(photos.length).map(([one]) => one!),
    className: job.className,
    classPrompt: await promptOf(prompts.class),
    noPrompt: {
      tokens: tokenizePrompt(base, '').tokens,
      condition: (await textEncoder.encode([null], { negative: true }))[0]!,
    },
    readWeight: (component, key) => readFloat32(tensorsOf(started, component).get(key)!),
    ...(job.start && settings.kind === 'lora' ? { start: readLora(job.start, base) } : {}),
  };
  await textEncoder.release();

  const checkpointFile = join(context.folder, 'checkpoint.safetensors');
  const from = readCheckpoint(checkpointFile, opened.contents, job.name);
  const imagesPerStep =
    (settings.prior === 'none' ? 1 : 2) * settings.batchSize * settings.gradientAccumulationSteps;
  const log = openTrainingLog(join(context.folder, logFile), from?.trainer.step);
  const time = () => new Date().toISOString();
  if (from) {
    log.write({ event: 'resumed', time: time(), step: from.trainer.step });
  } else {
    const { name, className, seed } = job;
    const photos = job.photos.map((photo) => photo.name);
    const run = { subject: name, className, identifier, seed, base: opened.fingerprint, photos };
    log.write({ event: 'started', time: time(), ...run, settings: inEffect });
    for (const message of warnings) log.write({ event: 'warning', message });
  }
  onProgress({ phase: 'train', step: from?.trainer.step ?? 0, steps: settings.steps });
  let begun = performance.now();
  const hooks: DreamBoothHooks = {
    signal,
    onStep(step, loss, figures) {
      const now = performance.now();
      log.write({ event: 'step', step, loss, ...figures, seconds: (now - begun) / 1000 });
      begun = now;
      onProgress({ phase: 'train', step, steps: settings.steps, loss, imagesPerStep });
    },
    onCheckpoint(checkpoint) {
      writeCheckpoint(checkpointFile, opened.contents, checkpoint);
      log.write({ event: 'checkpoint', step: checkpoint.trainer.step });
    },
    async onSample(step, weights) {
      if (log.before.some((line) => line.event === 'sample' && line.step === step)) return;
      const files = await drawSamples(step, weights, opened, settings, samples, context);
      log.write({ event: 'sample', step, files: files.map((file) => relative(context.folder, file)) });
      context.onSample(step, files);
      begun = performance.now();
    },
  };
  const training = trainDreamBooth(run, hooks, sessionsOf(context, forTraining), from);
  const trained = await training.catch((error: unknown) => {
    if (!(error instanceof TrainingDivergedError)) throw error;
    const { learningRate } = settings;
    throw new TrainingDivergedError(error.step, error.loss, { job: job.id, learningRate });
  });

  onProgress({ phase: 'save', step: 0, steps: 1 });
  const folder = join(context.folder, 'subject');
  rmSync(folder, { recursive: true, force: true });
  writeTrainedWeights(folder, trained, base, settings.alpha);
  log.write({ event: 'done', time: time(), step: settings.steps });
  // Copied: what is saved may have to be saved again.
  for (const name of [logFile, samplesFolder]) {
    const from = join(context.folder, name);
    if (existsSync(from)) cpSync(from, join(folder, name), { recursive: true });
  }
  const thumbnail = variants[0]![0]!.picture;
  await writePng(
    join(folder, 'thumbnail.png'),
    thumbnail.width > 256 ? resizeShorterSide(thumbnail, 256, 'lanczos') : thumbnail,
  );
  onProgress({ phase: 'save', step: 1, steps: 1 });
  return {
    folder,
    kind: settings.kind,
    identifier,
    instancePrompt: prompts.instance,
    baseFingerprint: opened.fingerprint,
    settings: inEffect,
    steps: settings.steps,
  };
};

/** The prompts of photos that have a caption, by their places. */
function captionsOf(
  photos: readonly PersonalizationPhoto[],
  subject: CaptionedSubject,
  onWarning: (message: string) => void,
): (string | undefined)[] {
  const written = photos.map(({ caption }) =>
    caption === undefined ? undefined : captionPrompt(caption, subject),
  );
  const added = photos.filter((_, i) => written[i]?.added).map(({ name }) => name);
  if (added.length > 0) {
    onWarning(
      `The captions of ${added.join(', ')} do not speak of the subject: "${subject.instancePrompt}" is put before them. Write {subject} where it belongs.`,
    );
  }
  return written.map((caption) => caption?.prompt);
}

/** Pictures of the class in the sizes of the photos, of each size its photos' share. */
async function priorPictures(
  opened: OpenedBase,
  settings: TrainingSettings,
  prompt: string,
  photoSizes: readonly PictureSize[],
  context: WorkContext,
): Promise<RgbImage[]> {
  const shares = new Map<string, { size: PictureSize; photos: number }>();
  for (const size of photoSizes) {
    const key = `${size.width}×${size.height}`;
    shares.set(key, { size, photos: (shares.get(key)?.photos ?? 0) + 1 });
  }
  const wanted = [...shares.values()].map(({ size, photos }) => ({
    prompt,
    count: Math.ceil((settings.classImages * photos) / photoSizes.length),
    size,
    steps: opened.defaults.steps,
    guidanceScale: settings.classGuidanceScale,
    clipSkip: settings.clipSkip,
  }));
  const steps = wanted.reduce((sum, { count }) => sum + count, 0);
  const { clipSkip } = settings;
  const all: RgbImage[] = [];
  for (const images of wanted) {
    const before = all.length;
    const size = latentSize(opened.base, images.size);
    // As many as keep the processor busy where latents are small, one where they are large.
    const pictures = Math.min(10, Math.max(1, Math.floor(1024 / (size[0] * size[1]))));
    const shape = { pictures, size, guided: settings.classGuidanceScale > 1, loraPaths: [], clipSkip };
    const load = () => loadPipeline(context, opened, '', shape);
    const onProgress: WorkContext['onProgress'] = (progress) =>
      context.onProgress({ ...progress, step: before + progress.step, steps });
    all.push(...(await classImages(images, opened, pictures, load, { ...context, onProgress })));
  }
  return all;
}
