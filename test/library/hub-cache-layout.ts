/** A Hugging Face cache as its tools lay it out: bytes in blobs/, links in snapshots/, the commit of a branch in refs/. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';

export const commitOf = (text: string) => createHash('sha1').update(text).digest('hex');

/** The files of a checkpoint's folder by their path in a repository, reference values left out. */
export const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.startsWith('golden/'));

/** Puts `files` of a folder into the cache as the model `id`; returns the repository's folder and the snapshot's. */
export function putIntoCache(
  cache: string,
  id: string,
  source: string,
  { files = filesOf(source), reference = 'main', commit = commitOf(id) } = {},
): { readonly repository: string; readonly snapshot: string } {
  const repository = join(cache, `models--${id.replace('/', '--')}`);
  const snapshot = join(repository, 'snapshots', commit);
  mkdirSync(join(repository, 'blobs'), { recursive: true });
  for (const path of files) {
    const hash = createHash('sha256')
      .update(readFileSync(join(source, path)))
      .digest('hex');
    copyFileSync(join(source, path), join(repository, 'blobs', hash));
    const link = join(snapshot, path);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(relative(dirname(link), join(repository, 'blobs', hash)), link);
  }
  const file = join(repository, 'refs', ...reference.split('/'));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, commit);
  return { repository, snapshot };
}
