/** Where a training run stands, as one file that is there whole or not at all. */
import { existsSync } from 'node:fs';
import { openSafetensors, readFloat32, writeSafetensors } from '../checkpoint/safetensors';
import { WrongBaseError } from '../errors';
import type { RandomState } from '../random';
import { float32 } from '../tensor';
import type { DreamBoothCheckpoint } from '../training/train-dreambooth';

/** `base` is the fingerprint of the base model. Throws DiskFullError; an earlier checkpoint in the file then stays. */
export function writeCheckpoint(
  file: string,
  base: string,
  { trainer, random, order, average }: DreamBoothCheckpoint,
): void {
  const tensors = trainer.blocks.flatMap((block, i) =>
    Object.entries({ ...block, ...(average ? { average: average[i]! } : {}) }).map(
      ([name, values]) => [`${i}.${name}`, float32([values.length], values)] as const,
    ),
  );
  const progress = { step: trainer.step, blocks: trainer.blocks.length, random, order, base };
  writeSafetensors(file, tensors, { progress: JSON.stringify(progress) });
}

/** Undefined where there is none yet. Throws BrokenFileError for a damaged file, WrongBaseError where the base changed. */
export function readCheckpoint(
  file: string,
  base: string,
  subject: string,
): DreamBoothCheckpoint | undefined {
  if (!existsSync(file)) return undefined;
  const { tensors, metadata } = openSafetensors(file);
  const progress = JSON.parse(metadata['progress']!) as {
    step: number;
    blocks: number;
    random: RandomState;
    order: number[];
    base: string;
  };
  if (progress.base !== base) {
    throw new WrongBaseError(
      subject,
      `The base model has changed since the training of @${subject} began: put the old files back, or cancel the job and learn the subject again.`,
    );
  }
  const array = (i: number, name: string) => readFloat32(tensors.get(`${i}.${name}`)!);
  return {
    trainer: {
      step: progress.step,
      blocks: Array.from({ length: progress.blocks }, (_, i) => ({
        parameter: array(i, 'parameter'),
        firstSum: array(i, 'firstSum'),
        secondSum: array(i, 'secondSum'),
      })),
    },
    random: progress.random,
    order: progress.order,
    ...(tensors.has('0.average')
      ? { average: Array.from({ length: progress.blocks }, (_, i) => array(i, 'average')) }
      : {}),
  };
}
