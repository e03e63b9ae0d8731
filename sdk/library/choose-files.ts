/** Which files of a published model are needed here: one of each kind, and no pickles. */
import { isPickle, refusePickle, weightFileNames } from '../checkpoint/component-weights';
import { InvalidOptionError, UnsupportedModelError } from '../errors';
import type { HubFile } from './hub';

/** Of weights that are published in half and in full precision. */
export const weightVariants = ['fp16', 'full'] as const;
export type WeightVariant = (typeof weightVariants)[number];

const shard = /-\d{5}-of-\d{5}\./;

/**
 * The files of a diffusers folder with these components. `variant`: default half precision where there is one.
 * Throws UnsupportedModelError where weights are published as pickles alone, InvalidOptionError for a variant that no
 * component has.
 */
export function chooseComponentFiles(
  name: string,
  files: readonly HubFile[],
  components: ReadonlyMap<string, string>,
  variant: WeightVariant | undefined,
): HubFile[] {
  const chosen = files.filter(({ path }) => path === 'model_index.json');
  const weights: HubFile[] = [];
  for (const component of components.keys()) {
    const prefix = `${component}/`;
    const own = new Map(
      files.flatMap((file) =>
        file.path.startsWith(prefix) ? [[file.path.slice(prefix.length), file] as const] : [],
      ),
    );
    const take = (...names: string[]) => chosen.push(...names.flatMap((one) => own.get(one) ?? []));
    if (component === 'scheduler') take('scheduler_config.json');
    else if (component.startsWith('tokenizer')) {
      take('special_tokens_map.json', 'tokenizer_config.json');
      if (own.has('vocab.json')) take('vocab.json', 'merges.txt');
      else take('tokenizer.json');
    } else {
      take('config.json');
      weights.push(...chooseWeights(name, component, own, variant ?? 'fp16'));
    }
  }
  const offered = weights.some(({ path }) => isHalf(path) === (variant === 'fp16'));
  if (variant !== undefined && !offered) {
    throw new InvalidOptionError(
      'variant',
      `${name} has no weights of the variant "${variant}": leave it out, or say ${variant === 'fp16' ? 'full' : 'fp16'}.`,
    );
  }
  return [...chosen, ...weights];
}

const isHalf = (path: string): boolean => path.includes('.fp16');

/** As `openComponentWeights` will look for them, the wanted variant first. */
function chooseWeights(
  name: string,
  component: string,
  own: ReadonlyMap<string, HubFile>,
  variant: WeightVariant,
): HubFile[] {
  const wanted = (file: string) => isHalf(file) === (variant === 'fp16');
  const present = weightFileNames.filter((file) => own.has(file));
  const file = present.find(wanted) ?? present[0];
  if (file === undefined) {
    const pickled = [...own.keys()].find(isPickle);
    if (pickled !== undefined) throw refusePickle(`${name}'s ${component}/${pickled}`);
    throw new UnsupportedModelError(
      `${name} has no weights of its ${component} as .safetensors files (found ${[...own.keys()].join(', ') || 'nothing'}): choose another model.`,
    );
  }
  if (!file.endsWith('.json')) return [own.get(file)!];
  const stem = file.slice(0, file.indexOf('.'));
  const shards = [...own].filter(
    ([part]) =>
      part.startsWith(stem) &&
      shard.test(part) &&
      part.endsWith('.safetensors') &&
      isHalf(part) === isHalf(file),
  );
  return [own.get(file)!, ...shards.map(([, part]) => part)];
}

/** The one checkpoint of a repository without a model_index.json. Throws UnsupportedModelError, InvalidOptionError. */
export function chooseSingleFile(name: string, files: readonly HubFile[]): HubFile {
  const candidates = files.filter(
    ({ path }) => path.endsWith('.safetensors') && !path.includes('/') && !shard.test(path),
  );
  const [file, ...others] = candidates;
  if (file === undefined) {
    const pickled = files.find(({ path }) => isPickle(path));
    if (pickled !== undefined) throw refusePickle(`${name}'s ${pickled.path}`);
    throw new UnsupportedModelError(
      `${name} is no base model: it has neither a model_index.json nor a .safetensors file with a checkpoint in it (found ${files
        .map(({ path }) => path)
        .slice(0, 8)
        .join(', ')}).`,
    );
  }
  if (others.length > 0) {
    throw new InvalidOptionError(
      'include',
      `${name} has several checkpoints: name one with --include, of ${candidates.map(({ path, bytes }) => `${path} (${(bytes / 1e9).toFixed(1)} GB)`).join(', ')}.`,
    );
  }
  return file;
}

/** Files by their names, in place of what would be chosen. Throws InvalidOptionError, UnsupportedModelError for a pickle. */
export function chooseNamed(name: string, files: readonly HubFile[], wanted: readonly string[]): HubFile[] {
  return wanted.map((path) => {
    const file = files.find((one) => one.path === path);
    if (file === undefined) {
      const there = files.filter((one) => one.path.endsWith('.safetensors')).map((one) => one.path);
      throw new InvalidOptionError('include', `${name} has no file ${path}; there is ${there.join(', ')}.`);
    }
    if (isPickle(path)) throw refusePickle(`${name}'s ${path}`);
    return file;
  });
}
