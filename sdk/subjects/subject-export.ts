/** Subjects as files for other programs. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeFailure } from '../checkpoint/write-failure';
import { InvalidOptionError } from '../errors';
import type { LoraDataType } from '../lora/write-lora';
import { exportEmbedding } from './embedding-subject';
import type { Home } from './home';
import { exportLora } from './lora-export';
import { readSubject, type Subject } from './subjects';

export const exportFormats = ['kohya', 'diffusers'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions {
  /** Element type of the written tensors; by default float16, as other programs write LoRA. */
  readonly dtype?: LoraDataType | undefined;
}

/**
 * Writes a subject's LoRA to `out`, a `.safetensors` file or a folder that gets one: in kohya's names, which other
 * programs read (ComfyUI, AUTOMATIC1111, Forge…), or diffusers'. A subject learned by changing the whole model becomes
 * a folder in the diffusers layout; an embedding is written in float32, as AUTOMATIC1111's web UI or diffusers reads it. `basePath` is where its base is; a LoRA can do without (null). Returns the path written.
 * Throws UnknownSubjectError, InvalidOptionError, DiskFullError, UnwritablePathError.
 */
export async function exportSubject(
  home: Home,
  name: string,
  format: ExportFormat,
  out: string,
  basePath: string | null,
  { dtype = 'float16' }: ExportOptions = {},
): Promise<string> {
  const subject = readSubject(home, name);
  if (subject.kind === 'full') return exportWhole(subject, format, out, basePath!);
  if (subject.kind === 'embedding') return exportEmbedding(subject, format, out);
  return exportLora(subject, { format, out, dtype }, basePath);
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
