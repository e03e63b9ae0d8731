/**
 * The Hugging Face cache, laid out as every tool lays it out that shares it: `models--organisation--name` with bytes
 * in `blobs/`, what a branch or tag points at in `refs/`, and a folder of links a commit in `snapshots/`.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, sep } from 'node:path';
import { type HubId, writeHubId } from './hub-id';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where this machine's cache is. */
export function hubCacheFolder(environment: Environment = process.env): string {
  return (
    place(environment, 'HF_HUB_CACHE') ??
    place(environment, 'HUGGINGFACE_HUB_CACHE') ??
    join(huggingFaceFolder(environment), 'hub')
  );
}

/** Where Hugging Face's tools keep what is theirs, the token included. */
export function huggingFaceFolder(environment: Environment = process.env): string {
  const caches = place(environment, 'XDG_CACHE_HOME') ?? join(userFolder(environment), '.cache');
  return place(environment, 'HF_HOME') ?? join(caches, 'huggingface');
}

export const userFolder = (environment: Environment): string => environment['HOME'] || homedir();

function place(environment: Environment, name: string): string | undefined {
  // As the tools read it: an empty variable is none, and ~ is the user's folder.
  return environment[name]?.replace(/^~(?=$|[\\/])/, userFolder(environment)) || undefined;
}

const prefix = 'models--';

export const repositoryFolder = (cache: string, { repository }: HubId): string =>
  join(cache, prefix + repository.replace('/', '--'));

/** The repository that a folder of a cache holds; undefined for other folders. */
export function repositoryOf(folderName: string): string | undefined {
  if (!folderName.startsWith(prefix)) return undefined;
  return folderName.slice(prefix.length).replace('--', '/');
}

/** The folder of links that a revision stands for, by its name or as a commit; undefined when there is none. */
export function findSnapshot(cache: string, id: HubId): string | undefined {
  const folder = repositoryFolder(cache, id);
  const reference = join(folder, 'refs', ...id.revision.split('/'));
  const commit = isFile(reference) ? readFileSync(reference, 'utf8').trim() : id.revision;
  const snapshot = join(folder, 'snapshots', commit);
  return existsSync(snapshot) ? snapshot : undefined;
}

/** Every snapshot of a repository's folder by what it is asked for with, `main` first. Throws where it cannot be read. */
export function snapshotsOf(folder: string, repository: string): Map<string, string> {
  const root = join(folder, 'refs');
  const references = existsSync(root)
    ? readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => isFile(join(root, name)))
    : [];
  const found = new Map<string, string>();
  const commits = existsSync(join(folder, 'snapshots')) ? readdirSync(join(folder, 'snapshots')) : [];
  const named = new Set<string>();
  for (const name of references.sort(
    (a, b) => Number(b === 'main') - Number(a === 'main') || (a < b ? -1 : 1),
  )) {
    const commit = readFileSync(join(root, name), 'utf8').trim();
    if (named.has(commit) || !commits.includes(commit)) continue;
    named.add(commit);
    const revision = name.split(sep).join('/');
    found.set(writeHubId({ repository, revision }), join(folder, 'snapshots', commit));
  }
  for (const commit of commits) {
    if (!named.has(commit)) {
      found.set(writeHubId({ repository, revision: commit }), join(folder, 'snapshots', commit));
    }
  }
  return found;
}

/** Whether a download into the repository's folder was broken off. */
export function hasPartialFiles(folder: string): boolean {
  const blobs = join(folder, 'blobs');
  return existsSync(blobs) && readdirSync(blobs).some((name) => name.endsWith('.incomplete'));
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;
