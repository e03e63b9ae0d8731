/** What learning a subject on a large base will take: its graphs, as the run will load them, counted beforehand. */
import type { BaseModel } from '../models/base-model';
import { createEncoder } from '../sampling/autoencoder';
import type { PipelineShape } from '../sampling/pipeline';
import type { PictureSize } from '../training/aspect-buckets';
import { updateGraph } from '../training/dreambooth-trainer';
import type { TrainingSettings } from '../training/presets';
import { drawingStage, type ForetoldRun, foretell, heldBy, isLarge, type Stage } from './estimate';
import { type BaseDefaults, latentSize } from './loaded-base';
import { type Survey, surveying } from './survey';
import { trainedSizes } from './training-pictures';
import type { WorkContext } from './work-context';

export interface ForetoldTraining {
  readonly settings: TrainingSettings;
  /** Pixels a side. */
  readonly side: number;
  /** Sizes of the photos as they are. */
  readonly photos: readonly PictureSize[];
  /** Class images that have yet to be drawn. */
  readonly missingClassImages: number;
  /** How the base is usually drawn, as class images and samples are. */
  readonly usual: Pick<BaseDefaults, 'steps' | 'guidanceScale'>;
}

/** Tells what it takes, and refuses what does not fit, before anything is loaded; see `foretell`. */
export async function foretellTraining(
  base: BaseModel,
  training: ForetoldTraining,
  context: WorkContext,
): Promise<void> {
  if (!isLarge(base)) return;
  const { settings, side } = training;
  const changed = (change: string, settings: Partial<TrainingSettings>, smaller = side) => ({
    change,
    options: { ...training, settings: { ...training.settings, ...settings }, side: smaller },
  });
  const smaller = [0.75, 0.5].map((share) => Math.round((side * share) / 64) * 64);
  const run: ForetoldRun<ForetoldTraining> = {
    what: `Learning at ${side} × ${side} pixels`,
    options: training,
    changes: [
      ...(settings.batchSize > 1 ? [changed('batchSize=1', { batchSize: 1 })] : []),
      ...(settings.gradientAccumulationSteps > 1
        ? [changed('gradientAccumulationSteps=1', { gradientAccumulationSteps: 1 })]
        : []),
      ...(settings.prior === 'none' ? [] : [changed('prior=none', { prior: 'none' })]),
      ...(settings.kind === 'full' ? [changed('kind=lora', { kind: 'lora' })] : []),
      ...smaller.map((less) => changed(`resolution=${less}`, {}, less)),
    ],
    stages: (options) => stagesOf(base, options),
  };
  await foretell(run, context);
}

async function stagesOf(base: BaseModel, foretold: ForetoldTraining): Promise<Stage[]> {
  const { settings, side, photos, usual, missingClassImages } = foretold;
  const classImages = settings.prior === 'images' ? settings.classImages : 0;
  const size = latentSize(base, { resolution: side });
  const stages: Stage[] = [];
  if (classImages > 0 && missingClassImages > 0) {
    const guided = settings.classGuidanceScale > 1;
    const shape: PipelineShape = { pictures: 1, size, guided, loraPaths: [] };
    const drawn = { pictures: missingClassImages, steps: usual.steps };
    stages.push(await drawingStage('class-images', base, shape, drawn));
  }
  const encoding = surveying();
  await createEncoder(base, side, side, encoding.createSession);
  stages.push(stageOf('encode', encoding.surveys, photos.length + classImages));

  const update = surveying();
  const { outputs, trained } = updateGraph(base, settings, size);
  await update.createSession(outputs);
  const accumulates = settings.gradientAccumulationSteps > 1;
  const [survey] = update.surveys as [Survey];
  const shapes = new Set(
    trainedSizes(photos, side, base.vae.config.factor, settings).map(
      ({ width, height }) => `${width}×${height}`,
    ),
  );
  const training: Stage = {
    phase: 'train',
    graphs: [
      {
        survey,
        runs: settings.steps * settings.gradientAccumulationSteps,
        // Each shape of photos has a graph of about this size, and another that gathers gradients.
        loaded: shapes.size * (accumulates ? 2 : 1),
      },
    ],
    // Weights and their two sums go in and come out as copies, and so do gathered gradients; an average is one more.
    state: 4 * trained * (6 + (accumulates ? 2 : 0) + (settings.emaDecay > 0 ? 1 : 0)),
  };
  stages.push(training);
  if (settings.sampleEvery > 0) {
    const guided = (settings.drawGuidanceScale ?? usual.guidanceScale) > 1;
    const shape: PipelineShape = { pictures: 1, size, guided, loraPaths: [] };
    const pictures = Math.ceil(settings.steps / settings.sampleEvery) * settings.samplePrompts.length;
    const drawn = { pictures, steps: settings.sampleSteps ?? usual.steps };
    const drawing = await drawingStage('sample', base, shape, drawn);
    // They are drawn beside the training.
    stages.push({ ...drawing, state: heldBy(training) });
  }
  return stages;
}

const stageOf = (
  phase: Stage['phase'],
  surveys: readonly Stage['graphs'][number]['survey'][],
  runs: number,
) => ({
  phase,
  graphs: surveys.map((survey) => ({ survey, runs })),
});
