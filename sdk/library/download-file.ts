import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { writeFailure } from '../checkpoint/write-failure';
import { BrokenFileError, DreamBoothError, HubUnreachableError, StoppedError } from '../errors';
import { attempts, type HubFile, innermost, pause } from './hub';

/** A file's bytes from `start` on; `from` is where they do begin, `start` or 0. */
export type ReadFrom = (
  start: number,
) => Promise<{ readonly from: number; readonly body: AsyncIterable<Uint8Array> }>;

/**
 * Fetches a file to `target`, whole and with the right hash or not at all. What arrives is kept in `target.incomplete`,
 * from whose end on the rest is asked for, in this call when the connection breaks, and in the next after a stop.
 * `onBytes` gets how many bytes are there. Throws BrokenFileError where the bytes are not those that the hub announced,
 * HubUnreachableError, StoppedError, DiskFullError, UnwritablePathError.
 */
export async function downloadFile(
  file: HubFile,
  target: string,
  read: ReadFrom,
  onBytes: (there: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const partial = `${target}.incomplete`;
  const handle = written(partial, () => openSync(partial, 'a+'));
  try {
    let there = fstatSync(handle).size;
    let hash = startHash(file);
    const restart = () => {
      ftruncateSync(handle, 0);
      there = 0;
      hash = startHash(file);
    };
    if (there > file.bytes) restart();
    if (there > 0) for await (const bytes of createReadStream(partial)) hash.update(bytes);
    onBytes(there);
    for (let failures = 0; there < file.bytes; ) {
      try {
        const { from, body } = await read(there);
        if (from !== there) restart();
        for await (const bytes of body) {
          written(partial, () => append(handle, bytes));
          hash.update(bytes);
          there += bytes.length;
          failures = 0;
          onBytes(there);
          if (there > file.bytes) break;
        }
        if (there < file.bytes) throw new Error(`it ended at byte ${there} of ${file.bytes}`);
      } catch (cause) {
        if (cause instanceof DreamBoothError) throw cause;
        if (signal?.aborted) throw new StoppedError(null, { cause });
        failures++;
        if (failures === attempts) {
          throw new HubUnreachableError(
            `The connection broke off while ${file.path} was fetched (${innermost(cause)}). ${there} of its ${file.bytes} bytes are kept: repeat the command to go on.`,
            { cause },
          );
        }
        await pause(failures, signal);
      }
    }
    const found = hash.digest('hex');
    if (found !== file.hash.digits) {
      rmSync(partial, { force: true });
      throw new BrokenFileError(
        target,
        `${file.path} arrived damaged and was removed: its ${file.hash.kind} is ${found}, the hub says ${file.hash.digits}. Repeat the command to fetch it anew.`,
      );
    }
    written(target, () => {
      fsyncSync(handle);
      renameSync(partial, target);
    });
  } finally {
    closeSync(handle);
  }
}

/** git names a file by the sha1 of its length and its bytes. */
function startHash({ bytes, hash }: HubFile): Hash {
  return hash.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
}

function append(handle: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(handle, bytes, done);
}

function written<Result>(path: string, write: () => Result): Result {
  try {
    return write();
  } catch (cause) {
    throw writeFailure(path, cause);
  }
}
