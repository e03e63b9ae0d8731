import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MissingFileError } from '../errors';
import { nearestFirst } from '../subjects/subject-name';
import { describeModel, type ModelDescription } from './describe-model';
import {
  findSnapshot,
  hasPartialFiles,
  hubCacheFolder,
  repositoryFolder,
  repositoryOf,
  snapshotsOf,
} from './hub-cache';
import { type HubId, parseHubId } from './hub-id';
import { singleFilesOf } from './model-files';

/**
 * Where the model that a hub id names lies in this machine's Hugging Face cache, whole: a folder, or the one file that
 * was published. Nothing is fetched. Throws MissingFileError, BrokenFileError, UnsupportedModelError.
 */
export function cachedModel(name: string): string {
  const id = parseHubId(name);
  const cache = hubCacheFolder();
  const snapshot = id && findSnapshot(cache, id);
  if (id === undefined || snapshot === undefined) throw notCached(name, id, cache);
  const path = modelIn(snapshot, name);
  describeCached(path, name);
  return path;
}

/** `describeModel`, of the model that a hub id names: what is missing can be fetched. */
export function describeCached(path: string, name: string): ModelDescription {
  try {
    return describeModel(path);
  } catch (error) {
    if (!(error instanceof MissingFileError)) throw error;
    throw new MissingFileError(error.path, notWhole(name, error.message), { cause: error });
  }
}

/** What of a snapshot is the model: all of it in the diffusers layout, or its only file. */
export function modelIn(snapshot: string, name: string): string {
  if (existsSync(join(snapshot, 'model_index.json'))) return snapshot;
  const [file, ...others] = singleFilesOf(snapshot);
  if (file === undefined) {
    throw new MissingFileError(
      join(snapshot, 'model_index.json'),
      notWhole(name, `There is no model_index.json and no .safetensors file in ${snapshot}.`),
    );
  }
  if (others.length > 0) {
    throw new MissingFileError(
      snapshot,
      `${name} has several checkpoints here: give one by its path: ${[file, ...others].join(', ')}.`,
    );
  }
  return file;
}

const pull = (name: string) => `dreambooth models pull ${name}`;

const notWhole = (name: string, reason: string) =>
  `The download of ${name} is not whole; get the rest with ${pull(name)}: ${reason}`;

function notCached(name: string, id: HubId | undefined, cache: string): MissingFileError {
  const folder = id && repositoryFolder(cache, id);
  if (id !== undefined && folder !== undefined && existsSync(folder)) {
    const revisions = [...snapshotsOf(folder, id.repository).keys()];
    const found = revisions.length > 0 ? ` There is ${revisions.join(', ')}.` : '';
    const broken = hasPartialFiles(folder) ? ' Its download was broken off.' : '';
    return new MissingFileError(
      folder,
      `${name} is not whole in ${folder}: there is no revision "${id.revision}".${broken}${found} Get it with: ${pull(name)}`,
    );
  }
  const near = nearestFirst(name, cachedRepositories(cache)).slice(0, 3);
  return new MissingFileError(
    folder ?? cache,
    `There is no base model ${name}: neither a path, nor a model in the Hugging Face cache (looked for ${folder === undefined ? name : basename(folder)} in ${cache}). ` +
      `${near.length === 0 ? '' : `There is ${near.join(', ')}. `}Get it with: ${pull(name)}`,
  );
}

function cachedRepositories(cache: string): string[] {
  return existsSync(cache) ? readdirSync(cache).flatMap((name) => repositoryOf(name) ?? []) : [];
}
