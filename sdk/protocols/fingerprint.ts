/** What names of subjects and rows of a run are told apart by. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { autoencoderFingerprint, checkpointFingerprint } from '../checkpoint/fingerprint';
import { autoencoderPath, basePath } from '../jobs/base-path';

/** Six hexadecimal digits for whatever JSON can say. */
export const fingerprint = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 6);

/** A file's bytes in 64 hexadecimal digits. */
export const fileHash = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

/**
 * What a base and the autoencoder in place of its own hold, wherever they lie: what was drawn on others is not taken for
 * drawn on these. Throws MissingFileError, BrokenFileError.
 */
export function baseContents(base: string, vae: string | null): readonly (string | null)[] {
  const autoencoder = autoencoderPath(vae);
  return [
    checkpointFingerprint(basePath(base)),
    autoencoder === null ? null : autoencoderFingerprint(autoencoder),
  ];
}
