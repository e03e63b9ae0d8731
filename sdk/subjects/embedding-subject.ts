/** Subjects that are an embedding: made of other programs' files, read to be drawn, written for other programs. */
import { existsSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { isPickle } from '../checkpoint/component-weights';
import { openSafetensors, readFloat32, readTensor, writeSafetensors } from '../checkpoint/safetensors';
import { InvalidOptionError, UnsupportedEmbeddingError } from '../errors';
import type { BaseModel } from '../models/base-model';
import type { TokenEmbedding } from '../sampling/text-encoder';
import { float32 } from '../tensor';
import {
  diffusersFiles,
  type EmbeddingRows,
  isEmbedding,
  readEmbedding,
  toDiffusersFiles,
  toWebUi,
} from './embedding-file';
import { prepareTarget } from './export-target';
import type { Subject } from './subjects';

/** In a subject's folder: the vectors for each text encoder, under its name. */
const embeddingFile = 'embedding.safetensors';

/** What stands for the subject `name` in the text that the text encoder reads. */
export const embeddingToken = (name: string): string => `<${name}>`;

/** The files of an embedding that `path` names, itself or those in it; empty where it is something else. */
export function embeddingFiles(path: string): string[] {
  if (isPickle(path)) throw refusePickledEmbedding(path);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
    return diffusersFiles.map((file) => join(path, file)).filter((file) => existsSync(file));
  return isEmbedding(openSafetensors(path).tensors) ? [path] : [];
}

/** Throws UnsupportedEmbeddingError, BrokenFileError. */
export function writeEmbeddingOf(files: readonly string[], base: BaseModel, folder: string): void {
  const opened = files.map((file) => {
    const { tensors } = openSafetensors(file);
    return new Map([...tensors].map(([key, stored]) => [key, readTensor(stored)]));
  });
  writeEmbedding(folder, readEmbedding(opened, base));
}

export function writeEmbedding(folder: string, rows: EmbeddingRows): void {
  writeSafetensors(join(folder, embeddingFile), Object.entries(rows), { format: 'pt' });
}

function rowsOf(subject: Subject): EmbeddingRows {
  const { tensors } = openSafetensors(join(subject.folder, embeddingFile));
  return Object.fromEntries(
    [...tensors].map(([key, stored]) => [key, float32(stored.shape, readFloat32(stored))]),
  );
}

/** A subject's vectors and its word, as prompts are encoded with them. */
export function tokenEmbedding(subject: Subject): TokenEmbedding {
  const rows = rowsOf(subject);
  return { token: subject.identifier, vectors: Object.values(rows)[0]!.shape[0]!, rows };
}

/**
 * Writes it as `kohya`'s readers (AUTOMATIC1111's web UI, ComfyUI) take embeddings, or as diffusers does: a file, or
 * of XL two in a folder. Returns the path. Throws InvalidOptionError, DiskFullError, UnwritablePathError.
 */
export function exportEmbedding(
  subject: Subject,
  format: 'kohya' | 'diffusers',
  out: string,
  overwrite: boolean,
): string {
  const rows = rowsOf(subject);
  const isFile = out.endsWith('.safetensors');
  if (format === 'kohya') {
    const path = resolve(isFile ? out : join(out, `${subject.name}.safetensors`));
    prepareTarget(path, overwrite);
    writeSafetensors(path, toWebUi(rows), { format: 'pt' });
    return path;
  }
  const files = [...toDiffusersFiles(rows, subject.identifier)];
  if (files.length > 1 && isFile) {
    throw new InvalidOptionError(
      'out',
      `An embedding for two text encoders is two files in diffusers' form, and ${basename(out)} is one: name a folder.`,
    );
  }
  const pathOf = (name: string) => resolve(isFile ? out : join(out, name));
  // All of them before the first is written.
  for (const [name] of files) prepareTarget(pathOf(name), overwrite);
  for (const [name, tensors] of files) writeSafetensors(pathOf(name), tensors, { format: 'pt' });
  return resolve(files.length > 1 || isFile ? out : join(out, files[0]![0]));
}

const refusePickledEmbedding = (path: string) =>
  new UnsupportedEmbeddingError(
    `${path} is a Python pickle: reading it would run code from the file, so it is refused. Take the .safetensors of the same file, or convert an embedding in Python: ` +
      `d = torch.load('${basename(path)}', weights_only=True); safetensors.torch.save_file({'emb_params': d['string_to_param']['*'] if 'string_to_param' in d else next(iter(d.values()))}, 'embedding.safetensors')`,
  );
