/** Checkpoints in either of the layouts that people publish. */
import { existsSync, statSync } from 'node:fs';
import { openAutoencoder } from './autoencoder-files';
import { type DiffusersFolder, openDiffusersFolder } from './diffusers-folder';
import { openSingleFile } from './single-file';

export const isSingleFile = (path: string): boolean =>
  path.endsWith('.safetensors') && existsSync(path) && statSync(path).isFile();

/**
 * A folder as diffusers publishes it, or a `.safetensors` file with everything in it, with the autoencoder at `vae` in
 * place of its own where one is given. Throws what either's reader does.
 */
export function openCheckpoint(path: string, vae: string | null = null): DiffusersFolder {
  const opened = isSingleFile(path) ? openSingleFile(path) : openDiffusersFolder(path);
  const own = opened.components.get('vae');
  if (vae === null || !own) return opened;
  return { ...opened, components: new Map([...opened.components, ['vae', openAutoencoder(vae, own)]]) };
}
