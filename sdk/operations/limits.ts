/** How much one may have made; null: as much as one likes. Of the operator nothing is limited. */
import { LimitReachedError } from '../errors';
import { isOpen, type JobRecord } from '../jobs/job-record';
import type { JobIndex } from '../jobs/jobs';
import type { Caller } from './rights';

export interface Limits {
  /** Jobs of one owner that wait or run. */
  readonly openJobs: number | null;
  /** Likewise of a whole community. */
  readonly openJobsOfScope: number | null;
  /** Trainings of one owner in 24 hours. */
  readonly trainingsADay: number | null;
  /** Pictures of one owner in an hour. */
  readonly picturesAnHour: number | null;
}

export const noLimits: Limits = {
  openJobs: null,
  openJobsOfScope: null,
  trainingsADay: null,
  picturesAnHour: null,
};

/** Whose jobs are counted, and where; limits hold for a moderator, too. */
type Counted = Pick<Caller, 'id' | 'scope' | 'role'>;

/** Asked before a job is made; `pictures` is how many it draws. Throws LimitReachedError. */
export function checkLimits(
  limits: Limits,
  jobs: JobIndex,
  caller: Counted,
  wanted: { readonly kind: 'personalize' } | { readonly kind: 'generate'; readonly pictures: number },
): void {
  if (caller.role === 'operator') return;
  checkOpenJobs(limits, jobs, caller);
  const own = jobs.list().filter(({ owner }) => owner === caller.id);
  const since = (age: number) => new Date(Date.now() - age).toISOString();
  if (wanted.kind === 'personalize') {
    const recent = own.filter((job) => job.kind === 'personalize' && job.createdAt > since(24 * 3600e3));
    if (limits.trainingsADay === null || recent.length < limits.trainingsADay) return;
    throw new LimitReachedError(
      'trainingsADay',
      `You have had ${recent.length} subjects learned in the last 24 hours, as many as one may: the next can be at ${later(recent, 24 * 3600e3)}.`,
    );
  }
  const drawn = own.filter((job) => job.kind === 'generate' && job.createdAt > since(3600e3));
  const pictures = drawn.reduce((sum, job) => sum + (job.kind === 'generate' ? job.count : 0), 0);
  if (limits.picturesAnHour === null || pictures + wanted.pictures <= limits.picturesAnHour) return;
  throw new LimitReachedError(
    'picturesAnHour',
    `You have asked for ${pictures} pictures in the last hour, and ${limits.picturesAnHour} may be: ask for fewer, or again${drawn.length === 0 ? '' : ` at ${later(drawn, 3600e3)}`}.`,
  );
}

/**
 * Asked before a job waits, also one that waits again: what it makes was counted when it was made.
 * Throws LimitReachedError.
 */
export function checkOpenJobs(limits: Limits, jobs: JobIndex, { id, scope, role }: Counted): void {
  if (role === 'operator') return;
  const open = jobs.list().filter(isOpen);
  const own = open.filter(({ owner }) => owner === id).length;
  if (limits.openJobs !== null && own >= limits.openJobs) {
    throw new LimitReachedError(
      'openJobs',
      `${own} of your jobs wait or run, and ${limits.openJobs} may: wait for one of them, or cancel it.`,
    );
  }
  const here = open.filter((job) => scope !== null && job.scope === scope).length;
  if (limits.openJobsOfScope !== null && here >= limits.openJobsOfScope) {
    throw new LimitReachedError(
      'openJobsOfScope',
      `${here} jobs wait or run here, and ${limits.openJobsOfScope} may: try again when some are done.`,
    );
  }
}

/** When the oldest of them no longer counts. */
const later = ([oldest]: readonly JobRecord[], age: number) =>
  `${new Date(Date.parse(oldest!.createdAt) + age).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
