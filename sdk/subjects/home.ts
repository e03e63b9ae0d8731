import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { makeFolders, writeFailure } from '../checkpoint/write-failure';
import { DiskFullError, UnwritablePathError } from '../errors';

/** Where subjects, jobs and caches live. Nothing is created before it is written to. */
export interface Home {
  readonly folder: string;
  /** One folder a subject, by its name. */
  readonly subjects: string;
  /** One folder a job, by its id. */
  readonly jobs: string;
  /** Base models that the user put here. */
  readonly models: string;
  /** May be deleted at any time: class images, optimised graphs. */
  readonly cache: string;
}

/** The paths below `folder`, by default `$DREAMBOOTH_HOME`, then the platform's folder for an application's data. */
export function openHome(folder: string = defaultHomeFolder()): Home {
  const root = resolve(folder);
  return {
    folder: root,
    subjects: join(root, 'subjects'),
    jobs: join(root, 'jobs'),
    models: join(root, 'models'),
    cache: join(root, 'cache'),
  };
}

/** What `openHome` takes when no folder is given; `environment` and `platform` default to this process's own. */
export function defaultHomeFolder(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  platform: string = process.platform,
): string {
  if (environment['DREAMBOOTH_HOME']) return environment['DREAMBOOTH_HOME'];
  const user = environment['HOME'] || homedir();
  if (platform === 'darwin') return join(user, 'Library', 'Application Support', 'dreambooth');
  if (platform === 'win32')
    return join(environment['LOCALAPPDATA'] || join(user, 'AppData', 'Local'), 'dreambooth');
  return join(environment['XDG_DATA_HOME'] || join(user, '.local', 'share'), 'dreambooth');
}

/** Makes a folder of the home. Throws UnwritablePathError where the home cannot be written to, DiskFullError. */
export function makeFolder(folder: string): string {
  try {
    makeFolders(folder);
    accessSync(folder, constants.W_OK);
  } catch (cause) {
    const failure = writeFailure(folder, cause);
    if (failure instanceof DiskFullError) throw failure;
    throw new UnwritablePathError(
      folder,
      `${folder} cannot be written to (${(cause as Error).message}): give another home folder with --home or DREAMBOOTH_HOME.`,
      { cause },
    );
  }
  return folder;
}
