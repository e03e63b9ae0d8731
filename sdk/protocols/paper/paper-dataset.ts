/** The pictures of the paper's subjects in a folder of the user's, laid out as google/dreambooth is. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidOptionError, MissingFileError } from '../../errors';
import { isPicture, unreadable } from '../data-pictures';
import { type PaperSubject, paperSubjects } from './paper-prompts';

export interface PaperPhotos extends PaperSubject {
  /** Paths of the pictures that can be read, by name. */
  readonly photos: readonly string[];
}

export interface PaperDataset {
  readonly subjects: readonly PaperPhotos[];
  /** What a reader of the results has to know: subjects and pictures that are not there or cannot be read. */
  readonly gaps: readonly string[];
}

/**
 * `folder` is the repository's root or its `dataset`. Throws MissingFileError where there is no such folder, and
 * InvalidOptionError where none of the thirty is in it.
 */
export async function openPaperDataset(folder: string): Promise<PaperDataset> {
  const inner = join(folder, 'dataset');
  const root = isFolder(inner) ? inner : folder;
  if (!isFolder(root))
    throw new MissingFileError(folder, `There is no folder ${folder}: name a checkout of google/dreambooth.`);
  const subjects: PaperPhotos[] = [];
  const gaps: string[] = [];
  let broken: string | undefined;
  for (const subject of paperSubjects) {
    const own = join(root, subject.name);
    const files = isFolder(own) ? readdirSync(own).filter(isPicture).sort() : [];
    const photos: string[] = [];
    const unread: string[] = [];
    for (const file of files) {
      const problem = await unreadable(join(own, file));
      if (problem === undefined) photos.push(join(own, file));
      else unread.push(`${subject.name}/${file} is left out: ${problem.replace(/\.$/, '')}`);
    }
    broken ??= unread[0];
    gaps.push(...unread);
    if (files.length === 0) gaps.push(`${subject.name} is missing: no picture in ${own}`);
    else if (photos.length === 0) gaps.push(`${subject.name} is left out: none of its pictures can be read`);
    else {
      subjects.push({ ...subject, photos });
      if (files.length !== subject.pictures)
        gaps.push(`${subject.name} has ${files.length} pictures; ${subject.pictures} were published`);
    }
  }
  if (subjects.length === 0)
    throw new InvalidOptionError(
      'data',
      `None of the paper's ${paperSubjects.length} subjects is in ${root}${broken === undefined ? '' : ` with a picture that can be read (${broken})`}: name a checkout of google/dreambooth, with folders as ${paperSubjects[0]!.name}.`,
    );
  return { subjects, gaps };
}

const isFolder = (path: string) => existsSync(path) && statSync(path).isDirectory();
