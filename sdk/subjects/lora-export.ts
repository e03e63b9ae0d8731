/** A learned LoRA as a file for other programs. */
import { createHash } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import { openCheckpoint } from '../checkpoint/checkpoint';
import { openSafetensors, readTensor, safetensorsChunks, writeSafetensors } from '../checkpoint/safetensors';
import { settingsMetadata } from '../lora/adapter-settings';
import { kohyaMetadata, type MetadataBase } from '../lora/kohya-metadata';
import { kohyaNaming, type LayerNaming } from '../lora/kohya-names';
import { familyOfLora, familyOfModel, sd1, sd2, xl } from '../lora/lora-family';
import { loraModel, publishedXlModules } from '../lora/lora-model';
import { fromOwnFile } from '../lora/read-lora';
import { type LoraDataType, toDiffusers, toKohya } from '../lora/write-lora';
import type { Tensor } from '../tensor';
import { prepareTarget } from './export-target';
import { subjectWords } from './prompt';
import type { Subject } from './subjects';

export const loraFile = 'lora.safetensors';
export const diffusersLoraFile = 'pytorch_lora_weights.safetensors';

/** Where a LoRA is written to, and how. */
export interface LoraExport {
  /** The namings that other programs read (ComfyUI, AUTOMATIC1111, Forge… read kohya's), or diffusers'. */
  readonly format: 'kohya' | 'diffusers';
  /** A `.safetensors` file, or a folder that gets one. */
  readonly out: string;
  readonly dtype: LoraDataType;
  /** Whether a file that is there may be written over; default false. */
  readonly overwrite?: boolean;
}

/**
 * Writes a subject's LoRA. `basePath` is where its base is; null where it is no more, and then only what the
 * LoRA itself tells of it is written. Returns the path. Throws DiskFullError, UnwritablePathError, InvalidOptionError.
 */
export function exportLora(
  subject: Subject,
  { format, out, dtype, overwrite = false }: LoraExport,
  basePath: string | null,
): string {
  const usual = format === 'kohya' ? `${subject.name}.safetensors` : diffusersLoraFile;
  const path = resolve(out.endsWith('.safetensors') ? out : join(out, usual));
  prepareTarget(path, overwrite);
  const stored = openSafetensors(join(subject.folder, loraFile)).tensors;
  const layers = fromOwnFile(stored, readTensor);
  if (format === 'diffusers') {
    writeSafetensors(path, toDiffusers(layers, dtype), { format: 'pt', ...settingsMetadata(layers) });
    return path;
  }
  const { naming, ...base } =
    basePath !== null ? describeBase(basePath) : guessBase(familyOfLora(stored) ?? sd1, subject.base.path);
  const tensors = toKohya(layers, naming, dtype);
  const said = kohyaMetadata(
    { ...subject, words: subjectWords(subject), photos: subject.photos.length },
    base,
    layers,
  );
  writeSafetensors(path, tensors, { ...said, ...kohyaHashes(tensors, said) });
  return path;
}

type NamedBase = MetadataBase & { readonly naming: LayerNaming };

function describeBase(basePath: string): NamedBase {
  const { components, schedulerConfig } = openCheckpoint(basePath);
  const model = loraModel((component) => components.get(component)?.tensors);
  const side = components.get('unet')?.config['sample_size'];
  const blocks = components.get('vae')?.config['block_out_channels'];
  return {
    family: familyOfModel(model),
    predictionType: String(schedulerConfig['prediction_type'] ?? 'epsilon'),
    resolution: typeof side === 'number' && Array.isArray(blocks) ? side * 2 ** (blocks.length - 1) : null,
    name: basename(basePath),
    naming: kohyaNaming(model),
  };
}

function guessBase(family: string, basePath: string): NamedBase {
  return {
    family: [sd2, xl].includes(family) ? family : sd1,
    predictionType: null,
    resolution: null,
    name: basename(basePath),
    naming: kohyaNaming({ hasSecondTextEncoder: family === xl, unetModules: publishedXlModules }),
  };
}

/**
 * By what web interfaces know a LoRA again: SHA-256 of the tensors' bytes, and an older one of 64 KiB from 1 MiB on
 * into a file whose header has the training's metadata alone (as kohya's scripts and additional-networks compute them).
 */
function kohyaHashes(
  tensors: ReadonlyMap<string, Tensor>,
  said: Readonly<Record<string, string>>,
): Record<string, string> {
  const training = Object.fromEntries(Object.entries(said).filter(([name]) => name.startsWith('ss_')));
  const [header, ...data] = safetensorsChunks(tensors, training);
  const model = createHash('sha256');
  const legacy = createHash('sha256');
  const [from, to] = [0x100000, 0x110000];
  let at = 0;
  for (const chunk of [header!, ...data]) {
    if (chunk !== header) model.update(chunk);
    legacy.update(chunk.subarray(Math.max(0, from - at), Math.max(0, to - at)));
    at += chunk.length;
  }
  return { sshs_model_hash: model.digest('hex'), sshs_legacy_hash: legacy.digest('hex').slice(0, 8) };
}
