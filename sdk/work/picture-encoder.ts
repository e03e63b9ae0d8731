/** Networks that turn pictures, and some of them texts, into the vectors that metrics compare. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { clipVocabulary } from '../checkpoint/clip-vocabulary';
import { openComponentWeights } from '../checkpoint/component-weights';
import { isJsonObject, readJsonFile } from '../checkpoint/json-file';
import { openSafetensors } from '../checkpoint/safetensors';
import { openTokenizerFiles } from '../checkpoint/tokenizer-files';
import { InvalidOptionError, MissingFileError, UnsupportedModelError } from '../errors';
import { direction, featureCentre } from '../evaluation/features';
import { createOracle } from '../evaluation/oracle';
import { believedScene } from '../evaluation/oracle-reading';
import { Graph, type Value } from '../graph/graph';
import type { CreateSession } from '../graph/session';
import { type Preprocessing, preprocess } from '../images/preprocess';
import type { RgbImage } from '../images/rgb-image';
import { clipText, pooledPositions, readClipTextConfig } from '../models/clip-text';
import { clipVision, readClipVisionConfig } from '../models/clip-vision';
import { dino, readDinoConfig } from '../models/dino';
import { lpips, smallestLpips } from '../models/lpips';
import { checkpointWeights, type Weights } from '../nn/weights';
import { openOnnxFile } from '../runtime/onnx-file';
import { float32, type StoredTensor } from '../tensor';
import { createClipTokenizer } from '../tokenizers/clip-bpe';
import type { CaptionClauses } from '../toybox/captions';
import { createWorldPictures } from '../toybox/pretraining-data';
import { PICTURE_SIZE } from '../toybox/renderer';
import {
  type PublishedKind,
  preparationFault,
  preparationOf,
  preparationWords,
  published,
} from './picture-preparation';

export const encoderKinds = ['dino', 'clip', 'lpips', 'dreamsim', 'oracle'] as const;
export type EncoderKind = (typeof encoderKinds)[number];

/**
 * `path`: a folder with config.json and weights, a `.safetensors` file of LPIPS, or an ONNX file; of `oracle` the folder
 * of that name in the embedded base.
 */
export interface EncoderFile {
  readonly kind: EncoderKind;
  readonly path: string;
}

export interface PictureEncoder {
  /** What it is, as a table of results has to say: kind, size, layers, and how it is given pictures. */
  readonly description: string;
  /** In no particular length: metrics take directions. LPIPS: the squared distance of two is the metric. */
  embedPictures(pictures: readonly RgbImage[]): Promise<Float32Array[]>;
  /** Rejects with InvalidOptionError where it reads no texts. */
  embedTexts(texts: readonly string[]): Promise<Float32Array[]>;
  /** What is to be seen on each picture, in the words of the embedded world; the oracle alone says so. */
  readClauses?(pictures: readonly RgbImage[]): Promise<CaptionClauses[]>;
  release(): Promise<void>;
}

/** Pictures at a time. */
const batch = 8;

/**
 * What `onWarning` is told does not stop it. Throws MissingFileError, UnsupportedModelError, UnsupportedConfigError,
 * MissingWeightError, WeightShapeError.
 */
export async function openPictureEncoder(
  { kind, path }: EncoderFile,
  createSession: CreateSession,
  threads: number | null,
  onWarning: (message: string) => void,
): Promise<PictureEncoder> {
  if (!existsSync(path))
    throw new MissingFileError(
      path,
      `There is no encoder at ${path}: give a folder with config.json and weights, or an ONNX file.`,
    );
  if (kind === 'oracle') return oracleEncoder(path, createSession);
  if (path.endsWith('.onnx')) return onnxEncoder(kind, path, threads, onWarning);
  if (kind === 'lpips') return lpipsEncoder(path, createSession);
  if (kind === 'dreamsim')
    throw new InvalidOptionError('encoder', `dreamsim=${path}: DreamSim is taken as an ONNX file alone.`);
  const isFolder = statSync(path).isDirectory();
  if (!isFolder && !path.endsWith('.safetensors'))
    throw new InvalidOptionError(
      'encoder',
      `${kind}=${path}: this is no encoder. Give a folder with config.json and weights, its .safetensors file${kind === 'dino' ? ', or an ONNX file' : ''}.`,
    );
  const folder = isFolder ? path : join(path, '..');
  const config = readJsonFile(join(folder, 'config.json'), 'it says how the encoder is built');
  const tensors = openComponentWeights(folder);
  return kind === 'dino'
    ? dinoEncoder(folder, config, tensors, createSession, onWarning)
    : clipEncoder(folder, config, tensors, createSession);
}

/** What an ONNX file of LPIPS that takes pictures of any size is tried with. */
const usualSide = 224;

async function onnxEncoder(
  kind: PublishedKind,
  path: string,
  threads: number | null,
  onWarning: (message: string) => void,
): Promise<PictureEncoder> {
  const file = await openOnnxFile(path, threads);
  const preparation = preparationOf(kind, path, file.height);
  const embed = async (planes: Float32Array, height: number, width: number): Promise<Float32Array> => {
    const row = await file.run(planes, height, width);
    if (kind === 'lpips' && row.length < height * width)
      throw new UnsupportedModelError(
        `${path} gives ${row.length} numbers for a picture of ${width} × ${height} pixels, and LPIPS compares features of every place: give the package's weights as a .safetensors file, or the export of a network whose squared distances are LPIPS.`,
      );
    return row;
  };
  // On a black picture, so that what gives no embedding is told when it is opened.
  const [height, width] = [
    preparation.crop ?? file.height ?? usualSide,
    preparation.crop ?? file.width ?? usualSide,
  ];
  await embed(new Float32Array(3 * height * width), height, width);
  warnOf(kind, path, preparation, onWarning);
  return {
    description: `${kind} (${path.split(/[\\/]/).at(-1)}; ${preparationWords(preparation)})`,
    async embedPictures(pictures) {
      const rows: Float32Array[] = [];
      for (const picture of pictures) {
        const { planes, height, width } = preprocess(picture, preparation);
        rows.push(await embed(planes, height, width));
      }
      return rows;
    },
    embedTexts: () => noTexts(`the ONNX file ${path}`),
    release: file.release,
  };
}

function warnOf(
  kind: PublishedKind,
  path: string,
  preparation: Preprocessing,
  onWarning: (message: string) => void,
): void {
  const fault = preparationFault(kind, path, preparation);
  if (fault !== undefined) onWarning(fault);
}

async function dinoEncoder(
  folder: string,
  json: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, StoredTensor>,
  createSession: CreateSession,
  onWarning: (message: string) => void,
): Promise<PictureEncoder> {
  const type = json['model_type'];
  if (typeof type === 'string' && type !== 'vit')
    throw new InvalidOptionError(
      'encoder',
      `${join(folder, 'config.json')} is of a model of the type "${type}": DINO is one of the type "vit", as facebook/dino-vits16.`,
    );
  const config = readDinoConfig(json);
  const { imageSize, patchSize, layers, hiddenSize } = config;
  const run = await batched(imageSize, tensors, createSession, (w, pictures) => dino(w, config, pictures));
  const preparation = preparationOf('dino', folder, imageSize);
  warnOf('dino', folder, preparation, onWarning);
  return {
    description: `DINO ViT/${patchSize}, ${layers} layers of ${hiddenSize} (${preparationWords(preparation)})`,
    embedPictures: (pictures) => run.embed(pictures, preparation),
    embedTexts: () => noTexts('DINO'),
    release: run.release,
  };
}

async function clipEncoder(
  folder: string,
  json: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, StoredTensor>,
  createSession: CreateSession,
): Promise<PictureEncoder> {
  const part = (name: string) => {
    const config = json[name];
    if (isJsonObject(config)) return config;
    throw new InvalidOptionError(
      'encoder',
      `${join(folder, 'config.json')} has no "${name}": CLIP-I and CLIP-T take a whole CLIP model, as openai/clip-vit-base-patch32.`,
    );
  };
  const projectionDim = typeof json['projection_dim'] === 'number' ? json['projection_dim'] : 512;
  const vision = readClipVisionConfig(part('vision_config'), projectionDim);
  const text = { ...readClipTextConfig(textConfigOf(part('text_config'))), projectionDim };
  const run = await batched(vision.imageSize, tensors, createSession, (w, pictures) =>
    clipVision(w, vision, pictures),
  );
  const graph = new Graph();
  const inputIds = graph.input('input_ids', 'int64', [1, text.positions]);
  const endTokens = graph.input('end_tokens', 'float32', [1, text.positions]);
  const weights = checkpointWeights(graph, { component: 'text_encoder', tensors });
  const reader = await createSession({
    embedding: clipText(weights, text, { inputIds, endTokens }).textEmbeds(),
  });
  const hasTokenizer = existsSync(join(folder, 'merges.txt')) || existsSync(join(folder, 'tokenizer.json'));
  const tokenizer = createClipTokenizer(hasTokenizer ? openTokenizerFiles(folder) : clipVocabulary());
  const preparation = preparationOf('clip', folder, vision.imageSize);
  return {
    description: `CLIP ViT/${vision.patchSize}, ${vision.layers} layers of ${vision.hiddenSize} (${preparationWords(preparation)})`,
    embedPictures: (pictures) => run.embed(pictures, preparation),
    async embedTexts(texts) {
      const rows: Float32Array[] = [];
      for (const one of texts) {
        const ids = BigInt64Array.from(tokenizer.tokenize(one, text.positions).ids, BigInt);
        const ends = new Float32Array(text.positions);
        ends[pooledPositions(ids, text.positions, text)[0]!] = 1;
        const { embedding } = await reader.run({
          input_ids: { dtype: 'int64', shape: [1, text.positions], data: ids },
          end_tokens: float32([1, text.positions], ends),
        });
        rows.push(embedding.data as Float32Array);
      }
      return rows;
    },
    async release() {
      await run.release();
      await reader.release();
    },
  };
}

async function lpipsEncoder(path: string, createSession: CreateSession): Promise<PictureEncoder> {
  const { tensors } = openSafetensors(path);
  const at = async (height: number, width: number) => ({
    size: `${width} × ${height}`,
    run: await batched([height, width], tensors, createSession, lpips),
  });
  // At the smallest size, so that what is no LPIPS is told without a picture.
  let loaded: Awaited<ReturnType<typeof at>> | undefined = await at(smallestLpips, smallestLpips);
  return {
    description: 'LPIPS 0.1 on AlexNet',
    async embedPictures(pictures) {
      const sizes = new Set(pictures.map(({ width, height }) => `${width} × ${height}`));
      if (sizes.size > 1)
        throw new InvalidOptionError(
          'pictures',
          `LPIPS compares pictures of one size, and these are of ${[...sizes].join(', ')}.`,
        );
      const [first] = pictures;
      if (first === undefined) return [];
      const wanted = `${first.width} × ${first.height}`;
      if (Math.min(first.width, first.height) < smallestLpips)
        throw new InvalidOptionError(
          'pictures',
          `LPIPS takes pictures from ${smallestLpips} × ${smallestLpips} pixels on, and these are of ${wanted}: draw them larger.`,
        );
      if (loaded?.size !== wanted) {
        await loaded?.run.release();
        loaded = undefined;
        loaded = await at(first.height, first.width);
      }
      return loaded.run.embed(pictures, published.lpips);
    },
    embedTexts: () => noTexts('LPIPS'),
    release: async () => loaded?.run.release(),
  };
}

/** Pictures of the world whose mean features are the centre, as many as its protocol takes. */
const worldCount = 250;

/** From −1 to 1, at the oracle's own size. */
const signed: Preprocessing = {
  shorterSide: PICTURE_SIZE,
  filter: 'lanczos',
  crop: PICTURE_SIZE,
  halves: 'even',
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};

/** The embedded world's reader of pictures: features from the mean of the world, as directions. */
async function oracleEncoder(folder: string, createSession: CreateSession): Promise<PictureEncoder> {
  const { tensors } = openSafetensors(join(folder, 'model.safetensors'));
  const oracle = await createOracle(tensors, createSession);
  const world = createWorldPictures(0, worldCount);
  const size = { width: PICTURE_SIZE, height: PICTURE_SIZE };
  const planes = (picture: RgbImage) => preprocess(picture, signed).planes;
  const seen = Array.from({ length: worldCount }, (_, i) => planes({ ...size, data: world.at(i).pixels }));
  const centre = featureCentre(await oracle.read(seen));
  return {
    description: "the embedded world's oracle",
    async embedPictures(pictures) {
      const readings = await oracle.read(pictures.map(planes));
      return readings.map((reading) => Float32Array.from(direction(reading, centre)));
    },
    embedTexts: () => noTexts('The oracle'),
    async readClauses(pictures) {
      const readings = await oracle.read(pictures.map(planes));
      return readings.map((reading) => {
        const { class: name, context, accessory, appearance } = believedScene(reading);
        return { class: name, context, accessory, colour: appearance.colour, pattern: appearance.pattern };
      });
    },
    release: oracle.release,
  };
}

/** A network over pictures of one size, `batch` at a time. */
async function batched(
  size: number | readonly [height: number, width: number],
  tensors: ReadonlyMap<string, StoredTensor>,
  createSession: CreateSession,
  network: (w: Weights, pictures: Value) => Value,
) {
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  const graph = new Graph();
  const pictures = graph.input('pictures', 'float32', [batch, 3, height, width]);
  const weights = checkpointWeights(graph, { component: 'encoder', tensors });
  const session = await createSession({ embedding: network(weights, pictures) });
  return {
    async embed(images: readonly RgbImage[], preparation: Preprocessing): Promise<Float32Array[]> {
      const rows: Float32Array[] = [];
      for (let first = 0; first < images.length; first += batch) {
        const some = images.slice(first, first + batch);
        const data = new Float32Array(batch * 3 * height * width);
        some.forEach((image, n) => {
          data.set(preprocess(image, preparation).planes, n * 3 * height * width);
        });
        const { embedding } = await session.run({ pictures: float32([batch, 3, height, width], data) });
        const length = embedding.data.length / batch;
        some.forEach((_, n) => {
          rows.push((embedding.data as Float32Array).slice(n * length, (n + 1) * length));
        });
      }
      return rows;
    },
    release: () => session.release(),
  };
}

/** CLIP's text config has what concerns generation, too. */
function textConfigOf(config: Readonly<Record<string, unknown>>) {
  const known = [
    'vocab_size',
    'hidden_size',
    'intermediate_size',
    'num_hidden_layers',
    'num_attention_heads',
    'max_position_embeddings',
    'hidden_act',
    'layer_norm_eps',
    'projection_dim',
    'eos_token_id',
  ];
  return Object.fromEntries(Object.entries(config).filter(([key]) => known.includes(key)));
}

const noTexts = (what: string): Promise<never> =>
  Promise.reject(
    new InvalidOptionError('encoder', `${what} reads no texts: CLIP-T takes a CLIP model in its folder.`),
  );
