/** Subjects of a protocol: learned under names that say how, so that none is learned twice. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { autoencoderFingerprint, checkpointFingerprint } from '../checkpoint/fingerprint';
import { autoencoderPath, basePath } from '../jobs/base-path';
import type { Engine } from '../jobs/engine';
import { listJobs } from '../jobs/jobs';
import type { PersonalizationRequest } from '../jobs/personalization';
import type { RunOptions } from '../jobs/run-options';
import { readSubject, type Subject, subjectExists } from '../subjects/subjects';

/** Six hexadecimal digits for whatever JSON can say. */
export const fingerprint = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 6);

/** A file's bytes in 64 hexadecimal digits. */
export const fileHash = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

/**
 * What a base and the autoencoder in place of its own hold, wherever they lie: what was drawn on others is not taken for
 * drawn on these. Throws MissingFileError, BrokenFileError.
 */
export function baseContents(base: string, vae: string | null): readonly (string | null)[] {
  const autoencoder = autoencoderPath(vae);
  return [
    checkpointFingerprint(basePath(base)),
    autoencoder === null ? null : autoencoderFingerprint(autoencoder),
  ];
}

/**
 * The subject of that name if it is there, else the end of a job that was broken off over it, else of a new one.
 * Rejects with what `personalize` of the engine does.
 */
export function learnOnce(
  engine: Engine,
  request: PersonalizationRequest & { readonly name: string },
  run: RunOptions,
): Promise<Subject> {
  const { home } = engine;
  if (subjectExists(home, request.name)) return Promise.resolve(readSubject(home, request.name));
  const broken = listJobs(home).findLast(
    (job) =>
      job.kind === 'personalize' &&
      job.name === request.name &&
      (job.state === 'stopped' || job.state === 'failed'),
  );
  return broken ? engine.resume(broken.id, run) : engine.personalize(request, run);
}
