import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { BrokenFileError, MissingFileError } from '../errors';
import { toFloat32 } from '../half';
import {
  type ArrayOf,
  type DataType,
  dataTypes,
  type Shape,
  type StoredTensor,
  sizeOf,
  type Tensor,
} from '../tensor';
import { writeFileAtomically, writeFileGradually } from './atomic-file';
import { foreignFile, magicBytes } from './file-magic';
import { isJsonObject, type JsonObject } from './json-file';

/*
 * The format: an unsigned 64-bit length n, n bytes of JSON (name → dtype, shape and the range of its
 * bytes after the header; `__metadata__` holds strings), then the tensors' bytes without gaps.
 */

export interface Safetensors {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

const largestHeader = 100_000_000;
const largestRead = 2 ** 30;

const dataTypeOfTag = new Map(
  (Object.keys(dataTypes) as DataType[]).map((dtype) => [dataTypes[dtype].safetensors as string, dtype]),
);

/**
 * Reads and checks the header of a `.safetensors` file; no tensor is read. Every returned tensor names the
 * file by its absolute path with symbolic links resolved, and its absolute byte offset there.
 * Throws MissingFileError, BrokenFileError naming the tensor and the bytes found and wanted, or UnsupportedModelError for
 * a file of another format.
 */
export function openSafetensors(path: string): Safetensors {
  const file = realFile(path);
  const handle = openSync(file, 'r');
  try {
    const status = fstatSync(handle);
    if (status.isDirectory())
      throw new BrokenFileError(path, `${path} is a folder: name the .safetensors file in it.`);
    const { size } = status;
    const foreign = foreignFile(path, readBytes(handle, 0, Math.min(size, magicBytes), path));
    if (foreign) throw foreign;
    const length = headerLength(handle, size, path);
    const header = parseHeader(readBytes(handle, 8, length, path), path);
    return {
      metadata: metadataOf(header),
      tensors: tensorsOf(header, { file, path, start: 8 + length, size }),
    };
  } finally {
    closeSync(handle);
  }
}

/** Reads one tensor into memory, in pieces, so that tensors beyond 2 GiB work. Throws BrokenFileError when the file has shrunk. */
export function readTensor<T extends DataType>(stored: StoredTensor & { readonly dtype: T }): Tensor<T>;
export function readTensor(stored: StoredTensor): Tensor {
  const bytes = readStoredBytes(stored);
  const data = new dataTypes[stored.dtype].array(bytes.buffer);
  if (!stored.transposed) return { dtype: stored.dtype, shape: stored.shape, data };
  const [rows, columns] = stored.shape as [number, number];
  return { dtype: stored.dtype, shape: stored.shape, data: transposed(data, columns, rows) };
}

/** The values of a matrix of `rows` and `columns` with these exchanged. */
export function transposed<Values extends ArrayOf[DataType]>(
  values: Values,
  rows: number,
  columns: number,
): Values {
  const turned = values.slice() as Values;
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = values[row * columns + column]!;
  return turned;
}

/** Reads one tensor as float32: F16 and BF16 exactly, F64 rounded, integers converted. */
export function readFloat32(stored: StoredTensor): Float32Array {
  return toFloat32(readTensor(stored));
}

/** A tensor that is made when its turn to be written comes, so that a file may be larger than memory. */
export interface TensorInTheMaking<T extends DataType = DataType> {
  readonly dtype: T;
  readonly shape: Shape;
  make(): ArrayOf[T];
}

/**
 * Writes a `.safetensors` file atomically: the old file stays whole until the new one is complete on the disk.
 * Wider element types come first, so that every tensor is aligned to its element size; else in the given order.
 * Throws DiskFullError, leaving the old file intact.
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [name: string, tensor: Tensor | TensorInTheMaking]>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  writeFileAtomically(path, safetensorsChunks(tensors, metadata));
}

/** As `writeSafetensors`, in turns with the event loop, for files of many gigabytes; see `writeFileGradually`. */
export function writeLargeSafetensors(
  path: string,
  tensors: Iterable<readonly [name: string, tensor: Tensor | TensorInTheMaking]>,
  metadata: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<void> {
  return writeFileGradually(path, safetensorsChunks(tensors, metadata), signal);
}

/** The bytes that `writeSafetensors` writes, in pieces: the header, then a view of each tensor. */
export function* safetensorsChunks(
  tensors: Iterable<readonly [name: string, tensor: Tensor | TensorInTheMaking]>,
  metadata: Readonly<Record<string, string>> = {},
): Generator<Uint8Array> {
  const ordered = [...tensors].sort(([, a], [, b]) => dataTypes[b.dtype].bytes - dataTypes[a.dtype].bytes);
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header['__metadata__'] = metadata;
  let offset = 0;
  for (const [name, tensor] of ordered) {
    const { dtype, shape } = tensor;
    if ('data' in tensor) checkLength(name, tensor, tensor.data);
    const end = offset + sizeOf(shape) * dataTypes[dtype].bytes;
    header[name] = { dtype: dataTypes[dtype].safetensors, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  padded.writeBigUInt64LE(BigInt(padded.length - 8));
  json.copy(padded, 8);
  yield padded;
  for (const [name, tensor] of ordered) {
    const data = 'data' in tensor ? tensor.data : tensor.make();
    checkLength(name, tensor, data);
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
}

function checkLength(name: string, { shape }: { readonly shape: Shape }, data: ArrayOf[DataType]): void {
  if (data.length === sizeOf(shape)) return;
  throw new RangeError(
    `Tensor ${name} has ${data.length} elements, its shape [${shape}] wants ${sizeOf(shape)}.`,
  );
}

/** The raw bytes of a stored tensor as they lie in the file, little-endian. */
export function readStoredBytes({ file, offset, length }: StoredTensor): Uint8Array<ArrayBuffer> {
  const handle = openSync(file, 'r');
  try {
    return readBytes(handle, offset, length, file);
  } finally {
    closeSync(handle);
  }
}

function realFile(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw new MissingFileError(path, `There is no file ${path}.`, { cause });
  }
}

function readBytes(handle: number, offset: number, length: number, path: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const read = readSync(handle, bytes, done, Math.min(largestRead, length - done), offset + done);
    if (read === 0) {
      throw new BrokenFileError(
        path,
        `${path} ends at byte ${offset + done}, but ${offset + length} are needed. Fetch it again.`,
      );
    }
    done += read;
  }
  return bytes;
}

function headerLength(handle: number, size: number, path: string): number {
  if (size < 8) {
    throw new BrokenFileError(
      path,
      `${path} has ${size} bytes; a .safetensors file has at least 8. Its download was probably cut off: fetch it again.`,
    );
  }
  const bytes = Buffer.from(readBytes(handle, 0, 8, path).buffer);
  const length = Number(bytes.readBigUInt64LE());
  if (length > largestHeader) {
    throw new BrokenFileError(
      path,
      `${path} is not a .safetensors file: its first 8 bytes announce a header of ${length} bytes (at most ${largestHeader} are allowed).`,
    );
  }
  if (8 + length > size) {
    throw new BrokenFileError(
      path,
      `${path} is cut short within its header: ${size} bytes found, ${8 + length} wanted. Fetch it again.`,
    );
  }
  return length;
}

function parseHeader(bytes: Uint8Array, path: string): JsonObject {
  const notAHeader = (cause?: unknown) =>
    new BrokenFileError(path, `${path} is not a .safetensors file: its header is not a JSON object.`, {
      cause,
    });
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw notAHeader(cause);
  }
  if (!isJsonObject(header)) throw notAHeader();
  const twice = repeatedKey(text);
  if (twice !== undefined)
    throw new BrokenFileError(
      path,
      `Tensor ${twice} is twice in the header of ${path}: which one is meant cannot be told. Fetch or write the file again.`,
    );
  return header;
}

/** The first key that a JSON object's text has twice, which parsing hides: the last one wins. */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (const [token, key, colon] of text.matchAll(/"((?:[^"\\]|\\.)*)"(\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (depth === 1 && colon !== undefined && key !== undefined) {
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}

function metadataOf(header: JsonObject): Record<string, string> {
  const metadata = header['__metadata__'];
  if (!isJsonObject(metadata)) return {};
  return Object.fromEntries(
    Object.entries(metadata).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

interface Extent {
  readonly file: string;
  readonly path: string;
  readonly start: number;
  readonly size: number;
}

function tensorsOf(header: JsonObject, { file, path, start, size }: Extent): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, begin, end } = readEntry(name, entry, path);
    const wanted = sizeOf(shape) * dataTypes[dtype].bytes;
    if (end - begin !== wanted) {
      throw new BrokenFileError(
        path,
        `Tensor ${name} in ${path}: ${end - begin} bytes found, ${wanted} wanted for ${dtype} [${shape}].`,
      );
    }
    tensors.set(name, { dtype, shape, file, offset: start + begin, length: wanted });
  }
  checkContiguous(tensors, { file, path, start, size });
  return tensors;
}

/** Tensors must follow one another without gap or overlap and fill the file: anything else is damage. */
function checkContiguous(tensors: ReadonlyMap<string, StoredTensor>, { path, start, size }: Extent): void {
  const byOffset = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.length - b.length);
  const needed = byOffset.reduce((end, [, tensor]) => Math.max(end, tensor.offset + tensor.length), start);
  let expected = start;
  for (const [name, tensor] of byOffset) {
    if (tensor.offset !== expected) {
      throw new BrokenFileError(
        path,
        `Tensor ${name} in ${path} starts at byte ${tensor.offset}, but the one before it ends at ${expected}.`,
      );
    }
    expected += tensor.length;
    if (expected > size) {
      throw new BrokenFileError(
        path,
        `${path} is cut short: tensor ${name} needs bytes up to ${expected}, the whole file ${needed}, ${size} found. Fetch it again.`,
      );
    }
  }
  if (expected !== size) {
    throw new BrokenFileError(
      path,
      `${path} has ${size} bytes, but its tensors end at ${expected}: it is damaged.`,
    );
  }
}

function readEntry(name: string, entry: unknown, path: string) {
  const problem = (what: string) => new BrokenFileError(path, `Tensor ${name} in ${path}: ${what}.`);
  if (!isJsonObject(entry)) throw problem('its header entry is not an object');
  const { dtype: tag, shape, data_offsets: offsets } = entry;
  const dtype = dataTypeOfTag.get(String(tag));
  if (dtype === undefined) {
    throw problem(`its type ${String(tag)} is not one of ${[...dataTypeOfTag.keys()].join(', ')}`);
  }
  if (!isSizes(shape)) throw problem(`its shape ${JSON.stringify(shape)} is not a list of sizes`);
  const [begin, end] = isSizes(offsets) ? offsets : [];
  if (begin === undefined || end === undefined || end < begin) {
    throw problem(`its data_offsets ${JSON.stringify(offsets)} are not a range of bytes`);
  }
  return { dtype, shape, begin, end };
}

const isSizes = (value: unknown): value is Shape =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
