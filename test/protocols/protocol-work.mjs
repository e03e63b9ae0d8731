/**
 * As drawing-work, and it embeds: a picture is the mean of its colours (for LPIPS of its red alone), a text [255, 255, 255].
 * `protocolCalls` of the caller notes every task, and has the failures of trainings by their class.
 */
import { basename } from 'node:path';
import sharp from 'sharp';
import { runGeneration as draw, runPersonalization as learn } from '../operations/drawing-work.mjs';

const calls = () => globalThis.protocolCalls;

/** As our own work, recipes of DreamBench++ learn without an identifier. */
export async function runPersonalization(job, context) {
  calls().learned.push(job);
  if (calls().failures[job.className]) throw calls().failures[job.className];
  const draft = await learn(job, context);
  return job.settings.preset?.startsWith('dreambench') ? { ...draft, identifier: '' } : draft;
}

export function runGeneration(request, context) {
  calls().drawn.push(request);
  return draw(request, context);
}

export async function runEmbedding({ encoder, pictures, texts }, { onProgress, signal }) {
  calls().embedded.push({ kind: encoder.kind, pictures: pictures.map((path) => basename(path)), texts });
  onProgress({ phase: 'measure', step: 0, steps: 1 });
  signal.throwIfAborted();
  const vectors = await Promise.all(
    pictures.map(async (path) => {
      const { channels } = await sharp(path).stats();
      const means = channels.slice(0, 3).map(({ mean }) => mean);
      return Float32Array.from(encoder.kind === 'lpips' ? [means[0] / 255] : means);
    }),
  );
  return {
    encoder: `${encoder.kind} of the test`,
    pictures: vectors,
    texts: texts.map(() => Float32Array.of(255, 255, 255)),
  };
}
