/** Fetching a model into the Hugging Face cache, where every tool that shares it finds it. Nothing else here fetches. */
import { existsSync, linkSync, rmSync, statfsSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { supportedClasses } from '../checkpoint/diffusers-folder';
import { takeLock } from '../checkpoint/file-lock';
import { readJsonFile } from '../checkpoint/json-file';
import { makeFolderOf, writeFailure } from '../checkpoint/write-failure';
import { DiskFullError, InvalidOptionError, StoppedError, UnwritablePathError } from '../errors';
import { createProgressMeter, type ProgressEvent } from '../work/progress';
import { describeCached, modelIn } from './cached-model';
import {
  chooseComponentFiles,
  chooseNamed,
  chooseSingleFile,
  type WeightVariant,
  weightVariants,
} from './choose-files';
import type { ModelDescription } from './describe-model';
import { downloadFile } from './download-file';
import { type Hub, type HubFile, openHub } from './hub';
import { hubCacheFolder, repositoryFolder } from './hub-cache';
import { type HubId, parseHubId, writeHubId } from './hub-id';

export interface PullOptions {
  /** Of weights that are published in half (`fp16`) and in full precision; default half where there is one. */
  readonly variant?: WeightVariant | undefined;
  /** Paths in the repository to fetch in place of what a base needs, as one of several checkpoints. */
  readonly include?: readonly string[] | undefined;
  /** What will be fetched, before it is. */
  readonly onFound?: ((found: ModelOnHub) => void) | undefined;
  /** Steps of the phase `download` are bytes. */
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
  /** Stops; what has arrived is kept, and the same call goes on from there. */
  readonly signal?: AbortSignal | undefined;
}

/** What a hub has of a model. */
export interface ModelOnHub {
  readonly id: string;
  readonly commit: string;
  /** As the model's page names it; null when it names none. */
  readonly licence: string | null;
  readonly page: string;
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  /** Of all files, and of those that are not here yet. */
  readonly bytes: number;
  readonly bytesToFetch: number;
  readonly cache: string;
}

export interface PulledModel extends ModelOnHub, Omit<ModelDescription, 'bytes'> {
  /** What `base` takes: the id, or the path where the id means other files of the repository. */
  readonly base: string;
  readonly path: string;
}

/**
 * Fetches what a base needs of a model (configs, vocabularies, weights as `.safetensors`, of one precision) by its hub id,
 * `organisation/name` or `organisation/name@revision`. Every file is checked against the hub's hash. A stopped or broken
 * download goes on where it was. The hub is `HF_ENDPOINT`'s, the token `HF_TOKEN`'s or that of `huggingface-cli login`.
 * Throws InvalidOptionError, UnknownModelError, HubAccessError, HubUnreachableError, UnsupportedModelError,
 * BrokenFileError, DiskFullError, UnwritablePathError, StoppedError.
 */
export async function pullModel(name: string, options: PullOptions = {}): Promise<PulledModel> {
  const { variant, include, signal, onFound } = options;
  const id = parseHubId(name);
  if (id === undefined)
    throw new InvalidOptionError(
      'model',
      `"${name}" is no hub id: give organisation/name, or organisation/name@revision.`,
    );
  if (variant !== undefined && !weightVariants.includes(variant))
    throw new InvalidOptionError('variant', `variant is ${variant}: give ${weightVariants.join(' or ')}.`);
  if (signal?.aborted) throw new StoppedError(null);
  const folder = repositoryFolder(hubCacheFolder(), id);
  const hub = await openHub(signal);
  try {
    const { commit, licence, page } = await hub.model(id);
    const all = await hub.files(id, commit);
    const source: Source = { hub, id, commit, folder, signal };
    const release = holdRepository(folder);
    try {
      const files = await chooseFiles(source, name, all, options);
      const bytes = sum(files);
      const missing = files.filter((file) => !isThere(blobOf(folder, file), file));
      const bytesToFetch = sum(missing) - missing.reduce((total, file) => total + arrived(folder, file), 0);
      const found = { id: name, commit, licence, page, files, bytes, bytesToFetch, cache: hubCacheFolder() };
      onFound?.(found);
      refuseFullDisk(folder, bytesToFetch);
      await fetchAll(source, files, options.onProgress, release.beat);
      const snapshot = linkAll(source, files);
      const named = include?.find((file) => file.endsWith('.safetensors'));
      const path = named === undefined ? modelIn(snapshot, name) : join(snapshot, named);
      const { bytes: _, ...description } = describeCached(path, name);
      return {
        ...found,
        ...description,
        path,
        base: modelFilesAgree(snapshot, name, path) ? writeHubId(id) : path,
      };
    } finally {
      release.release();
    }
  } finally {
    await hub.close();
  }
}

interface Source {
  readonly hub: Hub;
  readonly id: HubId;
  readonly commit: string;
  /** The repository's, in the cache. */
  readonly folder: string;
  readonly signal: AbortSignal | undefined;
}

/** What a model is, its model_index.json says: fetched first, so that another kind costs no gigabytes. */
async function chooseFiles(
  source: Source,
  name: string,
  all: readonly HubFile[],
  { include, variant }: PullOptions,
): Promise<HubFile[]> {
  if (include !== undefined && include.length > 0) return chooseNamed(name, all, include);
  const index = all.find(({ path }) => path === 'model_index.json');
  if (index === undefined) return [chooseSingleFile(name, all)];
  await fetchFile(source, index, () => {});
  const modelIndex = readJsonFile(blobOf(source.folder, index), 'the parts of the model');
  return chooseComponentFiles(name, all, supportedClasses(name, modelIndex), variant);
}

async function fetchAll(
  source: Source,
  files: readonly HubFile[],
  onProgress: PullOptions['onProgress'],
  beat: () => void,
): Promise<void> {
  const meter = createProgressMeter(() => performance.now());
  const steps = sum(files);
  let before = 0;
  let told = -Infinity;
  const tell = (step: number) => {
    // Pieces of a few kilobytes arrive by the thousand.
    if (step > 0 && step < steps && performance.now() - told < 250) return;
    told = performance.now();
    beat();
    onProgress?.(meter({ phase: 'download', step, steps, bytesPerStep: 1 }));
  };
  tell(0);
  for (const file of files) {
    await fetchFile(source, file, (there) => tell(before + there));
    before += file.bytes;
    tell(before);
  }
}

async function fetchFile(
  { hub, id, commit, folder, signal }: Source,
  file: HubFile,
  onBytes: (there: number) => void,
): Promise<void> {
  const blob = blobOf(folder, file);
  if (isThere(blob, file)) return;
  makeFolderOf(blob);
  await downloadFile(file, blob, (start) => hub.read(id, commit, file.path, start), onBytes, signal);
}

const sum = (files: readonly HubFile[]) => files.reduce((total, { bytes }) => total + bytes, 0);

const blobOf = (folder: string, { hash }: HubFile) => join(folder, 'blobs', hash.digits);

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size;

const isThere = (blob: string, { bytes }: HubFile) => sizeOf(blob) === bytes;

const arrived = (folder: string, file: HubFile) =>
  Math.min(file.bytes, sizeOf(`${blobOf(folder, file)}.incomplete`) ?? 0);

function refuseFullDisk(folder: string, bytes: number): void {
  let there = folder;
  while (!existsSync(there)) there = dirname(there);
  const { bavail, bsize } = statfsSync(there);
  const free = bavail * bsize;
  if (bytes <= free) return;
  const gigabytes = (count: number) => `${(count / 1e9).toFixed(1)} GB`;
  throw new DiskFullError(
    folder,
    `${gigabytes(bytes)} are to be fetched into ${folder}, and ${gigabytes(free)} are free there: make room, or name another cache with HF_HUB_CACHE.`,
  );
}

/** Two that append to one partial file would spoil it. */
function holdRepository(folder: string) {
  const lock = join(dirname(folder), '.locks', `${folder.slice(dirname(folder).length + 1)}.dreambooth`);
  makeFolderOf(lock);
  const held = takeLock(lock);
  if ('heldBy' in held)
    throw new UnwritablePathError(
      folder,
      `${folder} is being fetched into by process ${held.heldBy.pid}: wait for it, or end it.`,
    );
  return held;
}

/** The snapshot, once everything it links to is there, then the branch's name for it. Returns the snapshot's folder. */
function linkAll({ id, commit, folder }: Source, files: readonly HubFile[]): string {
  const snapshot = join(folder, 'snapshots', commit);
  for (const file of files) link(join(snapshot, ...file.path.split('/')), blobOf(folder, file), file);
  if (id.revision !== commit) {
    const reference = join(folder, 'refs', ...id.revision.split('/'));
    makeFolderOf(reference);
    writeFileAtomically(reference, [Buffer.from(commit)]);
  }
  return snapshot;
}

function link(place: string, blob: string, file: HubFile): void {
  // Other tools put a file itself there where links are not to be had.
  if (isThere(place, file)) return;
  const target = relative(dirname(place), blob);
  makeFolderOf(place);
  try {
    rmSync(place, { force: true });
    symlinkSync(target, place);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EPERM') throw writeFailure(place, cause);
    // Windows lets few people make symbolic links.
    linkSync(blob, place);
  }
}

function modelFilesAgree(snapshot: string, name: string, path: string): boolean {
  try {
    return modelIn(snapshot, name) === path;
  } catch {
    return false;
  }
}
