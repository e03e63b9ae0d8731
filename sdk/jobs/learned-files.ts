import { MissingFileError } from '../errors';
import type { Home } from '../subjects/home';
import { importSubject } from '../subjects/lora-import';
import { type ExportFormat, type ExportOptions, exportSubject } from '../subjects/subject-export';
import { readSubject, type Subject } from '../subjects/subjects';
import { baseName, basePath, embeddedBase } from './base-path';

export interface ImportOptions {
  readonly name: string;
  readonly className: string;
  /** The words that a LoRA was trained with for the subject; an embedding has none. */
  readonly identifier?: string | undefined;
  /** Default `toybox`. */
  readonly base?: string | undefined;
}

/** Writes what a subject learned for other programs; see `exportSubject`. Returns the path written. */
export function exportLearned(
  home: Home,
  name: string,
  format: ExportFormat,
  out: string,
  options?: ExportOptions,
): Promise<string> {
  const { base, kind } = readSubject(home, name);
  // A LoRA stands by itself: its base need not be there any more.
  const path = kind === 'full' ? basePath(base.path) : whereThere(base.path);
  return exportSubject(home, name, format, out, path, options);
}

function whereThere(base: string): string | null {
  try {
    return basePath(base);
  } catch (error) {
    if (error instanceof MissingFileError) return null;
    throw error;
  }
}

/** Makes a subject of another program's LoRA or embedding; see `importSubject`. */
export function importLearned(
  home: Home,
  file: string,
  { base = embeddedBase, ...rest }: ImportOptions,
): Subject {
  const remembered = baseName(home, base);
  return importSubject(home, file, { ...rest, base: remembered, basePath: basePath(remembered) });
}
