import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidOptionError, MissingFileError, StoppedError } from '../errors';
import type { Home } from '../subjects/home';
import { importSubject } from '../subjects/lora-import';
import { importArchive, isArchive } from '../subjects/subject-archive';
import { type ExportFormat, type ExportOptions, exportSubjects } from '../subjects/subject-export';
import { readSubject, type Subject } from '../subjects/subjects';
import { baseName, basePath, embeddedBase } from './base-path';

export interface ImportOptions {
  /** Of a file that `exportLearned` wrote as a `subject` it may be left out: that knows its name, and the rest. */
  readonly name?: string | undefined;
  readonly className?: string | undefined;
  /** The words that a LoRA was trained with for the subject; an embedding has none. */
  readonly identifier?: string | undefined;
  /** Default `toybox`. */
  readonly base?: string | undefined;
}

/**
 * Writes what subjects learned for other programs; see `exportSubjects`. A name may carry a weight for a checkpoint, as
 * `rex:0.7`. Returns the path written.
 */
export async function exportLearned(
  home: Home,
  names: string | readonly string[],
  format: ExportFormat,
  out: string,
  options?: ExportOptions,
): Promise<string> {
  const exported = [names].flat().map((written) => {
    const { name, weight } = weightedName(written);
    const { base, kind } = readSubject(home, name);
    // A LoRA stands by itself: its base need not be there any more.
    const needsBase = format === 'checkpoint' || kind === 'full';
    return { name, weight, basePath: needsBase ? basePath(base.path) : whereThere(base.path) };
  });
  try {
    return await exportSubjects(home, exported, format, out, options);
  } catch (error) {
    if (options?.signal?.aborted) throw new StoppedError(null, { cause: error });
    throw error;
  }
}

/** Throws InvalidOptionError for a weight that is no number. */
function weightedName(written: string): { name: string; weight: number } {
  const [name, weight, ...rest] = written.split(':') as [string, ...string[]];
  const number = weight === undefined ? 1 : Number(weight);
  if (rest.length > 0 || weight?.trim() === '' || !Number.isFinite(number)) {
    throw new InvalidOptionError('name', `"${written}" is no subject with a weight: write it as rex:0.7.`);
  }
  return { name, weight: number };
}

function whereThere(base: string): string | null {
  try {
    return basePath(base);
  } catch (error) {
    if (error instanceof MissingFileError) return null;
    throw error;
  }
}

/**
 * Makes a subject of another program's LoRA or embedding, see `importSubject`, or of one that was exported whole, see
 * `importArchive`. Of a folder that holds one of the latter, that is taken. Throws InvalidOptionError where the file does not say how it is called and what it is.
 */
export function importLearned(
  home: Home,
  path: string,
  { base = embeddedBase, name, className, identifier }: ImportOptions = {},
): Subject {
  const file = wholeSubjectOf(path);
  if (isArchive(file)) return importArchive(home, file, name);
  const rest = {
    name: told('name', name, 'rex'),
    className: told('class', className, 'dog'),
    identifier,
  };
  const remembered = baseName(home, base);
  return importSubject(home, file, { ...rest, base: remembered, basePath: basePath(remembered) });
}

/** Of a folder the one whole subject in it, as an export into a folder makes; else what was named. */
function wholeSubjectOf(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return path;
  const [only, ...others] = readdirSync(path)
    .map((name) => join(path, name))
    .filter(isArchive);
  return only === undefined || others.length > 0 ? path : only;
}

function told(option: string, value: string | undefined, example: string): string {
  if (value !== undefined) return value;
  throw new InvalidOptionError(
    option,
    `The ${option} is missing, which the file does not say: give it, as --${option} ${example}.`,
  );
}
