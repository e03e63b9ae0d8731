/** Subjects as files for other programs. */
import { InvalidOptionError } from '../errors';
import type { LoraDataType } from '../lora/write-lora';
import { exportCheckpoint, type WeightedSubject } from './checkpoint-export';
import { exportEmbedding } from './embedding-subject';
import type { Home } from './home';
import { exportLora } from './lora-export';
import { exportArchive } from './subject-archive';
import { readSubject } from './subjects';

export const exportFormats = ['kohya', 'diffusers', 'checkpoint', 'subject'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions {
  /** Element type of the written tensors; by default float16 for a LoRA, and for a checkpoint what the base has. */
  readonly dtype?: LoraDataType | undefined;
  /** Whether a file that is there may be written over; default false. A folder for a whole model is always a new one. */
  readonly overwrite?: boolean | undefined;
  /** Stops a checkpoint's writing, which leaves nothing. */
  readonly signal?: AbortSignal | undefined;
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** A subject to export, and where its base is; null where that is no more, which a LoRA can do without. */
export interface ExportedSubject {
  readonly name: string;
  /** How strongly it goes into a checkpoint: 1 as learned. */
  readonly weight: number;
  readonly basePath: string | null;
}

/**
 * Writes what was learned to `out`. `kohya`, `diffusers`: the LoRA of one subject, in the names that most programs read
 * (ComfyUI, AUTOMATIC1111, Forge…) or in diffusers', as a `.safetensors` file or into a folder; of a subject learned by
 * changing the whole model `diffusers` is the whole checkpoint. `checkpoint`: base and subjects in one, as a
 * `.safetensors` file or a new folder in the diffusers layout. `subject`: everything but the photos, as one file that
 * `importLearned` takes back, in another home or on another machine. An
 * embedding is written in float32, as AUTOMATIC1111's web UI or diffusers reads it. Returns the path written.
 * Throws UnknownSubjectError, InvalidOptionError, WrongBaseError, DiskFullError, UnwritablePathError.
 */
export async function exportSubjects(
  home: Home,
  exported: readonly ExportedSubject[],
  format: ExportFormat,
  out: string,
  { dtype, overwrite = false, signal, onWarning }: ExportOptions = {},
): Promise<string> {
  const subjects = exported.map(
    ({ name, weight }): WeightedSubject => ({ subject: readSubject(home, name), weight }),
  );
  const [first] = subjects;
  const basePath = exported[0]?.basePath ?? null;
  if (first === undefined) throw new InvalidOptionError('name', 'Name the subject to export.');
  if (format !== 'checkpoint' && (subjects.length > 1 || first.weight !== 1)) {
    throw new InvalidOptionError(
      'format',
      'Several subjects, or one with a weight, go into a checkpoint: give --format checkpoint.',
    );
  }
  if (/\.(ckpt|pt|pth|bin|pkl|onnx|gguf)$/i.test(out)) {
    throw new InvalidOptionError(
      'out',
      `${out} would be of a format that is not written here: name a .safetensors file, which all programs of today read, or a folder.`,
    );
  }
  if (format === 'subject') return exportArchive(first.subject, out, overwrite, signal);
  const { name, kind } = first.subject;
  if (kind === 'full' && format === 'kohya') {
    throw new InvalidOptionError(
      'format',
      `@${name} was learned by changing the whole model, so there is no LoRA to write in ${format} names: export it with --format checkpoint.`,
    );
  }
  if (kind === 'embedding' && format !== 'checkpoint')
    return exportEmbedding(first.subject, format, out, overwrite);
  if (format === 'checkpoint' || kind === 'full') {
    const how = { out, dtype: dtype ?? null, overwrite, signal, ...(onWarning ? { onWarning } : {}) };
    return exportCheckpoint(subjects, how, basePath!);
  }
  return exportLora(first.subject, { format, out, dtype: dtype ?? 'float16', overwrite }, basePath);
}
