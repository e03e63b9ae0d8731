/** Where a training run stands, as one file that is there whole or not at all. */
import { existsSync } from 'node:fs';
import { openSafetensors, readFloat32, writeSafetensors } from '../checkpoint/safetensors';
import type { RandomState } from '../random';
import { float32 } from '../tensor';
import type { DreamBoothCheckpoint } from '../training/train-dreambooth';

/** Throws DiskFullError; an earlier checkpoint in the file then stays. */
export function writeCheckpoint(file: string, { trainer, random, order }: DreamBoothCheckpoint): void {
  const tensors = trainer.blocks.flatMap((block, i) =>
    (['parameter', 'firstSum', 'secondSum'] as const).map(
      (name) => [`${i}.${name}`, float32([block[name].length], block[name])] as const,
    ),
  );
  const progress = { step: trainer.step, blocks: trainer.blocks.length, random, order };
  writeSafetensors(file, tensors, { progress: JSON.stringify(progress) });
}

/** Undefined where there is none yet. Throws BrokenFileError for a damaged file. */
export function readCheckpoint(file: string): DreamBoothCheckpoint | undefined {
  if (!existsSync(file)) return undefined;
  const { tensors, metadata } = openSafetensors(file);
  const progress = JSON.parse(metadata['progress']!) as {
    step: number;
    blocks: number;
    random: RandomState;
    order: number[];
  };
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
  };
}
