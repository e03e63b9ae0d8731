/** Checkpoints in either of the layouts that people publish. */
import { existsSync, statSync } from 'node:fs';
import { type DiffusersFolder, openDiffusersFolder } from './diffusers-folder';
import { openSingleFile } from './single-file';

export const isSingleFile = (path: string): boolean =>
  path.endsWith('.safetensors') && existsSync(path) && statSync(path).isFile();

/** A folder as diffusers publishes it, or a `.safetensors` file with everything in it. Throws what either's reader does. */
export const openCheckpoint = (path: string): DiffusersFolder =>
  isSingleFile(path) ? openSingleFile(path) : openDiffusersFolder(path);
