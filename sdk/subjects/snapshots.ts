/** A subject as it was on the way: its weights after some steps, kept beside the last ones. */
import { randomBytes } from 'node:crypto';
import { constants, cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeFailure } from '../checkpoint/write-failure';
import { BrokenFileError, InvalidOptionError } from '../errors';
import { type Home, makeFolder } from './home';
import { createSubject, readSubject, type Subject } from './subjects';
import { weightFilesOf } from './weight-files';

/** Within a subject's folder, and a run's: a folder a step, with what `writeTrainedWeights` writes. */
export const snapshotsFolder = 'snapshots';

/** The steps that were kept, first to last. */
export function snapshotSteps(folder: string): number[] {
  const path = join(folder, snapshotsFolder);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .map(Number)
    .filter(Number.isSafeInteger)
    .sort((a, b) => a - b);
}

/** Throws InvalidOptionError for a step that was not kept. */
export function snapshotFolder({ name, folder }: Pick<Subject, 'name' | 'folder'>, step: number): string {
  const kept = snapshotSteps(folder);
  if (kept.includes(step)) return join(folder, snapshotsFolder, String(step));
  throw new InvalidOptionError(
    'step',
    kept.length === 0
      ? `@${name} has only its last weights: learn it with keep=every to have those of earlier steps.`
      : `@${name} has no weights of step ${step}; there are those of ${kept.join(', ')}.`,
  );
}

/**
 * Makes the weights of a kept step the subject's own; those that it had stay beside them as a step, so that it can be
 * undone. The subject is whole at every moment: a copy takes its place in one rename. Throws UnknownSubjectError,
 * InvalidOptionError for a step that was not kept, BrokenFileError for one without weights, DiskFullError.
 */
export function chooseSnapshot(home: Home, name: string, step: number): Subject {
  const subject = readSubject(home, name);
  if (step === subject.steps) return subject;
  snapshotFolder(subject, step);
  const { name: _, folder, ...record } = subject;
  const draft = join(makeFolder(home.cache), `choose-${randomBytes(6).toString('hex')}`);
  try {
    // Where the file system can, the copy shares what it holds with the subject.
    cpSync(folder, draft, { recursive: true, mode: constants.COPYFILE_FICLONE });
    const [last, chosen] = [subject.steps, step].map((one) => join(draft, snapshotsFolder, String(one)));
    rmSync(last!, { recursive: true, force: true });
    const weights = ownWeights(chosen!);
    if (weights.length === 0) {
      const path = join(folder, snapshotsFolder, String(step));
      throw new BrokenFileError(path, `${path} holds no weights: choose another of the kept steps.`);
    }
    moveFiles(ownWeights(draft), draft, last!);
    moveFiles(weights, chosen!, draft);
    rmSync(chosen!, { recursive: true });
    return createSubject(home, name, { ...record, steps: step }, draft, subject.id);
  } catch (error) {
    throw writeFailure(draft, error);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** The weights of a folder, without those of earlier steps that it keeps. */
const ownWeights = (folder: string): string[] =>
  weightFilesOf(folder).flatMap(({ file }) => (file.startsWith(`${snapshotsFolder}/`) ? [] : [file]));

function moveFiles(files: readonly string[], from: string, to: string): void {
  for (const file of files) {
    mkdirSync(dirname(join(to, file)), { recursive: true });
    renameSync(join(from, file), join(to, file));
  }
}
