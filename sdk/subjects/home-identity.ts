import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { writeFailure } from '../checkpoint/write-failure';
import { type Home, makeFolder } from './home';

/**
 * What tells a home from all others, 16 hexadecimal digits: the same for every machine that shares the folder, whatever
 * its path there. Made when it is first asked for. Throws DiskFullError, InvalidOptionError where it cannot be written.
 */
export function homeIdentity(home: Home): string {
  const folder = join(home.folder, 'identity');
  const file = join(folder, 'id');
  if (!existsSync(file)) {
    const own = mkdtempSync(join(makeFolder(home.folder), '.identity-'));
    try {
      writeFileAtomically(join(own, 'id'), [Buffer.from(randomBytes(8).toString('hex'))]);
      // Of several machines that make one at a time, one wins: a folder is never renamed over one that holds something.
      renameSync(own, folder);
    } catch (cause) {
      if (!existsSync(file)) throw writeFailure(folder, cause);
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  }
  return readFileSync(file, 'utf8').trim();
}
