/** A subject as it was on the way: its weights after some steps, kept beside the last ones. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidOptionError } from '../errors';
import type { Subject } from './subjects';

/** Within a subject's folder, and a run's: a folder a step, with what `writeTrainedWeights` writes. */
export const snapshotsFolder = 'snapshots';

/** The steps that were kept, first to last. */
export function snapshotSteps(folder: string): number[] {
  const path = join(folder, snapshotsFolder);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .map(Number)
    .filter(Number.isSafeInteger)
    .sort((a, b) => a - b);
}

/** Throws InvalidOptionError for a step that was not kept. */
export function snapshotFolder({ name, folder }: Pick<Subject, 'name' | 'folder'>, step: number): string {
  const kept = snapshotSteps(folder);
  if (kept.includes(step)) return join(folder, snapshotsFolder, String(step));
  throw new InvalidOptionError(
    'step',
    kept.length === 0
      ? `@${name} has only its last weights: learn it with keep=every and sampleEvery to have those of earlier steps.`
      : `@${name} has no weights of step ${step}; there are those of ${kept.join(', ')}.`,
  );
}
