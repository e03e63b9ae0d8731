/** Learned subjects on disk: a folder each, holding subject.json, its weights and a thumbnail. */
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../checkpoint/atomic-file';
import { readJsonFile } from '../checkpoint/json-file';
import { writeFailure } from '../checkpoint/write-failure';
import { BrokenFileError, NameTakenError, UnknownSubjectError } from '../errors';
import { type Home, makeFolder } from './home';
import { checkSubjectName, nearestFirst } from './subject-name';
import { weightFilesOf } from './weight-files';

const recordFile = 'subject.json';

export const subjectKinds = ['lora', 'full', 'embedding'] as const;

export const settingValue = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.array(z.union([z.string(), z.number()])).readonly(),
]);

const subjectRecord = z.object({
  id: z.string().min(1),
  className: z.string().min(1),
  /** The rare words that stand for the subject in a prompt, before its class; empty: the class alone does. */
  identifier: z.string(),
  instancePrompt: z.string(),
  /**
   * `lora`: lora.safetensors, in diffusers' naming. `full`: folders of whole components, as unet/. `embedding`:
   * embedding.safetensors, vectors for each text encoder; the identifier alone stands for them.
   */
  kind: z.enum(subjectKinds),
  /** `vae` is where an autoencoder is that stood in place of the base's own. */
  base: z.object({ path: z.string().min(1), fingerprint: z.string(), vae: z.string().optional() }),
  /** In effect, defaults written out: what repeats the training. */
  settings: z.record(z.string(), settingValue),
  seed: z.number().int(),
  steps: z.number().int().nonnegative(),
  createdAt: z.iso.datetime(),
  /** `file` and `mask` are within the subject's folder. */
  photos: z.array(
    z.object({
      name: z.string(),
      sha256: z.string().length(64),
      caption: z.string().optional(),
      file: z.string().optional(),
      mask: z.string().optional(),
    }),
  ),
  /** Whose weights it was learned on from, where not the base's own; `steps` counts theirs, too. */
  continuedFrom: z.object({ name: z.string(), id: z.string() }).optional(),
  /** Its weights by their contents, whatever it is called; empty where it is older than this field. */
  files: z
    .array(z.object({ file: z.string(), bytes: z.int().nonnegative(), sha256: z.string().length(64) }))
    .default([]),
  /** Of what made it: this package, onnxruntime, Node. */
  versions: z.record(z.string(), z.string()),
  /** The job that learned it; null: it was imported, or is older than this field. */
  job: z.string().nullable().default(null),
  /** Whose it is, and the community in which it was learned; see `JobOrigin`. */
  owner: z.string().default('local'),
  scope: z.string().nullable().default(null),
  /** Who affirmed that the photos may be used, when, and in answer to what; null: nobody was asked. */
  consent: z.object({ by: z.string(), at: z.iso.datetime(), words: z.string() }).nullable().default(null),
});

export type SettingValue = z.infer<typeof settingValue>;
/** What subject.json holds. The folder's name is the subject's name, so that renaming is one step. */
export type SubjectRecord = z.infer<typeof subjectRecord>;
/** As given to `createSubject`: what has a default may be left out. */
export type NewSubject = z.input<typeof subjectRecord>;

export interface Subject extends SubjectRecord {
  readonly name: string;
  readonly folder: string;
}

/**
 * Makes `folder`, which holds the weights and lies in the home, the subject `name`: in one rename, so that a
 * subject is there whole or not at all. It takes the place of the subject of id `replaced`, where that has the name.
 * Throws NameTakenError (`folder` then stays), InvalidNameError, DiskFullError.
 */
export function createSubject(
  home: Home,
  name: string,
  record: NewSubject,
  folder: string,
  replaced?: string,
): Subject {
  checkSubjectName(name);
  makeFolder(home.subjects);
  const whole = subjectRecord.parse({ ...record, files: weightFilesOf(folder) });
  const text = `${JSON.stringify(whole, null, 2)}\n`;
  writeFileAtomically(join(folder, recordFile), [Buffer.from(text)]);
  if (replaced !== undefined && isSubject(home, name, replaced)) replaceFolder(home, name, folder);
  else moveToName(home, name, folder);
  return readSubject(home, name);
}

/** A record from elsewhere; undefined where it is none. */
export const parseSubjectRecord = (value: unknown): SubjectRecord | undefined =>
  subjectRecord.safeParse(value).data;

/** Throws UnknownSubjectError, which lists the subjects there are, or BrokenFileError for a damaged record. */
export function readSubject(home: Home, name: string): Subject {
  const folder = join(home.subjects, name);
  if (!subjectExists(home, name)) {
    throw new UnknownSubjectError(name, nearestFirst(name, subjectNames(home)));
  }
  const path = join(folder, recordFile);
  const parsed = subjectRecord.safeParse(readJsonFile(path, `it describes the subject @${name}`));
  if (!parsed.success) {
    throw new BrokenFileError(
      path,
      `${path} is not a subject's record (${z.prettifyError(parsed.error)}): delete the subject @${name} and learn it again.`,
    );
  }
  return { name, folder, ...parsed.data };
}

export function subjectExists(home: Home, name: string): boolean {
  if (!isName(name)) return false;
  putBack(home, name);
  return existsSync(join(home.subjects, name, recordFile));
}

/** Whether the subject of that name is the one of that id. */
export const isSubject = (home: Home, name: string, id: string): boolean =>
  subjectExists(home, name) && readSubject(home, name).id === id;

/** Whether the subject of that name was learned by that job. */
export const isSubjectOf = (home: Home, name: string, job: string): boolean =>
  subjectExists(home, name) && readSubject(home, name).job === job;

/** By name. */
export function subjectNames(home: Home): string[] {
  if (!existsSync(home.subjects)) return [];
  const names = readdirSync(home.subjects).map((name) => name.replace(asidePrefix, ''));
  return [...new Set(names)].filter((name) => subjectExists(home, name)).sort();
}

/** Oldest first; a subject whose record is damaged is left out and told to `onBroken`. */
export function listSubjects(home: Home, onBroken?: (error: BrokenFileError) => void): Subject[] {
  const subjects = subjectNames(home).flatMap((name) => {
    try {
      return [readSubject(home, name)];
    } catch (error) {
      if (!(error instanceof BrokenFileError)) throw error;
      onBroken?.(error);
      return [];
    }
  });
  return subjects.sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0));
}

/** Throws UnknownSubjectError, InvalidNameError, NameTakenError, UnwritablePathError. */
export function renameSubject(home: Home, name: string, newName: string): Subject {
  const { folder } = readSubject(home, name);
  checkSubjectName(newName);
  if (newName !== name) {
    forgetReplaced(home, name);
    moveToName(home, newName, folder);
  }
  return readSubject(home, newName);
}

/** Throws UnknownSubjectError, UnwritablePathError. */
export function deleteSubject(home: Home, name: string): void {
  if (!isName(name) || lstatSync(join(home.subjects, name), { throwIfNoEntry: false }) === undefined) {
    throw new UnknownSubjectError(name, nearestFirst(name, subjectNames(home)));
  }
  forgetReplaced(home, name);
  // First out of sight in one step, so that being ended half-way leaves no half a subject.
  const doomed = join(home.subjects, `.deleted-${randomBytes(6).toString('hex')}`);
  try {
    renameSync(join(home.subjects, name), doomed);
    rmSync(doomed, { recursive: true, force: true });
  } catch (cause) {
    throw writeFailure(join(home.subjects, name), cause);
  }
}

/** Where a subject is while another takes its place. */
const asidePrefix = '.replaced-';
const asideOf = (home: Home, name: string) => join(home.subjects, asidePrefix + name);

/** The old folder goes only when the new one has its name. */
function replaceFolder(home: Home, name: string, folder: string): void {
  const [target, aside] = [join(home.subjects, name), asideOf(home, name)];
  for (let attempt = 0; ; attempt++) {
    rmSync(aside, { recursive: true, force: true });
    renameSync(target, aside);
    try {
      renameSync(folder, target);
      break;
    } catch (error) {
      // Somebody who looked for the subject at this moment has put it back.
      if (existsSync(target) && attempt < 10) continue;
      putBack(home, name);
      throw error;
    }
  }
  rmSync(aside, { recursive: true, force: true });
}

/** What a process that died after a replacement left, before the name is free, or the old subject would be put back. */
const forgetReplaced = (home: Home, name: string) =>
  rmSync(asideOf(home, name), { recursive: true, force: true });

/** A subject that was being replaced when the process died is its old self again. */
function putBack(home: Home, name: string): void {
  if (existsSync(join(home.subjects, name)) || !existsSync(asideOf(home, name))) return;
  try {
    renameSync(asideOf(home, name), join(home.subjects, name));
  } catch {
    // It was replaced, or put back by another, meanwhile.
  }
}

function moveToName(home: Home, name: string, folder: string): void {
  const target = join(home.subjects, name);
  try {
    // Systems refuse to rename over a folder that holds something; where two race, one wins.
    if (!existsSync(target)) {
      renameSync(folder, target);
      return;
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'EPERM') throw writeFailure(target, error);
    // Windows says so of a folder that is there; elsewhere it is what it says.
    if (code === 'EPERM' && !existsSync(target)) throw writeFailure(target, error);
  }
  throw new NameTakenError(
    name,
    `There is a subject @${name} already: choose another name, or remove that one with \`subjects delete ${name}\`.`,
  );
}

function isName(name: string): boolean {
  try {
    return checkSubjectName(name) === name;
  } catch {
    return false;
  }
}
