/** How a published network takes its pictures: as the file beside it says, else as its authors prepared them. */
import { isJsonObject, readJsonFile } from '../checkpoint/json-file';
import { preprocessorConfigOf } from '../checkpoint/preprocessor-config';
import { InvalidOptionError } from '../errors';
import type { Preprocessing } from '../images/preprocess';
import { readModelConfig } from '../models/config';

type Channels = Pick<Preprocessing, 'mean' | 'std'>;

const imageNet: Channels = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const openAi: Channels = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};
const fromZeroToOne: Channels = { mean: [0, 0, 0], std: [1, 1, 1] };

/** As published: torch.hub's DINO, OpenAI's CLIP, LPIPS' own scaling of −1 … 1, DreamSim's squares. */
export const published = {
  dino: { shorterSide: 256, filter: 'bicubic', crop: 224, halves: 'even', ...imageNet },
  clip: { shorterSide: 224, filter: 'bicubic', crop: 224, halves: 'even', ...openAi },
  // (2x − 1 − shift) / scale of the package, over x from 0 to 1.
  lpips: {
    shorterSide: null,
    filter: 'bicubic',
    crop: null,
    halves: 'even',
    mean: [(1 - 0.03) / 2, (1 - 0.088) / 2, (1 - 0.188) / 2],
    std: [0.458 / 2, 0.448 / 2, 0.45 / 2],
  },
  dreamsim: { shorterSide: null, filter: 'bicubic', crop: 224, halves: 'even', ...fromZeroToOne },
} as const satisfies Readonly<Record<string, Preprocessing>>;
export type PublishedKind = keyof typeof published;

/**
 * For an encoder in `path`, a folder or a file in it, whose network takes pictures of `side` × `side` pixels (null: of
 * any). Throws UnsupportedConfigError for a preprocessor_config.json that asks for what is not implemented,
 * InvalidOptionError for one that makes pictures of another size.
 */
export function preparationOf(kind: PublishedKind, path: string, side: number | null): Preprocessing {
  const file = preprocessorConfigOf(path);
  if (file === undefined) return atSide(published[kind], side);
  const preparation = readPreprocessorConfig(
    readJsonFile(file, 'it says how pictures are prepared'),
    kind === 'clip' ? 'CLIP' : 'ViT',
  );
  if (side !== null && side !== preparation.crop)
    throw new InvalidOptionError(
      'encoder',
      `${path} takes pictures of ${side} × ${side} pixels, and ${file} prepares them as ${preparation.crop} × ${preparation.crop}: give the preprocessor_config.json that was published with it, or none.`,
    );
  return preparation;
}

/** As a table of results has to say. */
export function preparationWords({ shorterSide, crop, filter, ...channels }: Preprocessing): string {
  const cut = `${crop} × ${crop}`;
  const size =
    crop === null
      ? 'as they are'
      : shorterSide === null
        ? `${filter} to ${cut}, uncut`
        : `shorter side ${filter} to ${shorterSide}, ${cut} cut out`;
  return `pictures ${size}, ${channelWords(channels)}`;
}

function channelWords({ mean, std }: Channels): string {
  const known = (
    [
      ['ImageNet', imageNet],
      ['CLIP', openAi],
    ] as const
  ).find(([, channels]) => isNear({ mean, std }, channels));
  return known ? `mean and std of ${known[0]}` : `mean ${mean.join(' ')}, std ${std.join(' ')}`;
}

const isNear = (one: Channels, other: Channels): boolean =>
  [...one.mean, ...one.std].every((value, i) => Math.abs(value - [...other.mean, ...other.std][i]!) < 1e-4);

/**
 * What is wrong with how the file beside an encoder has pictures prepared; undefined: nothing. The first revision of
 * DINO's on Hugging Face has 0.5 for every mean and std, as ViT's has.
 */
export function preparationFault(
  kind: PublishedKind,
  path: string,
  preparation: Preprocessing,
): string | undefined {
  if (kind !== 'dino' || isNear(preparation, imageNet)) return undefined;
  return `${preprocessorConfigOf(path)} has pictures prepared with ${channelWords(preparation)}, and DINO was trained with those of ImageNet: its figures compare with no others. Take the model's later preprocessor_config.json, or remove it to have them prepared as DINO's authors do.`;
}

function atSide(usual: Preprocessing, side: number | null): Preprocessing {
  const { crop, shorterSide } = usual;
  if (side === null || crop === null) return usual;
  return { ...usual, crop: side, shorterSide: shorterSide && Math.round((shorterSide / crop) * side) };
}

/** What transformers' image processors do where their file says nothing. `isSquare` is what a size of one number means. */
const processors = {
  CLIP: { isSquare: false, cuts: true, resample: 3, ...openAi },
  Bit: { isSquare: false, cuts: true, resample: 3, ...openAi },
  ViT: { isSquare: true, cuts: false, resample: 2, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
} as const;
type Processor = keyof typeof processors;

/** Pillow's numbers of its filters. */
const filters = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' } as const;

/** Of transformers, by its Pillow processors. `otherwise` is who wrote the file where it does not say. */
function readPreprocessorConfig(
  config: Readonly<Record<string, unknown>>,
  otherwise: Processor,
): Preprocessing {
  const type = config['image_processor_type'] ?? config['feature_extractor_type'];
  const name = String(type ?? otherwise).replace(/(ImageProcessor|FeatureExtractor)(Fast|Pil)?$/, '');
  const read = readModelConfig('preprocessor_config.json', { ...config, image_processor_type: name });
  const usual =
    processors[read.choice('image_processor_type', Object.keys(processors) as Processor[], 'ViT')];
  read.only('do_resize', true);
  read.only('do_rescale', true);
  read.only('rescale_factor', 1 / 255);
  read.only('do_pad', false);

  const { isSquare, side } = readSize(config['size'] ?? 224, usual.isSquare, () =>
    read.refuse('size', ['a number', 'a shortest_edge alone', 'a height and a width that are equal']),
  );
  const cuts = read.flag('do_center_crop', usual.cuts);
  const cut = readSize(config['crop_size'] ?? 224, true, () =>
    read.refuse('crop_size', ['a number', 'a height and a width that are equal']),
  );
  const crop = cuts ? cut.side : side;
  if (crop > side) read.refuse('crop_size', [`at most ${side}, the size`]);
  if (isSquare && crop < side) read.refuse('do_center_crop', [false]);
  if (!isSquare && !cuts) read.refuse('do_center_crop', [true]);
  const channels = read.flag('do_normalize', true)
    ? { mean: three(read.optionalNumbers('image_mean', 3)), std: three(read.optionalNumbers('image_std', 3)) }
    : fromZeroToOne;
  return {
    shorterSide: isSquare ? null : side,
    filter: filters[read.choice('resample', [1, 2, 3], usual.resample)],
    crop,
    halves: 'down',
    mean: channels.mean ?? usual.mean,
    std: channels.std ?? usual.std,
  };
}

/** A size as transformers writes it, of both sides or of the shorter. */
function readSize(
  value: unknown,
  isSquare: boolean,
  refuse: () => never,
): { readonly isSquare: boolean; readonly side: number } {
  const whole = (side: unknown): number =>
    Number.isInteger(side) && Number(side) > 0 ? Number(side) : refuse();
  if (!isJsonObject(value)) return { isSquare, side: whole(value) };
  const { height, width, shortest_edge: shortest, ...others } = value;
  if (Object.values(others).some((one) => one !== null)) refuse();
  if (shortest !== undefined && shortest !== null) return { isSquare: false, side: whole(shortest) };
  return height === width ? { isSquare: true, side: whole(height) } : refuse();
}

const three = (numbers: number[] | undefined) => numbers as [number, number, number] | undefined;
