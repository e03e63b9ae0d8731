/** Pictures as a job: asked for, drawn when their turn comes, and kept with it. */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { JobStateError } from '../errors';
import type { WorkerProcess } from '../runtime/worker-process';
import type { Home } from '../subjects/home';
import type { GeneratedPicture } from '../work/generated-picture';
import { type GenerateRequest, type PictureFile, pictureOf, prepareGeneration } from './generation';
import type { DrawingRecord, DrawnPicture } from './job-record';
import { createDrawing, type HeldJob, holdJob, isKind, jobFolder, type Placement } from './jobs';
import { workOn } from './run-job';
import type { EngineSettings, RunOptions } from './run-options';

/** For what a request does not say. */
export interface BaseDefaults {
  readonly base: string;
  readonly vae: string | undefined;
}

/**
 * Puts a drawing in line: a host of the home makes it when its turn comes. The seed is drawn now where none is given, so
 * that the same pictures come out whoever makes them, and however often it begins anew. Throws what
 * `Engine.generate` rejects with before any work is done.
 */
export function queueDrawing(
  home: Home,
  request: GenerateRequest,
  defaults: BaseDefaults,
  placement: Placement,
): DrawingRecord {
  const { prompt, image, mask, count = 1, seed = randomInt(2 ** 31), ...others } = request;
  prepareGeneration(home, { ...request, count, seed }, defaults.base, defaults.vae);
  const files = {
    ...(image === undefined ? {} : { image: pictureOf('the image', image).bytes }),
    ...(mask === undefined ? {} : { mask: pictureOf('the mask', mask).bytes }),
  };
  return createDrawing(home, { prompt, seed, count, request: others }, files, placement);
}

/** Draws a waiting job's pictures and lets go of it. Rejects as `Engine.generate` does. */
export async function runDrawingJob(
  home: Home,
  id: string,
  defaults: BaseDefaults,
  worker: WorkerProcess,
  settings: EngineSettings,
  run: RunOptions,
): Promise<readonly DrawnPicture[]> {
  const held = holdDrawing(home, id);
  try {
    return await workOn(
      home,
      held,
      {
        method: 'generate',
        task: () => prepareGeneration(home, requestOf(held), defaults.base, defaults.vae),
        keep: (made: readonly GeneratedPicture[]) => {
          const pictures = made.map((picture, i) => keepPicture(held, picture, i + 1));
          held.update({ pictures });
          return pictures;
        },
      },
      worker,
      settings,
      run,
    );
  } finally {
    held.release();
  }
}

function holdDrawing(home: Home, id: string): HeldJob<DrawingRecord> {
  const held = holdJob(home, id);
  if (isKind(held, 'generate')) return held;
  held.release();
  throw new JobStateError(id, held.record().state, `The job ${id} learns a subject and draws nothing.`);
}

const requestOf = (held: HeldJob<DrawingRecord>): GenerateRequest =>
  recordedRequest(held.folder, held.record());

/** The request of a job once more, for `count` pictures of other seeds. */
export function requestAgain(home: Home, job: DrawingRecord, count: number): GenerateRequest {
  const { seed: _, ...request } = recordedRequest(jobFolder(home, job.id), job);
  return { ...request, count };
}

function recordedRequest(folder: string, { prompt, seed, count, request }: DrawingRecord): GenerateRequest {
  const file = (name: 'image' | 'mask'): { [Name in typeof name]?: PictureFile } => {
    try {
      return { [name]: readFileSync(join(folder, name)) };
    } catch {
      return {};
    }
  };
  return { ...request, prompt, seed, count, ...file('image'), ...file('mask') };
}

function keepPicture(
  held: HeldJob,
  { png, seed, width, height, settings }: GeneratedPicture,
  number: number,
): DrawnPicture {
  const file = `${number}.png`;
  writeFileAtomically(join(held.folder, file), [png]);
  return {
    id: `${held.record().id}.${number}`,
    file,
    seed,
    width,
    height,
    bytes: png.length,
    settings: { ...settings },
  };
}
