/** LoRA files of other programs as subjects. */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint';
import { checkpointFingerprint } from '../checkpoint/fingerprint';
import { openSafetensors, readTensor, writeSafetensors } from '../checkpoint/safetensors';
import { loraModel } from '../lora/lora-model';
import { fromFile } from '../lora/read-lora';
import { toDiffusers } from '../lora/write-lora';
import { type Home, makeFolder } from './home';
import { diffusersLoraFile, loraFile } from './lora-export';
import { subjectWords } from './prompt';
import { createSubject, type Subject, subjectExists } from './subjects';

/** What an imported LoRA file does not say. */
export interface ImportedSubject {
  readonly name: string;
  readonly className: string;
  /** The words it was trained with for the subject. */
  readonly identifier: string;
  /** As it is to be remembered, and where its files are. */
  readonly base: string;
  readonly basePath: string;
}

/**
 * Makes a subject of a LoRA file in kohya's, diffusers' or PEFT's names that fits the base model; of a folder, of the
 * file in it that diffusers writes. Throws MissingFileError, BrokenFileError, UnsupportedLoraError,
 * LoraFamilyError, NameTakenError, InvalidNameError.
 */
export function importSubject(home: Home, file: string, imported: ImportedSubject): Subject {
  const { name, className, identifier, base, basePath } = imported;
  const isFolder = statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
  const { tensors, metadata: written } = openSafetensors(isFolder ? join(file, diffusersLoraFile) : file);
  const { components } = openCheckpoint(basePath);
  const model = loraModel((component) => components.get(component)?.tensors);
  const layers = fromFile(tensors, readTensor, model, written);
  const draft = join(makeFolder(home.cache), `import-${randomBytes(6).toString('hex')}`);
  mkdirSync(draft);
  try {
    writeSafetensors(join(draft, loraFile), toDiffusers(layers, 'float32'));
    const record = {
      id: randomUUID(),
      className,
      identifier,
      instancePrompt: `a photo of ${subjectWords({ identifier, className })}`,
      kind: 'lora' as const,
      base: { path: base, fingerprint: checkpointFingerprint(basePath) },
      settings: { importedFrom: basename(file) },
      seed: 0,
      steps: 0,
      createdAt: new Date().toISOString(),
      photos: [],
      versions: {},
    };
    return createSubject(home, name, record, draft);
  } finally {
    if (!subjectExists(home, name) || existsSync(draft)) rmSync(draft, { recursive: true, force: true });
  }
}
