/** How well a subject of the embedded world was learned, in the engine: drawn by it and by its base, read by the oracle. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors } from '../checkpoint/safetensors';
import { MissingFileError } from '../errors';
import { createOracle } from '../evaluation/oracle';
import { measureToySubject, type ToyMeasurement, type ToyModels } from '../evaluation/toybox-protocol';
import { fromPlanes, toPlanes } from '../images/pixel-planes';
import { scaleLatents } from '../models/latents';
import { tokenizePrompt } from '../models/text-condition';
import { createDecoder, createEncoder } from '../sampling/autoencoder';
import { defaultSchedulerName } from '../schedulers/index';
import { tokenEmbedding } from '../subjects/embedding-subject';
import type { Subject } from '../subjects/subjects';
import type { ToySubject } from '../toybox/toy-subject';
import { loadPipeline, type OpenedBase, openBase, sessionsOf } from './loaded-base';
import { readLora } from './run-generation';
import { withTrained } from './trained-weights';
import type { WorkContext } from './work-context';

export interface MeasurementRequest {
  /** The base that the subject was learned on, with the oracle in its folder `oracle`. */
  readonly basePath: string;
  /** What was learned. */
  readonly subject: Subject;
  /** Who it is in truth. */
  readonly toy: ToySubject;
}

/** Throws MissingFileError for a base without an oracle. */
export type RunMeasurement = (request: MeasurementRequest, context: WorkContext) => Promise<ToyMeasurement>;

const side = 64;
/** Pictures at a time: small latents leave the processor idle one by one. */
const batch = 16;

export const runMeasurement: RunMeasurement = async ({ basePath, subject, toy }, context) => {
  const weights = join(basePath, 'oracle', 'model.safetensors');
  if (!existsSync(weights)) {
    throw new MissingFileError(
      weights,
      `${basePath} has no oracle: only subjects of the embedded base model can be measured against the truth.`,
    );
  }
  const opened = openBase(basePath);
  const sessions = sessionsOf(context);
  const steps = 5;
  context.onProgress({ phase: 'measure', step: 0, steps });
  const oracle = await createOracle(openSafetensors(weights).tensors, sessions);
  try {
    return await measureToySubject(
      toy,
      subject.identifier,
      await toyModels(opened, subject, context),
      oracle,
      (step) => context.onProgress({ phase: 'measure', step, steps }),
    );
  } finally {
    await oracle.release();
  }
};

async function toyModels(opened: OpenedBase, subject: Subject, context: WorkContext): Promise<ToyModels> {
  const { base, defaults } = opened;
  const size: [number, number] = [side / base.vae.config.factor, side / base.vae.config.factor];
  const isFull = subject.kind === 'full';
  const layers = subject.kind === 'lora' ? readLora(subject, base) : undefined;
  const embeddings = subject.kind === 'embedding' ? [tokenEmbedding(subject)] : [];
  const learned = isFull ? { ...opened, base: withTrained(base, subject.folder) } : opened;
  const shape = { pictures: batch, size, guided: true };
  const pipelines = {
    subject: () =>
      loadPipeline(context, learned, isFull ? subject.id : '', {
        ...shape,
        loraPaths: layers ? [...layers.keys()].sort() : [],
      }),
    base: () => loadPipeline(context, opened, '', { ...shape, loraPaths: [] }),
  };
  const pixelsOf = (planes: Float32Array) => fromPlanes(planes, { width: side, height: side }).data;
  const planesOf = (pixels: Uint8Array) => toPlanes({ width: side, height: side, data: pixels });
  return {
    pixelsOf,
    planesOf,
    async draw(who, orders, guidanceScale) {
      const pipeline = await pipelines[who]();
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
          scheduler: defaultSchedulerName,
          steps: defaults.steps,
          guidanceScale: guidanceScale ?? defaults.guidanceScale,
          loras: who === 'subject' && layers ? [{ layers, weight: 1 }] : [],
          signal: context.signal,
        });
        pictures.push(...drawn.slice(0, orders.length - first));
      }
      return pictures;
    },
    async reconstruct(pictures) {
      const sessions = sessionsOf(context);
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
    },
  };
}
