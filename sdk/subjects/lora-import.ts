/** LoRA files and embeddings of other programs as subjects. */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint';
import { checkpointFingerprint } from '../checkpoint/fingerprint';
import { openSafetensors, readTensor, writeSafetensors } from '../checkpoint/safetensors';
import { InvalidOptionError } from '../errors';
import { loraModel } from '../lora/lora-model';
import { fromFile } from '../lora/read-lora';
import { toDiffusers } from '../lora/write-lora';
import { readBaseModel } from '../models/base-model';
import { embeddingFiles, embeddingToken, writeEmbeddingOf } from './embedding-subject';
import { type Home, makeFolder } from './home';
import { diffusersLoraFile, loraFile } from './lora-export';
import { subjectWords } from './prompt';
import { checkSubjectName } from './subject-name';
import { createSubject, type Subject, subjectExists } from './subjects';

/** What an imported file does not say. */
export interface ImportedSubject {
  readonly name: string;
  readonly className: string;
  /** The words that a LoRA was trained with for the subject; an embedding has none. */
  readonly identifier?: string | undefined;
  /** As it is to be remembered, and where its files are. */
  readonly base: string;
  readonly basePath: string;
}

/**
 * Makes a subject of a LoRA file in kohya's, diffusers' or PEFT's names, or of a textual-inversion embedding in
 * AUTOMATIC1111's or diffusers' form, that fits the base model; of a folder, of the files in it that diffusers writes.
 * Throws MissingFileError, BrokenFileError, UnsupportedLoraError, LoraFamilyError, UnsupportedEmbeddingError,
 * InvalidOptionError for a LoRA without an identifier, NameTakenError, InvalidNameError.
 */
export function importSubject(home: Home, file: string, imported: ImportedSubject): Subject {
  const { name, className, base, basePath } = imported;
  checkSubjectName(name);
  const embedding = embeddingFiles(file);
  const kind = embedding.length > 0 ? 'embedding' : 'lora';
  const identifier = kind === 'embedding' ? embeddingToken(name) : identifierOf(imported, file);
  const draft = join(makeFolder(home.cache), `import-${randomBytes(6).toString('hex')}`);
  mkdirSync(draft);
  try {
    if (kind === 'embedding') writeEmbeddingOf(embedding, readBaseModel(openCheckpoint(basePath)), draft);
    else importLora(file, basePath, draft);
    const record = {
      id: randomUUID(),
      className,
      identifier,
      instancePrompt: `a photo of ${subjectWords({ identifier, className, kind })}`,
      kind,
      base: { path: base, fingerprint: checkpointFingerprint(basePath) },
      settings: { importedFrom: basename(file) },
      seed: 0,
      steps: 0,
      createdAt: new Date().toISOString(),
      photos: [],
      versions: {},
    } as const;
    return createSubject(home, name, { ...record, photos: [] }, draft);
  } finally {
    if (!subjectExists(home, name) || existsSync(draft)) rmSync(draft, { recursive: true, force: true });
  }
}

function importLora(file: string, basePath: string, draft: string): void {
  const isFolder = statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
  const { tensors, metadata: written } = openSafetensors(isFolder ? join(file, diffusersLoraFile) : file);
  const { components } = openCheckpoint(basePath);
  const model = loraModel((component) => components.get(component)?.tensors);
  const layers = fromFile(tensors, readTensor, model, written);
  writeSafetensors(join(draft, loraFile), toDiffusers(layers, 'float32'));
}

function identifierOf({ identifier }: ImportedSubject, file: string): string {
  if (identifier !== undefined) return identifier;
  throw new InvalidOptionError(
    'identifier',
    `${file} is a LoRA: give the word that it was trained with for the subject, as --identifier sks.`,
  );
}
