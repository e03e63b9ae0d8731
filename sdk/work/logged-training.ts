/** The training of a job: from its checkpoint if there is one, with checkpoints, samples, and a log of it all. */
import { join, relative } from 'node:path';
import { TrainingDivergedError } from '../errors';
import { forTraining } from '../runtime/session';
import { snapshotsFolder } from '../subjects/snapshots';
import {
  type DreamBoothHooks,
  type DreamBoothRun,
  type TrainedWeights,
  trainDreamBooth,
} from '../training/train-dreambooth';
import { type OpenedBase, sessionsOf } from './loaded-base';
import type { PersonalizationJob } from './personalization-job';
import type { PersonalizationPlan } from './personalization-plan';
import { writeTrainedWeights } from './trained-weights';
import { readCheckpoint, writeCheckpoint } from './training-checkpoint';
import { logFile, openTrainingLog, type TrainingLog } from './training-log';
import { drawSamples } from './training-samples';
import type { WorkContext } from './work-context';

/** As ISO 8601. */
export const time = (): string => new Date().toISOString();

/** `warnings` are what was told before, for the log. */
export async function trainLogged(
  job: PersonalizationJob,
  opened: OpenedBase,
  plan: PersonalizationPlan,
  run: DreamBoothRun,
  warnings: readonly string[],
  context: WorkContext,
): Promise<{ readonly trained: TrainedWeights; readonly log: TrainingLog }> {
  const { onProgress, signal } = context;
  const { settings } = plan;
  const checkpointFile = join(context.folder, 'checkpoint.safetensors');
  const from = readCheckpoint(checkpointFile, opened.contents, job.name);
  const imagesPerStep =
    (settings.prior === 'none' ? 1 : 2) * settings.batchSize * settings.gradientAccumulationSteps;
  const log = openTrainingLog(join(context.folder, logFile), from?.trainer.step);
  if (from) {
    log.write({ event: 'resumed', time: time(), step: from.trainer.step });
  } else {
    const { name, className, identifier } = plan.subject;
    const photos = job.photos.map((photo) => photo.name);
    const about = { subject: name, className, identifier, seed: job.seed, base: opened.fingerprint, photos };
    log.write({ event: 'started', time: time(), ...about, settings: plan.inEffect });
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
      const files = await drawSamples(step, weights, opened, settings, plan.samples, context);
      if (settings.keep === 'every') {
        const kept = join(context.folder, snapshotsFolder, String(step));
        writeTrainedWeights(kept, weights, opened.base, settings.alpha);
      }
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
  return { trained, log };
}
