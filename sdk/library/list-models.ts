import { basename, extname, resolve } from 'node:path';
import { BrokenFileError, DreamBoothError, MissingFileError } from '../errors';
import type { Home } from '../subjects/home';
import { describeCached } from './cached-model';
import { describeModel, type ModelDescription } from './describe-model';
import { type ModelFile, modelFilesBelow } from './model-files';
import { type ModelPlace, modelPlaces } from './model-places';

/** A checkpoint on this machine. */
export interface FoundModel extends Partial<ModelDescription> {
  /** What `base` takes: a hub id, a name, or a path. */
  readonly id: string;
  readonly path: string;
  /** Whose folder it lies in. */
  readonly place: string;
  /** `broken`: a file is missing or damaged. `unsupported`: it is something else than a base that works here. */
  readonly state: 'usable' | 'broken' | 'unsupported';
  /** Why it cannot be used. */
  readonly problem?: string;
}

export interface ModelList {
  readonly models: readonly FoundModel[];
  /** Where they were looked for, there or not. */
  readonly places: readonly ModelPlace[];
}

export interface ListModelsOptions {
  /** Folders to look in, in place of the usual ones. */
  readonly in?: readonly string[] | undefined;
  /** Told of what could not be looked into. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * Finds base models: in the Hugging Face cache, the folders of ComfyUI and of AUTOMATIC1111's web interface and its
 * descendants, and `models` in the home. Reads headers alone; what is broken is listed as that.
 */
export function listModels(home: Home, options: ListModelsOptions = {}): ModelList {
  const places =
    options.in?.map((folder) => ({ name: folder, folder: resolve(folder) })) ?? modelPlaces(home);
  const files = filesIn(places, options.onWarning);
  // `base` looks for ids and names in the usual places.
  const names = options.in === undefined ? uniqueNames(files) : new Map<string, string>();
  const models = files.map(({ path, hubId, place }): FoundModel => {
    const found = { id: names.get(path) ?? path, path, place };
    try {
      return {
        ...found,
        state: 'usable',
        ...(hubId === undefined ? describeModel(path) : describeCached(path, hubId)),
      };
    } catch (error) {
      const broken = error instanceof MissingFileError || error instanceof BrokenFileError;
      if (!(error instanceof DreamBoothError)) throw error;
      return { ...found, state: broken ? 'broken' : 'unsupported', problem: error.message };
    }
  });
  return { models, places };
}

/** The paths of the models that a name may mean: file or folder names without their ending, in the usual places. */
export function modelsNamed(home: Home): Map<string, string[]> {
  return byName(filesIn(modelPlaces(home)));
}

interface PlacedFile extends ModelFile {
  readonly place: string;
}

function filesIn(places: readonly ModelPlace[], onWarning?: (message: string) => void): PlacedFile[] {
  const files = places.flatMap(({ name: place, folder }) =>
    modelFilesBelow(folder, (unreadable, { message }) =>
      onWarning?.(`${unreadable} cannot be looked into (${message}).`),
    ).map((file) => ({ ...file, place })),
  );
  return [...new Map(files.map((file) => [file.path, file])).values()];
}

function byName(files: readonly ModelFile[]): Map<string, string[]> {
  const named = new Map<string, string[]>();
  for (const { path, hubId } of files) {
    if (hubId !== undefined) continue;
    const name = basename(path, extname(path) === '.safetensors' ? '.safetensors' : '');
    named.set(name, [...(named.get(name) ?? []), path]);
  }
  return named;
}

/** Hub ids, and the names that one model alone has. */
function uniqueNames(files: readonly ModelFile[]): Map<string, string> {
  const ids = files.flatMap(({ path, hubId }) => (hubId === undefined ? [] : [[path, hubId] as const]));
  const names = [...byName(files)].flatMap(([name, paths]) =>
    paths.length === 1 ? [[paths[0]!, name] as const] : [],
  );
  return new Map([...ids, ...names]);
}
