/** Who may see and change what. */
import { UnknownJobError, UnknownPictureError, UnknownSubjectError } from '../errors';
import type { JobRecord } from '../jobs/job-record';
import type { JobIndex } from '../jobs/jobs';
import type { Home } from '../subjects/home';
import { nearestFirst } from '../subjects/subject-name';
import { listSubjects, type Subject } from '../subjects/subjects';

export interface Caller {
  /** The person, as `local` or `discord:1234`; what they make is theirs. */
  readonly id: string;
  /** The community they ask in, as a Discord server; null: none. */
  readonly scope: string | null;
  /**
   * `operator`: may see and change everything, as whoever sits at the machine. `moderator`: also what others made in
   * the same community. `member`: what is theirs; they draw with the community's subjects.
   */
  readonly role: 'operator' | 'moderator' | 'member';
  /** Through which host. */
  readonly host: string;
}

/** Whose something is. */
export interface Owned {
  readonly owner: string;
  readonly scope: string | null;
}

const isTheirs = ({ id, scope }: Caller, thing: Owned) =>
  // In another community the same person sees what is there.
  thing.owner === id && (scope === null || thing.scope === null || thing.scope === scope);

const isSharedWith = ({ scope }: Caller, thing: Owned) => scope !== null && thing.scope === scope;

/** Subjects are there for their whole community. */
export const mayUse = (caller: Caller, subject: Owned): boolean =>
  caller.role === 'operator' || isTheirs(caller, subject) || isSharedWith(caller, subject);

/** Jobs and their pictures are seen by who asked for them, and by moderators. */
export const maySee = (caller: Caller, job: Owned): boolean => mayChange(caller, job);

export const mayChange = (caller: Caller, thing: Owned): boolean =>
  caller.role === 'operator' ||
  isTheirs(caller, thing) ||
  (caller.role === 'moderator' && isSharedWith(caller, thing));

/** Oldest first. */
export const usableSubjects = (home: Home, caller: Caller): Subject[] =>
  listSubjects(home).filter((subject) => mayUse(caller, subject));

/** Oldest first. */
export const visibleJobs = (jobs: JobIndex, caller: Caller): JobRecord[] =>
  jobs.list().filter((job) => maySee(caller, job));

/** Throws UnknownJobError, also for a job of somebody else: that there is one is theirs to know. */
export function findJob(jobs: JobIndex, caller: Caller, id: string): JobRecord {
  const job = jobs.get(id);
  if (job !== undefined && maySee(caller, job)) return job;
  const visible = visibleJobs(jobs, caller);
  throw new UnknownJobError(
    id,
    nearestFirst(
      id,
      visible.map((one) => one.id),
    ),
  );
}

/** Throws UnknownSubjectError, which lists the caller's, for one that is not there for them. */
export function findSubject(home: Home, caller: Caller, typed: string): Subject {
  const name = typed.trim().replace(/^@/, '').toLowerCase();
  const usable = usableSubjects(home, caller);
  const subject = usable.find((one) => one.name === name);
  if (subject !== undefined) return subject;
  throw new UnknownSubjectError(
    name,
    nearestFirst(
      name,
      usable.map((one) => one.name),
    ),
  );
}

/** As `findSubject`, for one that the caller is about to change; one that is another's cannot be found. */
export function findOwnSubject(home: Home, caller: Caller, typed: string): Subject {
  const subject = findSubject(home, caller, typed);
  if (mayChange(caller, subject)) return subject;
  const own = usableSubjects(home, caller).filter((one) => mayChange(caller, one));
  throw new UnknownSubjectError(
    subject.name,
    own.map((one) => one.name),
  );
}

/** A picture by its id, as `draw-1f3a.1`, and the job that drew it. Throws UnknownPictureError. */
export function findPicture(jobs: JobIndex, caller: Caller, id: string) {
  const job = jobs.get(id.replace(/\.\d+$/, ''));
  if (job !== undefined && !maySee(caller, job)) throw new UnknownPictureError(id);
  const picture = job?.kind === 'generate' ? job.pictures.find((one) => one.id === id) : undefined;
  if (job?.kind === 'generate' && picture !== undefined) return { job, picture };
  throw new UnknownPictureError(id);
}
