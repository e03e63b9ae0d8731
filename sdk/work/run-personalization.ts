/** A personalisation, in the engine: photos to latents, class images, training, the subject's files. */
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readFloat32 } from '../checkpoint/safetensors';
import { writePng } from '../images/png';
import { readImage } from '../images/read-image';
import { resizeShorterSide } from '../images/resize';
import type { RgbImage } from '../images/rgb-image';
import { tensorsOf } from '../models/base-model';
import { createRandom, type Random } from '../random';
import { snapshotsFolder } from '../subjects/snapshots';
import type { SettingValue } from '../subjects/subjects';
import type { DreamBoothRun } from '../training/train-dreambooth';
import { missingClassImages, priorPictures } from './class-images';
import { foretellTraining } from './foretell-training';
import { checkWeights, type OpenedBase, openBase, sessionsOf } from './loaded-base';
import { type LoggedTraining, time, trainLogged } from './logged-training';
import type { PersonalizationJob, PersonalizationPhoto } from './personalization-job';
import { type PersonalizationPlan, planPersonalization } from './personalization-plan';
import { captionsOf } from './photo-captions';
import { readMasks } from './photo-masks';
import { readLora } from './run-generation';
import { createSampleScorer } from './sample-scorer';
import { withTrained, writeTrainedWeights } from './trained-weights';
import { logFile } from './training-log';
import { asWhole, classVariant, encodePictures, trainedSizes, variantsOf } from './training-pictures';
import { photoTexts, trainingPrompts } from './training-prompts';
import { samplesFolder } from './training-samples';
import type { WorkContext } from './work-context';

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
  /** That its weights have had: fewer than were asked for where the training ended before, or an earlier step is kept. */
  readonly steps: number;
}

/**
 * Learns a subject. Goes on from the checkpoint in `context.folder` when there is one, to the same bits as a run that
 * never stopped. Throws UnreadableImageError (naming the photo), TrainingDivergedError, DiskFullError and the errors
 * of a base model that cannot be opened.
 */
export type RunPersonalization = (job: PersonalizationJob, context: WorkContext) => Promise<SubjectDraft>;

export const runPersonalization: RunPersonalization = async (job, told) => {
  const warnings: string[] = [];
  const onWarning = (message: string) => {
    warnings.push(message);
    told.onWarning(message);
  };
  const context = { ...told, onWarning };
  const { onProgress } = context;
  onProgress({ phase: 'load', step: 0, steps: 1 });
  const opened = openBase(job.basePath, job.vaePath);
  const random = createRandom(job.seed);
  const plan = planPersonalization(job, opened, random, onWarning);
  context.onRecipe(plan.recipe);
  onProgress({ phase: 'load', step: 1, steps: 1 });

  const photos = await readPhotos(job.photos, context);
  const pictures = photos.map(({ picture }) => picture);
  const sizes = trainedSizes(pictures, plan.side, opened.base.vae.config.factor, plan.settings);
  const missing =
    plan.settings.prior === 'images'
      ? missingClassImages(opened, plan.settings, plan.prompts.classes, sizes, context.home)
      : 0;
  await foretellTraining(
    opened.base,
    { ...plan, photos: pictures, usual: opened.defaults, missingClassImages: missing },
    context,
  );
  checkWeights(opened.base);
  await checkScoring(plan, job.photos, context);
  const { run, shown } = await prepareTraining(job, opened, plan, photos, random, context);
  const { trained, log, best } = await trainLogged(job, opened, plan, run, warnings, context);

  onProgress({ phase: 'save', step: 0, steps: 1 });
  const folder = await saveSubject({ trained, log, best }, shown, opened, plan, context);
  onProgress({ phase: 'save', step: 1, steps: 1 });
  const { settings, subject, prompts, inEffect } = plan;
  return {
    folder,
    kind: settings.kind,
    identifier: subject.identifier,
    instancePrompt: prompts.instance,
    baseFingerprint: opened.fingerprint,
    settings: inEffect,
    steps: best ?? trained.steps,
  };
};

/**
 * Opens what will score the samples, and lets go of it: an encoder of another kind than it is said to be would else be
 * found out after the class images, which take hours on a large base, and held open it would lie beside them.
 */
async function checkScoring(
  { scoring, subject, samples }: PersonalizationPlan,
  photos: readonly PersonalizationPhoto[],
  context: WorkContext,
): Promise<void> {
  if (scoring.length === 0) return;
  const files = photos.map(({ file }) => file);
  const scorer = await createSampleScorer(scoring, { subject, photos: files, ...samples }, context);
  await scorer.release();
}

interface ReadPhoto {
  readonly photo: PersonalizationPhoto;
  readonly picture: RgbImage;
}

async function readPhotos(
  photos: readonly PersonalizationPhoto[],
  { onProgress, onWarning, signal }: WorkContext,
): Promise<ReadPhoto[]> {
  const read: ReadPhoto[] = [];
  for (const [i, photo] of photos.entries()) {
    signal.throwIfAborted();
    read.push({ photo, picture: await readImage(photo.file, { onWarning, name: photo.name }) });
    onProgress({ phase: 'photos', step: i + 1, steps: photos.length });
  }
  return read;
}

/** What is trained on, as tensors, and a photo as it was cut. `random` is that of the plan, gone on with. */
async function prepareTraining(
  job: PersonalizationJob,
  opened: OpenedBase,
  plan: PersonalizationPlan,
  photos: readonly ReadPhoto[],
  random: Random,
  context: WorkContext,
): Promise<{ run: DreamBoothRun; shown: RgbImage }> {
  const { base } = opened;
  const { settings, prompts, subject, side } = plan;
  const { onWarning } = context;
  const masks = await readMasks(photos, settings.masks, onWarning);
  const pictures = photos.map(({ picture }) => picture);
  const sizes = trainedSizes(pictures, side, base.vae.config.factor, settings);
  const variants = pictures
    .map((picture, i) => variantsOf({ picture, mask: masks[i] }, sizes[i]!, settings, random))
    .map((one) => (settings.sizeConditioning === 'constant' ? one.map(asWhole) : one));
  const captioned = { ...subject, instancePrompt: prompts.instance };
  const described = job.photos.map(({ name, caption }) => (settings.captions ? { name, caption } : { name }));
  const texts = photoTexts(captionsOf(described, captioned, onWarning), plan);
  const classPictures =
    settings.prior === 'images' ? await priorPictures(opened, settings, prompts.classes, sizes, context) : [];
  // What drew them would lie beside the training.
  await context.loadedModels.releaseAll();

  const latents = await encodePictures(
    [...variants, ...classPictures.map(({ picture }) => [classVariant(picture)])],
    base,
    settings,
    context,
  );
  const encoded = await trainingPrompts(base, plan, texts, sessionsOf(context), onWarning);
  const started = job.start ? withTrained(base, job.start.folder) : base;
  const run: DreamBoothRun = {
    base,
    settings,
    seed: job.seed,
    className: job.className,
    photos: photos.map((_, i) => ({ variants: latents[i]!, prompts: encoded.photos[i]! })),
    classImages: classPictures.map(({ prompt }, i) => ({
      ...latents[photos.length + i]![0]!,
      prompt: encoded.classes.get(prompt)!,
    })),
    classPrompts: [...encoded.classes.values()],
    noPrompt: encoded.noPrompt,
    readWeight: (component, key) => readFloat32(tensorsOf(started, component).get(key)!),
    ...(job.start && settings.kind === 'lora' ? { start: readLora(job.start, base) } : {}),
  };
  return { run, shown: variants[0]![0]!.picture };
}

/** Fills the subject's folder; see `SubjectDraft`. */
async function saveSubject(
  { trained, log, best }: LoggedTraining,
  shown: RgbImage,
  { base }: OpenedBase,
  { settings }: PersonalizationPlan,
  context: WorkContext,
): Promise<string> {
  const folder = join(context.folder, 'subject');
  rmSync(folder, { recursive: true, force: true });
  if (best === null) writeTrainedWeights(folder, trained, base, settings.alpha);
  else cpSync(join(context.folder, snapshotsFolder, String(best)), folder, { recursive: true });
  log.write({ event: 'done', time: time(), step: trained.steps, ...(best === null ? {} : { kept: best }) });
  // Copied: what is saved may have to be saved again.
  for (const name of [logFile, samplesFolder, ...(settings.keep === 'every' ? [snapshotsFolder] : [])]) {
    const from = join(context.folder, name);
    if (existsSync(from)) cpSync(from, join(folder, name), { recursive: true });
  }
  const thumbnail = shown.width > 256 ? resizeShorterSide(shown, 256, 'lanczos') : shown;
  await writePng(join(folder, 'thumbnail.png'), thumbnail);
  return folder;
}
