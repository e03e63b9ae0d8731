/** The training of a job: from its checkpoint if there is one, with checkpoints, samples, and a log of it all. */
import { rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { TrainingDivergedError } from '../errors';
import { forTraining } from '../runtime/session';
import { snapshotSteps, snapshotsFolder } from '../subjects/snapshots';
import { bestStep, hasPeaked, type ScoredStep } from '../training/best-step';
import {
  type DreamBoothHooks,
  type DreamBoothRun,
  type FinishedTraining,
  trainDreamBooth,
} from '../training/train-dreambooth';
import { type OpenedBase, sessionsOf } from './loaded-base';
import type { PersonalizationJob } from './personalization-job';
import type { PersonalizationPlan } from './personalization-plan';
import { createSampleScorer } from './sample-scorer';
import { writeTrainedWeights } from './trained-weights';
import { readCheckpoint, writeCheckpoint } from './training-checkpoint';
import { logFile, openTrainingLog, type TrainingLog } from './training-log';
import { drawSamples } from './training-samples';
import type { WorkContext } from './work-context';

/** As ISO 8601. */
export const time = (): string => new Date().toISOString();

export interface LoggedTraining {
  readonly trained: FinishedTraining;
  readonly log: TrainingLog;
  /** The step whose weights are to be the subject's, among those kept; null: the last ones are. */
  readonly best: number | null;
}

/** `warnings` are what was told before, for the log. */
export async function trainLogged(
  job: PersonalizationJob,
  opened: OpenedBase,
  plan: PersonalizationPlan,
  run: DreamBoothRun,
  warnings: readonly string[],
  context: WorkContext,
): Promise<LoggedTraining> {
  const { onProgress, signal } = context;
  const { settings } = plan;
  const checkpointFile = join(context.folder, 'checkpoint.safetensors');
  const from = readCheckpoint(checkpointFile, opened.contents, job.name);
  const imagesPerStep =
    (settings.prior === 'none' ? 1 : 2) * settings.batchSize * settings.gradientAccumulationSteps;
  const log = openTrainingLog(join(context.folder, logFile), from?.trainer.step);
  const snapshots = join(context.folder, snapshotsFolder);
  const forget = (steps: readonly number[]) => {
    for (const step of steps) rmSync(join(snapshots, String(step)), { recursive: true, force: true });
  };
  // Of steps that will be made again, or of a run that was begun anew.
  forget(snapshotSteps(context.folder).filter((step) => step > (from?.trainer.step ?? 0)));
  const scored: ScoredStep[] = log.before.flatMap((line) =>
    line.event === 'sample' && line.scores ? [{ step: line.step, score: line.scores.score }] : [],
  );
  const isEnd = () => settings.stopWhen === 'good' && hasPeaked(scored);
  if (from) {
    log.write({ event: 'resumed', time: time(), step: from.trainer.step });
  } else {
    const { name, className, identifier } = plan.subject;
    const photos = job.photos.map((photo) => photo.name);
    const about = { subject: name, className, identifier, seed: job.seed, base: opened.fingerprint, photos };
    log.write({ event: 'started', time: time(), ...about, settings: plan.inEffect });
    for (const message of warnings) log.write({ event: 'warning', message });
  }
  const { subject, samples, scoring } = plan;
  const photos = job.photos.map(({ file }) => file);
  const scorer =
    scoring.length === 0
      ? undefined
      : await createSampleScorer(scoring, { subject, photos, ...samples }, context);
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
      const { step } = checkpoint.trainer;
      log.write({ event: 'checkpoint', step });
      if (settings.keep !== 'best') return;
      // A resumed run goes on from here, and never comes back to what was worse before.
      const settled = scored.filter((one) => one.step <= step);
      const best = bestStep(settled);
      forget(settled.flatMap((one) => (one === best ? [] : [one.step])));
    },
    async onSample(step, weights) {
      if (log.before.some((line) => line.event === 'sample' && line.step === step)) return isEnd();
      const files = await drawSamples(step, weights, opened, settings, plan.samples, context);
      const scores = await scorer?.score(files);
      if (scores) scored.push({ step, score: scores.score });
      if (settings.keep === 'every' || (settings.keep === 'best' && bestStep(scored)?.step === step))
        writeTrainedWeights(join(snapshots, String(step)), weights, opened.base, settings.alpha);
      const within = files.map((file) => relative(context.folder, file));
      log.write({ event: 'sample', step, files: within, ...(scores ? { scores } : {}) });
      context.onSample(step, files, scores);
      begun = performance.now();
      return isEnd();
    },
  };
  const training = trainDreamBooth(run, hooks, sessionsOf(context, forTraining), from);
  const trained = await training
    .catch((error: unknown) => {
      if (!(error instanceof TrainingDivergedError)) throw error;
      const { learningRate } = settings;
      throw new TrainingDivergedError(error.step, error.loss, { job: job.id, learningRate });
    })
    .finally(() => scorer?.release());
  const best = settings.keep === 'best' ? bestStep(scored)?.step : undefined;
  if (scored.length > 0 && bestStep(scored) === undefined) {
    const message =
      'No sample scored above 0: what scores them sees neither the subject nor what was asked for, and nothing was decided by them. The subject has the last weights.';
    log.write({ event: 'warning', message });
    context.onWarning(message);
  }
  return { trained, log, best: best === undefined || best === trained.steps ? null : best };
}
