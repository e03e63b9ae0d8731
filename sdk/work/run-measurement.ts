/** How well a subject of the embedded world was learned, in the engine: drawn by it and by its base, read by the oracle. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors } from '../checkpoint/safetensors';
import { MissingFileError } from '../errors';
import { createOracle } from '../evaluation/oracle';
import {
  copyingModel,
  measureToyModels,
  realModel,
  type ToyMeasurement,
  type ToyModel,
  type ToyWorld,
} from '../evaluation/toybox-protocol';
import { fromPlanes, toPlanes } from '../images/pixel-planes';
import type { BaseModel } from '../models/base-model';
import { scaleLatents } from '../models/latents';
import { tokenizePrompt } from '../models/text-condition';
import { createDecoder, createEncoder } from '../sampling/autoencoder';
import { defaultSchedulerName, schedulerNames } from '../schedulers/index';
import { tokenEmbedding } from '../subjects/embedding-subject';
import type { Subject } from '../subjects/subjects';
import type { ToySubject } from '../toybox/toy-subject';
import { loadPipeline, type OpenedBase, openBase, sessionsOf } from './loaded-base';
import { readLora } from './run-generation';
import { withTrained } from './trained-weights';
import type { WorkContext } from './work-context';

/** Whose pictures are measured, as the engine's process is told. */
export type MeasuredModel =
  | {
      readonly kind: 'base';
      readonly identifier: string | null;
      readonly noun: string | null;
      /** It is drawn as a subject of these settings is; none: as itself. */
      readonly settings: Subject['settings'];
    }
  | {
      readonly kind: 'subject';
      readonly subject: Subject;
      /** Where its weights lie; an earlier state of it has a folder of its own. */
      readonly folder: string;
      readonly noun: string | null;
      readonly photos?: number;
    }
  | { readonly kind: 'real' }
  | { readonly kind: 'copies' };

export interface MeasurementRequest {
  /** The base that the subjects were learned on, with the oracle in its folder `oracle`. */
  readonly basePath: string;
  /** Who they are in truth. */
  readonly toy: ToySubject;
  readonly models: readonly MeasuredModel[];
}

/** A measurement for each model. Throws MissingFileError for a base without an oracle. */
export type RunMeasurement = (
  request: MeasurementRequest,
  context: WorkContext,
) => Promise<readonly ToyMeasurement[]>;

const side = 64;
/** Pictures at a time: small latents leave the processor idle one by one. */
const batch = 16;

export const runMeasurement: RunMeasurement = async ({ basePath, toy, models }, context) => {
  const weights = join(basePath, 'oracle', 'model.safetensors');
  if (!existsSync(weights)) {
    throw new MissingFileError(
      weights,
      `${basePath} has no oracle: only subjects of the embedded base model can be measured against the truth.`,
    );
  }
  const opened = openBase(basePath);
  context.onProgress({ phase: 'measure', step: 0, steps: models.length + 1 });
  const oracle = await createOracle(openSafetensors(weights).tensors, sessionsOf(context));
  const bases = new Map<string, ToyModel['draw']>();
  /** One for all that are drawn alike. */
  const drawBase = (settings: Subject['settings']): ToyModel['draw'] => {
    const drawing = drawingOf(settings, opened);
    const key = JSON.stringify(drawing);
    const draw = bases.get(key) ?? drawerOf(opened, null, drawing, context);
    bases.set(key, draw);
    return draw;
  };
  // Controls, which are not drawn, are compared with the base as what stands beside them is.
  const [beside = {}] = models.flatMap((model) =>
    model.kind === 'base' ? [model.settings] : model.kind === 'subject' ? [model.subject.settings] : [],
  );
  const world: ToyWorld = {
    oracle,
    drawBase: drawBase(beside),
    reconstruct: (pictures) => reconstruct(opened.base, pictures, context),
    pixelsOf: (planes) => fromPlanes(planes, { width: side, height: side }).data,
    planesOf,
  };
  const modelOf = (model: MeasuredModel): ToyModel => {
    if (model.kind === 'real') return realModel(toy, world);
    if (model.kind === 'copies') return copyingModel(toy, world);
    const { noun } = model;
    if (model.kind === 'base') {
      const draw = drawBase(model.settings);
      return { identifier: model.identifier, noun, draw, drawBase: draw };
    }
    const subject = { ...model.subject, folder: model.folder };
    const { identifier, settings } = subject;
    const draw = drawerOf(opened, subject, drawingOf(settings, opened), context);
    const photos = model.photos !== undefined && { photos: model.photos };
    return { identifier, noun, draw, drawBase: drawBase(settings), ...photos };
  };
  try {
    return await measureToyModels(toy, models.map(modelOf), world, (step, steps) =>
      context.onProgress({ phase: 'measure', step, steps }),
    );
  } finally {
    await oracle.release();
  }
};

const planesOf = (pixels: Uint8Array) => toPlanes({ width: side, height: side, data: pixels });

/** How pictures of a subject of these settings are drawn, whoever draws them. */
const drawingOf = (settings: Subject['settings'], { defaults }: OpenedBase) => ({
  guidance: Number(settings['drawGuidanceScale'] ?? defaults.guidanceScale),
  steps: Number(settings['drawSteps'] ?? defaults.steps),
  scheduler: schedulerNames.find((name) => name === settings['drawScheduler']) ?? defaultSchedulerName,
  clipSkip: Number(settings['clipSkip'] ?? 0),
  zeroTerminalSnr: settings['zeroTerminalSnr'] === true,
});

function drawerOf(
  opened: OpenedBase,
  subject: Subject | null,
  { guidance, steps, scheduler, clipSkip, zeroTerminalSnr }: ReturnType<typeof drawingOf>,
  context: WorkContext,
): ToyModel['draw'] {
  const { base } = opened;
  const isFull = subject?.kind === 'full';
  const layers = subject?.kind === 'lora' ? readLora(subject, base) : undefined;
  const embeddings = subject?.kind === 'embedding' ? [tokenEmbedding(subject)] : [];
  const learned = isFull ? { ...opened, base: withTrained(base, subject.folder) } : opened;
  return async (orders, guidanceScale) => {
    const pipeline = await loadPipeline(context, learned, isFull ? subject.folder : '', {
      pictures: batch,
      size: latentSize(base),
      guided: true,
      clipSkip,
      loraPaths: layers ? [...layers.keys()].sort() : [],
    });
    const pictures: Float32Array[] = [];
    for (let first = 0; first < orders.length; first += batch) {
      context.signal.throwIfAborted();
      // The last batch is filled up with its last order.
      const some = Array.from({ length: batch }, (_, i) => orders[Math.min(first + i, orders.length - 1)]!);
      const drawn = await pipeline.draw({
        prompts: some.map(({ text }) => [tokenizePrompt(base, text, embeddings).tokens]),
        negativePrompt: null,
        embeddings,
        seeds: some.map(({ seed }) => seed),
        scheduler,
        steps,
        zeroTerminalSnr,
        guidanceScale: guidanceScale ?? guidance,
        loras: layers ? [{ layers, weight: 1 }] : [],
        signal: context.signal,
      });
      pictures.push(...drawn.slice(0, orders.length - first));
    }
    return pictures;
  };
}

async function reconstruct(
  base: BaseModel,
  pictures: readonly Uint8Array[],
  context: WorkContext,
): Promise<Float32Array[]> {
  const sessions = sessionsOf(context);
  const size = latentSize(base);
  const encoder = await createEncoder(base, side, side, sessions);
  const decoder = await createDecoder(base, size, sessions);
  const planes: Float32Array[] = [];
  for (const picture of pictures) {
    context.signal.throwIfAborted();
    const { mean } = await encoder.encode(planesOf(picture));
    planes.push(await decoder.decode(scaleLatents(base.vae.config, mean, size[0] * size[1])));
  }
  await encoder.release();
  await decoder.release();
  return planes;
}

const latentSize = ({ vae }: BaseModel): [number, number] => [
  side / vae.config.factor,
  side / vae.config.factor,
];
