/** What may be base models below a folder, by the names of files alone. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { hasPartialFiles, repositoryOf, snapshotsOf } from './hub-cache';

export interface ModelFile {
  /** A diffusers folder, or one file. */
  readonly path: string;
  /** What its hub calls it, for what lies in a Hugging Face cache. */
  readonly hubId?: string;
}

const checkpointFile = /\.(safetensors|ckpt|gguf)$/i;
const shard = /-\d{5}-of-\d{5}\./;
/** Programs' own folders, which hold thousands of files and no models. */
const passedOver = /^(\.|node_modules$|venv$|site-packages$|__pycache__$)/;
const deepest = 6;

/** `onUnreadable` is told of each folder that cannot be read. */
export function modelFilesBelow(
  folder: string,
  onUnreadable: (folder: string, cause: Error) => void,
): ModelFile[] {
  const visited = new Set<string>();
  const visit = (at: string, depth: number): ModelFile[] => {
    const real = realpathSync(at);
    if (visited.has(real)) return [];
    visited.add(real);
    const repository = repositoryOf(basename(at));
    if (repository !== undefined) return inRepository(at, repository);
    if (existsSync(join(at, 'model_index.json'))) return [{ path: at }];
    return readdirSync(at)
      .sort()
      .flatMap((name) => {
        const path = join(at, name);
        const status = statSync(path, { throwIfNoEntry: false });
        if (status?.isFile()) return checkpointFile.test(name) && !shard.test(name) ? [{ path }] : [];
        if (!status?.isDirectory() || depth === deepest || passedOver.test(name)) return [];
        return readable(path, depth + 1);
      });
  };
  const readable = (at: string, depth: number): ModelFile[] => {
    try {
      return visit(at, depth);
    } catch (cause) {
      onUnreadable(at, cause as Error);
      return [];
    }
  };
  return existsSync(folder) ? readable(folder, 0) : [];
}

/** One that was only begun to be fetched counts: it can be gone on with. */
function inRepository(folder: string, repository: string): ModelFile[] {
  const snapshots = [...snapshotsOf(folder, repository)];
  if (snapshots.length === 0 && hasPartialFiles(folder)) return [{ path: folder, hubId: repository }];
  return snapshots.flatMap(inSnapshot);
}

/** A snapshot is a folder in the diffusers layout, or has files that are a model each; a lone one is what the id means. */
function inSnapshot([hubId, snapshot]: readonly [string, string]): ModelFile[] {
  if (existsSync(join(snapshot, 'model_index.json'))) return [{ path: snapshot, hubId }];
  const files = singleFilesOf(snapshot);
  return files.length === 1 ? [{ path: files[0]!, hubId }] : files.map((path) => ({ path }));
}

export const singleFilesOf = (snapshot: string): string[] =>
  readdirSync(snapshot)
    .filter((name) => name.endsWith('.safetensors') && !shard.test(name))
    .map((name) => join(snapshot, name));
