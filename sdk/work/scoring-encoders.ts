/** By what the pictures of a training are scored, where something is to be decided by them. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { InvalidOptionError, MissingFileError } from '../errors';
import type { TrainingSettings } from '../training/presets';
import { type EncoderFile, encoderKinds } from './picture-encoder';

type ScoringSettings = Partial<Pick<TrainingSettings, 'keep' | 'stopWhen' | 'encoders'>>;

/** Named in the environment, as `encoders` of the settings has them, with commas between. */
export const encodersVariable = 'DREAMBOOTH_ENCODERS';

export const isScored = ({ keep, stopWhen }: ScoringSettings): boolean =>
  keep === 'best' || stopWhen === 'good';

/**
 * The settings with the encoders of the environment where something is scored and they name none, by absolute paths: a
 * resumed run decides by the same. A base that has an oracle needs none. Throws InvalidOptionError for what names no encoder.
 */
export function withEncoders<Settings extends ScoringSettings>(
  settings: Settings,
  basePath: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Settings {
  const named = settings.encoders ?? environment[encodersVariable]?.split(',').filter(Boolean) ?? [];
  if (!isScored(settings) || named.length === 0 || oracleIn(basePath) !== undefined) return settings;
  const source = settings.encoders ? 'encoders' : encodersVariable;
  const found = named.map((pair) => parseEncoder(pair, source));
  return { ...settings, encoders: found.map(({ kind, path }) => `${kind}=${path}`) };
}

/** The oracle of a base, where it is the embedded one. */
export function oracleIn(basePath: string): EncoderFile | undefined {
  const path = join(basePath, 'oracle');
  return existsSync(join(path, 'model.safetensors')) ? { kind: 'oracle', path } : undefined;
}

/**
 * What scores: the oracle on the embedded base, else CLIP, which reads prompts, and DINO beside it, which knows subjects
 * better. Empty where nothing is scored. Throws InvalidOptionError where nothing reads prompts, MissingFileError.
 */
export function scoringEncoders(settings: ScoringSettings, basePath: string): readonly EncoderFile[] {
  if (!isScored(settings)) return [];
  const oracle = oracleIn(basePath);
  if (oracle !== undefined) return [oracle];
  const encoders = (settings.encoders ?? []).map((pair) => parseEncoder(pair, 'encoders'));
  // By identity alone, a copy of a photo would be best.
  if (!encoders.some(({ kind }) => kind === 'clip')) {
    const setting = settings.keep === 'best' ? 'keep' : 'stopWhen';
    throw new InvalidOptionError(
      setting,
      `${setting} is ${settings[setting]}: on this base nothing tells how good a picture is, and likeness of pixels would choose a copy of a photo. Give CLIP, a folder with the config.json and weights of openai/clip-vit-base-patch32, as encoders=clip=PATH or in ${encodersVariable}; with dino=PATH beside it (facebook/dino-vits16) the subject is known better.`,
    );
  }
  const missing = encoders.find(({ path }) => !existsSync(path));
  if (missing !== undefined)
    throw new MissingFileError(
      missing.path,
      `There is no encoder at ${missing.path}: give a folder with config.json and weights, or an ONNX file.`,
    );
  return encoders;
}

/** `source`: where the pair was given. */
function parseEncoder(pair: string, source: string): EncoderFile {
  const [, kind, path] = /^\s*([a-z]+)=(.+?)\s*$/s.exec(pair) ?? [];
  const known = encoderKinds.find((one) => one === kind && one !== 'oracle' && one !== 'lpips');
  if (known !== undefined && path !== undefined) return { kind: known, path: resolve(path) };
  throw new InvalidOptionError(
    'encoders',
    `${source} has "${pair}": write clip=PATH, and dino=PATH or dreamsim=PATH beside it.`,
  );
}
