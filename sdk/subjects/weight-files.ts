/** What was learned, by its contents: the weight files of a subject's folder with their hashes. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface WeightFile {
  /** Within the subject's folder, with `/`. */
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** By name. */
export const weightFilesOf = (folder: string): WeightFile[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.safetensors'))
    .map((file) => file.replaceAll('\\', '/'))
    .sort()
    .map((file) => ({
      file,
      bytes: statSync(join(folder, file)).size,
      sha256: hashOf(join(folder, file)),
    }));

function hashOf(path: string): string {
  const hash = createHash('sha256');
  const piece = new Uint8Array(2 ** 22);
  const file = openSync(path, 'r');
  try {
    for (let read = readSync(file, piece); read > 0; read = readSync(file, piece))
      hash.update(piece.subarray(0, read));
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}
