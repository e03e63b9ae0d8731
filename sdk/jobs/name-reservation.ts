import { join } from 'node:path';
import { type FileLock, takeLock } from '../checkpoint/file-lock';
import { NameTakenError } from '../errors';
import { type Home, makeFolder } from '../subjects/home';
import { checkSubjectName, nameStem } from '../subjects/subject-name';
import { isSubject, subjectExists } from '../subjects/subjects';

export interface NameReservation extends FileLock {
  readonly name: string;
}

/**
 * Keeps a name for a subject that is being learned, against every other process, until it is released; the
 * reservation of a dead process lapses. The subject of id `replaced` may have it. Throws InvalidNameError, NameTakenError.
 */
export function reserveName(home: Home, name: string, replaced?: string): NameReservation {
  checkSubjectName(name);
  const folder = makeFolder(join(home.subjects, '.reserved'));
  const lock = takeLock(join(folder, name));
  if ('heldBy' in lock) {
    throw new NameTakenError(
      name,
      `A subject @${name} is being learned right now (process ${lock.heldBy.pid}): choose another name.`,
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
