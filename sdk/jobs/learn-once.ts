/** Subjects whose names say how they were learned, so that none is learned twice. */
import { readSubject, type Subject, subjectExists } from '../subjects/subjects';
import type { Engine } from './engine';
import { listJobs } from './jobs';
import type { PersonalizationRequest } from './personalization';
import type { RunOptions } from './run-options';

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
