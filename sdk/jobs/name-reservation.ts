import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { type FileLock, takeLock } from '../checkpoint/file-lock';
import { NameTakenError, UnknownJobError } from '../errors';
import { type Home, makeFolder } from '../subjects/home';
import { checkSubjectName, nameStem } from '../subjects/subject-name';
import { isSubject, subjectExists } from '../subjects/subjects';
import { isOpen, type PersonalizationRecord } from './job-record';
import { readJob } from './jobs';

export interface NameReservation extends FileLock {
  readonly name: string;
}

/**
 * Keeps a name for a subject that is being learned, against every other process, until it is released; the
 * reservation of a dead process lapses. The subject of id `replaced` may have it, and the waiting job `job`.
 * Throws InvalidNameError, NameTakenError.
 */
export function reserveName(home: Home, name: string, replaced?: string, job?: string): NameReservation {
  checkSubjectName(name);
  const folder = makeFolder(reservations(home));
  const lock = takeLock(join(folder, name));
  if ('heldBy' in lock) {
    throw new NameTakenError(
      name,
      `A subject @${name} is being learned right now (process ${lock.heldBy.pid}): choose another name.`,
    );
  }
  const waiting = waitingJob(home, name);
  if (waiting !== undefined && waiting !== job) {
    lock.release();
    throw new NameTakenError(
      name,
      `A subject @${name} is about to be learned (job ${waiting}): choose another name, or cancel that job.`,
    );
  }
  // Looked up under the lock, so that a subject finished a moment ago is seen.
  if (subjectExists(home, name) && !(replaced !== undefined && isSubject(home, name, replaced))) {
    lock.release();
    throw new NameTakenError(
      name,
      `There is a subject @${name} already: choose another name, go on with that one (\`--continue ${name}\`), or remove it with \`dreambooth subjects delete ${name}\`.`,
    );
  }
  return { name, ...lock };
}

/** For a job that goes on. Throws NameTakenError, which says how a job whose name is taken goes on. */
export function reserveForJob(
  home: Home,
  name: string,
  { id, continueFrom }: PersonalizationRecord,
): NameReservation {
  try {
    return reserveName(home, name, continueFrom?.id, id);
  } catch (error) {
    if (!(error instanceof NameTakenError)) throw error;
    throw new NameTakenError(
      name,
      `The name @${name} was taken while the job ${id} waited: go on with it under another, as dreambooth resume ${id} --name ${name}-2.`,
    );
  }
}

/** Keeps a reserved name for a job that waits in line, for as long as it does. */
export function keepForJob(home: Home, name: string, job: string): void {
  writeFileAtomically(join(reservations(home), `${name}.job`), [Buffer.from(job)]);
}

const reservations = (home: Home) => join(home.subjects, '.reserved');

function waitingJob(home: Home, name: string): string | undefined {
  const file = join(reservations(home), `${name}.job`);
  if (!existsSync(file)) return undefined;
  try {
    const job = readJob(home, readFileSync(file, 'utf8'));
    return isOpen(job) ? job.id : undefined;
  } catch (error) {
    if (error instanceof UnknownJobError) return undefined;
    throw error;
  }
}

/** Reserves the first free of dog-1, dog-2, … */
export function reserveDefaultName(home: Home, className: string): NameReservation {
  const stem = nameStem(className);
  for (let number = 1; ; number++) {
    try {
      return reserveName(home, `${stem}-${number}`);
    } catch (error) {
      if (!(error instanceof NameTakenError)) throw error;
    }
  }
}
