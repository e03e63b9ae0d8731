/**
 * A single file has no configs, and its readers go by shapes, which do not tell everything (heads, noise schedule,
 * sizes). The files written here keep the configs in their metadata, so that here they are read as they were.
 */
import { BrokenFileError } from '../errors';
import type { DiffusersFolder } from './diffusers-folder';
import { isJsonObject, type JsonObject } from './json-file';

const metadataKey = 'dreambooth.configs';
/** Beside the components' names. */
const [schedulerName, modelIndexName] = ['scheduler', 'model_index'];

export function keptConfigs({
  components,
  schedulerConfig,
  modelIndex,
}: DiffusersFolder): Record<string, string> {
  const settings = Object.entries(modelIndex).filter(([, value]) => !Array.isArray(value));
  const configs = {
    ...Object.fromEntries([...components].map(([name, { config }]) => [name, config])),
    [schedulerName]: schedulerConfig,
    [modelIndexName]: Object.fromEntries(settings),
  };
  return { [metadataKey]: JSON.stringify(configs) };
}

export interface KeptConfigs {
  /** A component's; undefined where the file keeps none. */
  of(component: string): JsonObject | undefined;
  readonly scheduler: JsonObject | undefined;
  readonly modelIndex: JsonObject | undefined;
}

/** Throws BrokenFileError where the metadata of the file at `path` has something else in their place. */
export function readKeptConfigs(path: string, metadata: Readonly<Record<string, string>>): KeptConfigs {
  const text = metadata[metadataKey];
  const all = text === undefined ? {} : parsed(path, text);
  const of = (name: string) => (isJsonObject(all[name]) ? all[name] : undefined);
  return { of, scheduler: of(schedulerName), modelIndex: of(modelIndexName) };
}

function parsed(path: string, text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const unet = isJsonObject(value) ? value['unet'] : undefined;
  const blocks = isJsonObject(unet) ? [unet['down_block_types'], unet['up_block_types']] : [];
  if (!isJsonObject(value) || !blocks.every(Array.isArray)) {
    throw new BrokenFileError(
      path,
      `${path} keeps no configs in its metadata's ${metadataKey}: export it again.`,
    );
  }
  return value;
}
