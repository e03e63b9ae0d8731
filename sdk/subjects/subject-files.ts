/** Subjects as files for other programs, and LoRA files of other programs as subjects. */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint';
import { checkpointFingerprint } from '../checkpoint/fingerprint';
import { openSafetensors, readTensor, writeSafetensors } from '../checkpoint/safetensors';
import { makeFolderOf, writeFailure } from '../checkpoint/write-failure';
import { InvalidOptionError } from '../errors';
import { fromFile, type LoraLayers, loraComponents, toDiffusers, toKohya } from '../lora/lora-file';
import { type Home, makeFolder } from './home';
import { subjectWords } from './prompt';
import { createSubject, readSubject, type Subject, subjectExists } from './subjects';

export const exportFormats = ['kohya', 'diffusers'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export const loraFile = 'lora.safetensors';
const diffusersLoraFile = 'pytorch_lora_weights.safetensors';

/**
 * Writes a subject's LoRA to `out`, a `.safetensors` file or a folder that gets one: in kohya's names, which other
 * programs read (ComfyUI, AUTOMATIC1111, Forge…), or diffusers'. A subject learned by changing the whole model becomes
 * a folder in the diffusers layout. `basePath` is where its base is. Returns the path written.
 * Throws UnknownSubjectError, InvalidOptionError, DiskFullError, UnwritablePathError.
 */
export async function exportSubject(
  home: Home,
  name: string,
  format: ExportFormat,
  out: string,
  basePath: string,
): Promise<string> {
  const subject = readSubject(home, name);
  if (subject.kind === 'full') return exportWhole(subject, format, out, basePath);
  const isFile = out.endsWith('.safetensors');
  const usual = format === 'kohya' ? `${name}.safetensors` : diffusersLoraFile;
  const path = resolve(isFile ? out : join(out, usual));
  makeFolderOf(path);
  const layers = readLora(join(subject.folder, loraFile));
  const tensors = format === 'kohya' ? toKohya(layers) : toDiffusers(layers);
  writeSafetensors(path, tensors, metadata(subject, layers));
  return path;
}

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
 * file in it that diffusers writes. Throws MissingFileError, BrokenFileError, UnsupportedLoraError, NameTakenError, InvalidNameError.
 */
export function importSubject(home: Home, file: string, imported: ImportedSubject): Subject {
  const { name, className, identifier, base, basePath } = imported;
  const isFolder = statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
  const { tensors, metadata: written } = openSafetensors(isFolder ? join(file, diffusersLoraFile) : file);
  const layers = fromFile(
    new Map([...tensors].map(([key, stored]) => [key, readTensor(stored)])),
    layerNames(basePath),
    written,
  );
  const draft = join(makeFolder(home.cache), `import-${randomBytes(6).toString('hex')}`);
  mkdirSync(draft);
  try {
    writeSafetensors(join(draft, loraFile), toDiffusers(layers));
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

/** The LoRA that a subject keeps, in diffusers' names, which say where the dots are. */
function readLora(path: string): LoraLayers {
  const { tensors } = openSafetensors(path);
  const names = [...tensors.keys()].map((key) =>
    key.replace(/\.(lora|lora_linear_layer)\.(down|up)\.weight$/, ''),
  );
  return fromFile(new Map([...tensors].map(([key, stored]) => [key, readTensor(stored)])), new Set(names));
}

function layerNames(basePath: string): string[] {
  const { components } = openCheckpoint(basePath);
  return loraComponents.flatMap((component) =>
    [...(components.get(component)?.tensors.keys() ?? [])]
      .filter((key) => key.endsWith('.weight'))
      .map((key) => `${component}.${key.slice(0, -'.weight'.length)}`),
  );
}

/** Words that kohya's scripts write and other programs show. */
function metadata(subject: Subject, layers: LoraLayers): Record<string, string> {
  const [first] = layers.values();
  return {
    format: 'pt',
    ss_output_name: subject.name,
    ss_network_module: 'networks.lora',
    ss_network_dim: String(first?.down.shape[0] ?? 0),
    ss_network_alpha: String(first?.alpha ?? 0),
    'modelspec.title': subject.name,
    'modelspec.trigger_phrase': subjectWords(subject),
    'modelspec.date': subject.createdAt,
  };
}

async function exportWhole(
  subject: Subject,
  format: ExportFormat,
  out: string,
  basePath: string,
): Promise<string> {
  if (format !== 'diffusers') {
    throw new InvalidOptionError(
      'format',
      `@${subject.name} was learned by changing the whole model, so there is no LoRA to write in ${format} names: export it with --format diffusers.`,
    );
  }
  const target = resolve(out);
  if (existsSync(target) && readdirSync(target).length > 0) {
    throw new InvalidOptionError(
      'out',
      `${target} exists and is not empty: name a new folder for the whole model.`,
    );
  }
  const partial = `${target}.${randomBytes(4).toString('hex')}.part`;
  try {
    const own = readdirSync(subject.folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    await cp(basePath, partial, { recursive: true, dereference: true });
    for (const { name } of own) {
      // Weights of the base's component would stand beside the subject's under another name.
      for (const file of readdirSync(join(partial, name))) {
        if (/\.(safetensors|bin)$|\.index\.json$/.test(file)) rmSync(join(partial, name, file));
      }
      await cp(join(subject.folder, name), join(partial, name), { recursive: true });
    }
    rmSync(target, { recursive: true, force: true });
    renameSync(partial, target);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw writeFailure(target, error);
  }
  return target;
}
