/** Where people's programs keep base models. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Home } from '../subjects/home';
import { type Environment, hubCacheFolder, userFolder } from './hub-cache';

export interface ModelPlace {
  /** Whose it is. */
  readonly name: string;
  readonly folder: string;
}

/** Every folder that models are looked for in, there or not. */
export function modelPlaces(home: Home, environment: Environment = process.env): ModelPlace[] {
  const user = userFolder(environment);
  const comfy = [
    ...(environment['COMFYUI_PATH'] ? [environment['COMFYUI_PATH']] : []),
    join(user, 'ComfyUI'),
    join(user, 'Documents', 'ComfyUI'),
    join(user, 'comfy', 'ComfyUI'),
  ];
  const webInterfaces = [join(user, 'stable-diffusion-webui'), ...webInterfacesIn(user)];
  const places: ModelPlace[] = [
    { name: 'Hugging Face cache', folder: hubCacheFolder(environment) },
    { name: 'dreambooth', folder: home.models },
    ...comfy.flatMap((root) =>
      [join(root, 'models', 'checkpoints'), join(root, 'models', 'diffusers'), ...extraPaths(root)].map(
        (folder) => ({ name: 'ComfyUI', folder }),
      ),
    ),
    ...webInterfaces.map((root) => ({
      name: 'Stable Diffusion web UI',
      folder: join(root, 'models', 'Stable-diffusion'),
    })),
  ];
  return [...new Map(places.map((place) => [place.folder, place])).values()];
}

/** AUTOMATIC1111's and its descendants, as `stable-diffusion-webui-forge`. */
function webInterfacesIn(user: string): string[] {
  const names = existsSync(user) ? readdirSync(user) : [];
  return names.filter((name) => name.startsWith('stable-diffusion-webui')).map((name) => join(user, name));
}

/**
 * The folders of checkpoints that a ComfyUI's `extra_model_paths.yaml` adds: sections of `key: value` lines, in which
 * `checkpoints` and `diffusers` are relative to `base_path`; `|` begins several, a line each.
 */
function extraPaths(root: string): string[] {
  const file = join(root, 'extra_model_paths.yaml');
  if (!existsSync(file)) return [];
  const found: string[] = [];
  let base = root;
  let listed = false;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const text = line.replace(/(^|\s)#.*$/, '').trimEnd();
    if (text === '') continue;
    const [, key, value = ''] = /^\s*([\w-]+):(?:\s+(.*))?$/.exec(text) ?? [];
    if (!/^\s/.test(text)) base = root;
    const path = unquoted(key === undefined ? text.trim() : value);
    if (key === 'base_path') base = resolve(root, path.replace(/^~(?=$|[\\/])/, userFolder(process.env)));
    if (key !== undefined) listed = key === 'checkpoints' || key === 'diffusers';
    if (listed && path !== '' && path !== '|') found.push(resolve(base, path));
  }
  return found;
}

const unquoted = (text: string) => text.replace(/^(['"])(.*)\1$/, '$2');
