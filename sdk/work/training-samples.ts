/** Pictures of a subject while it is learned: the same prompts and seeds every time, with the weights as they are. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fromPlanes } from '../images/pixel-planes';
import { writePng } from '../images/png';
import { tokenizeChunks } from '../models/text-condition';
import { createPipeline, type PipelineShape } from '../sampling/pipeline';
import { defaultSchedulerName } from '../schedulers/index';
import { makeFolder } from '../subjects/home';
import { type MentionedSubject, ownPrompt } from '../subjects/prompt';
import type { TrainingSettings } from '../training/presets';
import type { TrainedWeights } from '../training/train-dreambooth';
import { latentSize, loadPipeline, type OpenedBase, sessionsOf, wantsTiles } from './loaded-base';
import { trainedEmbedding, trainedLora, withTrained, writeTrainedWeights } from './trained-weights';
import type { WorkContext } from './work-context';

export const samplesFolder = 'samples';

export interface SampledSubject extends MentionedSubject {
  readonly name: string;
}

export interface Samples {
  readonly prompts: readonly string[];
  /** The same with the class alone in the subject's place. */
  readonly classPrompts: readonly string[];
  /** What an embedding is called in them. */
  readonly token: string;
  /** Pixels a side. */
  readonly side: number;
  /** Of the first prompt; the next has the next. Not the training's generator, which never notices. */
  readonly seed: number;
}

/** The prompts of samples for the text encoder. Throws InvalidOptionError where one mentions another subject. */
export function samplePrompts(settings: TrainingSettings, subject: SampledSubject): string[] {
  return settings.samplePrompts.map((prompt) => ownPrompt('samplePrompts', prompt, subject));
}

/**
 * Draws the samples after `step` steps into `samples/STEP-i.png` of the run's folder; returns the paths.
 * A LoRA is fed to a pipeline that stays loaded beside the training: its sessions read the base from the same mapped
 * files, so it takes what drawing takes, no second copy of the weights. A whole model is written down and loaded as the
 * subject will be, and let go of at once.
 */
export async function drawSamples(
  step: number,
  weights: TrainedWeights,
  opened: OpenedBase,
  settings: TrainingSettings,
  { prompts, token, side, seed }: Samples,
  context: WorkContext,
): Promise<string[]> {
  const { defaults } = opened;
  const guidanceScale = settings.drawGuidanceScale ?? defaults.guidanceScale;
  const steps = settings.sampleSteps ?? defaults.steps;
  const scheduler = settings.drawScheduler ?? defaultSchedulerName;
  const layers = trainedLora(weights, settings.alpha);
  const rows = trainedEmbedding(weights);
  const embeddings = settings.kind === 'embedding' ? [{ token, vectors: settings.vectors, rows }] : [];
  const chunked = prompts.map((prompt) => tokenizeChunks(opened.base, prompt, embeddings));
  const shape: PipelineShape = {
    pictures: 1,
    size: latentSize(opened.base, { resolution: side }),
    guided: guidanceScale > 1,
    tiled: wantsTiles(opened.base, side * side),
    // One pipeline for all: shorter prompts are filled up.
    chunks: Math.max(...chunked.map(({ length }) => length)),
    clipSkip: settings.clipSkip,
    loraPaths: [...layers.keys()].sort(),
  };
  const written = join(context.folder, 'sampled-weights');
  const whole = settings.kind === 'full';
  if (whole) writeTrainedWeights(written, weights, opened.base, settings.alpha);
  const pipeline = await (whole
    ? createPipeline(withTrained(opened.base, written), shape, sessionsOf(context)).catch((error) => {
        rmSync(written, { recursive: true, force: true });
        throw error;
      })
    : loadPipeline(context, opened, '', shape));
  const folder = makeFolder(join(context.folder, samplesFolder));
  const files: string[] = [];
  try {
    for (const [i, prompt] of prompts.entries()) {
      const made = {
        prompt,
        seed: seed + i,
        settings: { trainingStep: step, steps, guidanceScale, width: side, height: side, scheduler },
      };
      const [planes] = await pipeline.draw({
        prompts: [chunked[i]!],
        negativePrompt: null,
        seeds: [made.seed],
        scheduler,
        steps,
        zeroTerminalSnr: settings.zeroTerminalSnr,
        guidanceScale,
        loras: [{ layers, weight: 1 }],
        embeddings,
        signal: context.signal,
        onStep(done, of) {
          context.onProgress({
            phase: 'sample',
            step: i * of + done,
            steps: of * prompts.length,
            imagesPerStep: 1 / of,
          });
        },
      });
      const file = join(folder, `${step}-${i + 1}.png`);
      const picture = fromPlanes(planes!, { width: side, height: side });
      await writePng(file, picture, { dreambooth: JSON.stringify(made) });
      files.push(file);
    }
  } finally {
    if (whole) {
      await pipeline.release();
      rmSync(written, { recursive: true, force: true });
    }
  }
  return files;
}
