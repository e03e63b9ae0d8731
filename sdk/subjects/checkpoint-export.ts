/** A base model with what was learned put in for good, as a checkpoint that any program can load. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint';
import { isClipVocabulary } from '../checkpoint/clip-vocabulary';
import type { DiffusersFolder } from '../checkpoint/diffusers-folder';
import { checkpointFingerprint } from '../checkpoint/fingerprint';
import { keptConfigs } from '../checkpoint/kept-configs';
import {
  openSafetensors,
  readTensor,
  type TensorInTheMaking,
  writeLargeSafetensors,
} from '../checkpoint/safetensors';
import {
  type ComponentTensors,
  type SingleFileLine,
  singleFileLine,
  singleFileTensors,
} from '../checkpoint/single-file-tensors';
import { makeFolderOf, writeFailure } from '../checkpoint/write-failure';
import { weightsFile, writeDiffusersFolder } from '../checkpoint/write-folder';
import { InvalidOptionError, WrongBaseError } from '../errors';
import { loraModel } from '../lora/lora-model';
import type { WeightedLora } from '../lora/lora-weights';
import { inType, withLoras } from '../lora/merge';
import { fromFile } from '../lora/read-lora';
import type { LoraDataType } from '../lora/write-lora';
import { withZeroTerminalSnr } from '../schedulers/zero-terminal-snr';
import { dataTypes, type StoredTensor, sizeOf } from '../tensor';
import { prepareTarget } from './export-target';
import { loraFile } from './lora-export';
import { misreadSettings } from './misread-settings';
import { subjectWords } from './prompt';
import type { Subject } from './subjects';

/** A subject, and how strongly it goes in: 1 as learned. */
export interface WeightedSubject {
  readonly subject: Subject;
  readonly weight: number;
}

export interface CheckpointExport {
  /** A `.safetensors` file in the original code's keys, or a new folder in the diffusers layout. */
  readonly out: string;
  /** Element type of the written weights; null: as the base has them. */
  readonly dtype: LoraDataType | null;
  /** Whether a file that is there may be written over; default false. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal | undefined;
  onWarning?(message: string): void;
}

/**
 * Writes the base at `basePath` with `subjects` merged in: LoRA added, of one subject learned whole its weights in
 * place of the base's; with zero terminal SNR in the noise schedule where one was learned so. One tensor is in memory at a time. Returns the path. Throws WrongBaseError, InvalidOptionError,
 * DiskFullError, UnwritablePathError; nothing half-written is left.
 */
export async function exportCheckpoint(
  subjects: readonly WeightedSubject[],
  { out, dtype, overwrite = false, signal, onWarning }: CheckpointExport,
  basePath: string,
): Promise<string> {
  refuseMixture(subjects, basePath);
  const checkpoint = withLearnedNoise(openCheckpoint(basePath), subjects);
  for (const { subject } of subjects) {
    if (subject.base.vae === undefined) continue;
    onWarning?.(
      `@${subject.name} was learned with the autoencoder at ${subject.base.vae}; the exported model has the base's own. Name the other one to the program that draws.`,
    );
  }
  const tensors = mergedTensors(checkpoint, subjects, dtype);
  const target = resolve(out);
  if (target.endsWith('.safetensors')) {
    if (![...checkpoint.tokenizers.values()].every(isClipVocabulary)) {
      throw new InvalidOptionError(
        'out',
        `${basePath} reads text by a vocabulary of its own, and a single file has no place for one: name a folder, --out ${out.replace(/\.safetensors$/, '')}.`,
      );
    }
    prepareTarget(target, overwrite);
    const file = singleFileTensors(checkpoint, tensors);
    const said = { ...aboutFile(checkpoint, subjects), ...keptConfigs(checkpoint) };
    const misread = misreadSettings(checkpoint, placeholders(file), said);
    if (misread.length > 0) {
      onWarning?.(
        `Other programs tell the settings of a single file from its shapes, and would take other ones for this base model (${misread.join(', ')}). They are kept in the file for this program; a folder keeps them for all.`,
      );
    }
    await writeLargeSafetensors(target, file, said, signal);
    return target;
  }
  await fillNewFolder(target, (folder) => writeDiffusersFolder(folder, checkpoint, tensors, signal));
  return target;
}

function refuseMixture(subjects: readonly WeightedSubject[], basePath: string): void {
  const fingerprint = checkpointFingerprint(basePath);
  for (const { subject } of subjects) {
    if (subject.base.fingerprint !== fingerprint) {
      throw new WrongBaseError(
        subject.name,
        `@${subject.name} was learned on another base model (${subject.base.path}) than ${basePath}, or that one has changed since.`,
      );
    }
  }
  const embedding = subjects.find(({ subject }) => subject.kind === 'embedding')?.subject.name;
  if (embedding !== undefined) {
    throw new InvalidOptionError(
      'name',
      `@${embedding} is an embedding, which changes no weight of the model: export it with --format kohya or diffusers.`,
    );
  }
  const whole = subjects.find(({ subject }) => subject.kind === 'full');
  if (whole !== undefined && (subjects.length > 1 || whole.weight !== 1)) {
    throw new InvalidOptionError(
      'name',
      `@${whole.subject.name} was learned by changing the whole model: it is exported alone, with the weight 1.`,
    );
  }
}

/** The noise that a subject was learned with, where that is not the base's: whoever draws goes by the config. */
function withLearnedNoise(
  checkpoint: DiffusersFolder,
  subjects: readonly WeightedSubject[],
): DiffusersFolder {
  const toNoiseAlone = subjects.some(({ subject }) => subject.settings['zeroTerminalSnr'] === true);
  if (!toNoiseAlone) return checkpoint;
  return { ...checkpoint, schedulerConfig: withZeroTerminalSnr(checkpoint.schedulerConfig) };
}

function mergedTensors(
  checkpoint: DiffusersFolder,
  subjects: readonly WeightedSubject[],
  dtype: LoraDataType | null,
): ComponentTensors {
  const model = loraModel((component) => checkpoint.components.get(component)?.tensors);
  const loras = subjects.flatMap(({ subject, weight }): WeightedLora[] => {
    if (subject.kind === 'full') return [];
    const { tensors, metadata } = openSafetensors(join(subject.folder, loraFile));
    return [{ layers: fromFile(tensors, readTensor, model, metadata), weight }];
  });
  return new Map(
    [...checkpoint.components].map(([component, { tensors }]) => {
      const own = new Map([...tensors, ...learnedWhole(subjects, component)]);
      const merged = [...own].map(([key, stored]): [string, TensorInTheMaking] => {
        const layer = `${component}.${key.replace(/\.weight$/, '')}`;
        const tensor = key.endsWith('.weight') ? withLoras(asStored(stored), layer, loras) : asStored(stored);
        return [key, dtype === null ? tensor : inType(tensor, dtype)];
      });
      return [component, new Map(merged)];
    }),
  );
}

/** The weights of a component that a subject has in place of the base's. */
function learnedWhole(
  subjects: readonly WeightedSubject[],
  component: string,
): ReadonlyMap<string, StoredTensor> {
  const file = subjects
    .filter(({ subject }) => subject.kind === 'full')
    .map(({ subject }) => join(subject.folder, component, weightsFile(component)))
    .find((path) => existsSync(path));
  return file === undefined ? new Map() : openSafetensors(file).tensors;
}

const asStored = (stored: StoredTensor): TensorInTheMaking => ({
  dtype: stored.dtype,
  shape: stored.shape,
  make: () => readTensor(stored).data,
});

/** Shapes alone, for a look at what a reader would make of them. */
const placeholders = (file: ReadonlyMap<string, TensorInTheMaking>): Map<string, StoredTensor> =>
  new Map(
    [...file].map(([key, { dtype, shape }]) => [
      key,
      { dtype, shape, file: '', offset: 0, length: sizeOf(shape) * dataTypes[dtype].bytes },
    ]),
  );

const architectures: Readonly<Record<SingleFileLine, string>> = {
  sd1: 'stable-diffusion-v1',
  sd2: 'stable-diffusion-v2-512',
  sdxl: 'stable-diffusion-xl-v1-base',
};

/** Stability AI's model specification, as other trainers write it. */
function aboutFile(
  checkpoint: DiffusersFolder,
  subjects: readonly WeightedSubject[],
): Record<string, string> {
  const line = singleFileLine(checkpoint);
  const velocity = checkpoint.schedulerConfig['prediction_type'] === 'v_prediction';
  return {
    format: 'pt',
    'modelspec.sai_model_spec': '1.0.0',
    'modelspec.architecture': line === 'sd2' && velocity ? 'stable-diffusion-v2-768-v' : architectures[line],
    'modelspec.implementation': 'https://github.com/Stability-AI/generative-models',
    'modelspec.title': subjects.map(({ subject }) => subject.name).join(', '),
    'modelspec.prediction_type': velocity ? 'v' : 'epsilon',
    'modelspec.date': new Date().toISOString().replace(/\.\d+/, ''),
    'modelspec.trigger_phrase': subjects.map(({ subject }) => subjectWords(subject)).join(', '),
  };
}

/** Makes `target` whole or not at all. */
async function fillNewFolder(target: string, fill: (folder: string) => Promise<void>): Promise<void> {
  if (existsSync(target) && readdirSync(target).length > 0) {
    throw new InvalidOptionError(
      'out',
      `${target} exists and is not empty: name a new folder for the whole model, or a .safetensors file.`,
    );
  }
  const partial = `${target}.${randomBytes(4).toString('hex')}.part`;
  makeFolderOf(target);
  try {
    mkdirSync(partial);
    await fill(partial);
    rmSync(target, { recursive: true, force: true });
    renameSync(partial, target);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw writeFailure(target, error);
  }
}
