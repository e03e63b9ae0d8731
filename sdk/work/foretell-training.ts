/** What learning a subject on a large base will take: its graphs, as the run will load them, counted beforehand. */
import type { BaseModel } from '../models/base-model';
import { createEncoder } from '../sampling/autoencoder';
import type { PipelineShape } from '../sampling/pipeline';
import { updateGraph } from '../training/dreambooth-trainer';
import type { TrainingSettings } from '../training/presets';
import { drawingStage, type ForetoldRun, foretell, isLarge, type Stage } from './estimate';
import { latentSize } from './loaded-base';
import { surveying } from './survey';
import type { WorkContext } from './work-context';

export interface ForetoldTraining {
  readonly settings: TrainingSettings;
  /** Pixels a side. */
  readonly side: number;
  /** Pictures to encode. */
  readonly encoded: number;
  /** Class images that are to be drawn, and the evaluations of the UNet for each. */
  readonly classImages: number;
  readonly classSteps: number;
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
      ...(settings.prior === 'none' ? [] : [changed('prior=none', { prior: 'none' })]),
      ...(settings.kind === 'full' ? [changed('kind=lora', { kind: 'lora' })] : []),
      ...smaller.map((less) => changed(`resolution=${less}`, {}, less)),
    ],
    stages: (options) => stagesOf(base, options),
  };
  await foretell(run, context);
}

async function stagesOf(base: BaseModel, training: ForetoldTraining): Promise<Stage[]> {
  const { settings, side, classImages } = training;
  const size = latentSize(base, { resolution: side });
  const stages: Stage[] = [];
  if (settings.prior === 'images' && classImages > 0) {
    const guided = settings.classGuidanceScale > 1;
    const shape: PipelineShape = { pictures: 1, size, guided, loraPaths: [] };
    const drawn = { pictures: classImages, steps: training.classSteps };
    stages.push(await drawingStage('class-images', base, shape, drawn));
  }
  const encoding = surveying();
  await createEncoder(base, side, side, encoding.createSession);
  stages.push(stageOf('encode', encoding.surveys, training.encoded));

  const update = surveying();
  const { outputs, trained } = updateGraph(base, settings, size);
  await update.createSession(outputs);
  const runs = settings.steps * settings.gradientAccumulationSteps;
  // Weights and their two sums go in and come out as copies.
  stages.push({ ...stageOf('train', update.surveys, runs), state: 6 * 4 * trained });
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
