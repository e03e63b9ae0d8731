/**
 * A whole subject as one file: a `.safetensors` with its weights and, in the header, its record and thumbnail. Of a LoRA
 * it is at once the LoRA in diffusers' names. Photos stay where they are: they are their owner's.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import {
  openSafetensors,
  readTensor,
  writeLargeSafetensors,
  writeSafetensors,
} from '../checkpoint/safetensors';
import { BrokenFileError, NameTakenError } from '../errors';
import type { StoredTensor } from '../tensor';
import { prepareTarget } from './export-target';
import { type Home, makeFolder } from './home';
import { checkSubjectName } from './subject-name';
import { createSubject, listSubjects, parseSubjectRecord, type Subject, subjectExists } from './subjects';
import { type WeightFile, weightFilesOf } from './weight-files';

const recordKey = 'dreambooth.subject';
const filesKey = 'dreambooth.files';
const thumbnailKey = 'dreambooth.thumbnail';
const thumbnailFile = 'thumbnail.png';

/** Where each tensor of the file goes, and what the header of the file there says. */
const archivedFiles = z.record(
  z.string().regex(/^[\w.-]+(\/[\w.-]+)*\.safetensors$/),
  z.object({ prefix: z.string(), metadata: z.record(z.string(), z.string()) }),
);

const late = ({ dtype, shape, ...stored }: StoredTensor) => ({
  dtype,
  shape,
  make: () => readTensor({ dtype, shape, ...stored }).data,
});

/** Writes the file; returns its path. Throws InvalidOptionError for one that is there, DiskFullError, UnwritablePathError; the signal's reason, leaving nothing. */
export async function exportArchive(
  subject: Subject,
  out: string,
  overwrite: boolean,
  signal?: AbortSignal,
): Promise<string> {
  const path = resolve(out.endsWith('.safetensors') ? out : join(out, `${subject.name}.subject.safetensors`));
  prepareTarget(path, overwrite);
  const found = weightFilesOf(subject.folder);
  const opened = found.map(({ file }) => ({
    file,
    // One file keeps its tensors' names, so that other programs know them.
    prefix: found.length === 1 ? '' : `${file}|`,
    ...openSafetensors(join(subject.folder, file)),
  }));
  const tensors = opened.flatMap(({ prefix, tensors: stored }) =>
    [...stored].map(([name, tensor]) => [prefix + name, late(tensor)] as const),
  );
  const { folder, photos, ...record } = subject;
  const kept = {
    ...record,
    files: found,
    // Of the photos only what shows that they were these.
    photos: photos.map(({ name, sha256 }) => ({ name, sha256 })),
  };
  const files = opened.map(({ file, prefix, metadata }) => [file, { prefix, metadata }]);
  const thumbnail = join(folder, thumbnailFile);
  await writeLargeSafetensors(
    path,
    tensors,
    {
      format: 'pt',
      [recordKey]: JSON.stringify(kept),
      [filesKey]: JSON.stringify(Object.fromEntries(files)),
      ...(existsSync(thumbnail) ? { [thumbnailKey]: readFileSync(thumbnail).toString('base64') } : {}),
    },
    signal,
  );
  return path;
}

/** Whether a file is a subject that was exported whole. Throws BrokenFileError. */
export const isArchive = (file: string): boolean =>
  file.endsWith('.safetensors') &&
  statSync(file, { throwIfNoEntry: false })?.isFile() === true &&
  recordKey in openSafetensors(file).metadata;

/**
 * Makes a subject of such a file, under its own name or `name`; one that is there already, of the same contents, is
 * returned. Whose it is is the importer; who learned it from what, and who consented, stays in the record.
 * Throws BrokenFileError, NameTakenError, InvalidNameError, DiskFullError.
 */
export function importArchive(home: Home, file: string, name?: string): Subject {
  const { metadata, tensors } = openSafetensors(file);
  const broken = (what: string) =>
    new BrokenFileError(file, `${file} is damaged: ${what}. Export the subject again.`);
  const given = jsonOf(metadata[recordKey]);
  const record = parseSubjectRecord(given);
  const files = archivedFiles.safeParse(jsonOf(metadata[filesKey])).data;
  if (record === undefined || files === undefined) throw broken('what it says of the subject cannot be read');
  const wanted = checkSubjectName(name ?? String((given as { name?: unknown }).name));
  const same = listSubjects(home).filter((one) => one.id === record.id || sameFiles(one.files, record.files));
  const there = same.find((one) => name === undefined || one.name === name);
  if (there !== undefined && sameFiles(there.files, record.files)) return there;
  if (subjectExists(home, wanted)) {
    throw new NameTakenError(
      wanted,
      `There is a subject @${wanted} already: import this one under another name, as --name ${wanted}-2.`,
    );
  }
  const draft = join(makeFolder(home.cache), `import-${randomBytes(6).toString('hex')}`);
  mkdirSync(draft);
  try {
    for (const [weights, { prefix, metadata: said }] of Object.entries(files)) {
      const target = resolve(draft, weights);
      if (!target.startsWith(draft + sep)) throw broken(`it names a file ${weights}`);
      mkdirSync(dirname(target), { recursive: true });
      const parts = [...tensors].filter(([key]) => key.startsWith(prefix));
      writeSafetensors(
        target,
        parts.map(([key, stored]) => [key.slice(prefix.length), late(stored)] as const),
        said,
      );
    }
    if (!sameFiles(weightFilesOf(draft), record.files))
      throw broken('its weights are not those that were exported');
    const thumbnail = metadata[thumbnailKey];
    if (thumbnail !== undefined)
      writeFileAtomically(join(draft, thumbnailFile), [Buffer.from(thumbnail, 'base64')]);
    const own = { id: same.length === 0 ? record.id : randomUUID(), job: null, owner: 'local', scope: null };
    return createSubject(home, wanted, { ...record, ...own }, draft);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

const sameFiles = (a: readonly WeightFile[], b: readonly WeightFile[]): boolean =>
  a.length > 0 && a.length === b.length && a.every(({ sha256 }, i) => sha256 === b[i]!.sha256);

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
