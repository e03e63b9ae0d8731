/**
 * What made a picture, as texts in its PNG file: ours as JSON under `dreambooth`, and under `parameters` the lines that
 * AUTOMATIC1111's web UI writes and other programs read. Read back from either.
 */
import { z } from 'zod';
import type { PngText } from '../images/png';
import { type SchedulerName, schedulerNames } from '../schedulers/index';
import { type SettingValue, settingValue, subjectKinds } from '../subjects/subjects';

const recordSchema = z.object({
  /** As typed. */
  prompt: z.string(),
  /** As the text encoder read it. */
  text: z.string().optional(),
  negativeText: z.string().optional(),
  seed: z.number().int().nonnegative(),
  subjects: z
    .array(
      z.object({
        name: z.string(),
        kind: z.enum(subjectKinds),
        identifier: z.string(),
        className: z.string(),
        weight: z.number(),
      }),
    )
    .readonly()
    .default([]),
  base: z.object({ name: z.string(), fingerprint: z.string() }).optional(),
  /** In effect, defaults written out, by the names of the options. */
  settings: z.record(z.string(), settingValue),
  /** Of this package, onnxruntime and Node. */
  versions: z.record(z.string(), z.string()).optional(),
});

export type PictureRecord = z.infer<typeof recordSchema>;

/** What is known of how a picture was made. */
export interface MadePicture {
  /** Which of the picture's texts says so. */
  readonly source: 'dreambooth' | 'parameters';
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly seed: number | null;
  readonly settings: Readonly<Record<string, SettingValue>>;
  /** Subjects that took part; of another program's picture the LoRA that its prompt names, which are left out of `prompt`. */
  readonly subjects: readonly { readonly name: string; readonly weight: number }[];
  readonly base: { readonly name: string; readonly fingerprint: string | null } | null;
  /** What another program says beyond that, as it says it. */
  readonly further: Readonly<Record<string, string>>;
}

/** The samplers as the web UI spells them; it has no DDPM, whose name others give so. */
const samplers: Readonly<Record<SchedulerName, string>> = {
  dpmpp_2m_karras: 'DPM++ 2M Karras',
  dpmpp_2m: 'DPM++ 2M',
  dpmpp_2m_sde_karras: 'DPM++ 2M SDE Karras',
  ddim: 'DDIM',
  ddpm: 'DDPM',
  euler: 'Euler',
  euler_karras: 'Euler Karras',
  euler_ancestral: 'Euler a',
  heun: 'Heun',
  unipc: 'UniPC',
  pndm: 'PLMS',
  lcm: 'LCM',
};

/** Both texts of a picture. */
export function pictureTexts(record: PictureRecord): PngText {
  return { parameters: parametersText(record), dreambooth: JSON.stringify(record) };
}

/** The prompt as the web UI would be given it: the words of the subjects, their LoRA by name, embeddings by name. */
function parametersText({ prompt, text = prompt, negativeText = '', ...record }: PictureRecord): string {
  const { subjects, settings, seed, base, versions } = record;
  const inTheirWords = (words: string) =>
    subjects.reduce(
      (said, { kind, identifier, name }) => (kind === 'embedding' ? said.replaceAll(identifier, name) : said),
      words,
    );
  const loras = subjects.flatMap(({ kind, name, weight }) =>
    kind === 'lora' ? [` <lora:${name}:${weight}>`] : [],
  );
  const { steps, scheduler, guidanceScale, width, height, strength, clipSkip } = settings;
  const said: Record<string, SettingValue | undefined> = {
    Steps: steps,
    Sampler: samplers[scheduler as SchedulerName] ?? scheduler,
    'CFG scale': guidanceScale,
    Seed: seed,
    Size: `${width}x${height}`,
    Model: base?.name,
    'Denoising strength': strength,
    'Clip skip': clipSkip ? Number(clipSkip) + 1 : undefined,
    Version: versions?.['dreambooth'] === undefined ? undefined : `dreambooth ${versions['dreambooth']}`,
  };
  const line = Object.entries(said).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [`${name}: ${quoted(String(value))}`],
  );
  return [
    inTheirWords(text) + loras.join(''),
    ...(negativeText === '' ? [] : [`Negative prompt: ${inTheirWords(negativeText)}`]),
    line.join(', '),
  ].join('\n');
}

const quoted = (value: string) => (/[,:\n]/.test(value) ? JSON.stringify(value) : value);

/** What the texts of a PNG file say of how it was made, ours first; null where they say nothing. */
export function readPictureTexts(texts: PngText): MadePicture | null {
  const record = texts['dreambooth'] === undefined ? undefined : parseRecord(texts['dreambooth']);
  if (record) {
    const { prompt, seed, subjects, base = null, settings } = record;
    const negativePrompt = settings['negativePrompt'];
    return {
      source: 'dreambooth',
      prompt,
      negativePrompt: typeof negativePrompt === 'string' ? negativePrompt : '',
      seed,
      settings,
      subjects: subjects.map(({ name, weight }) => ({ name, weight })),
      base,
      further: {},
    };
  }
  return texts['parameters'] === undefined ? null : readParameters(texts['parameters']);
}

function parseRecord(text: string): PictureRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** A name, then a value up to the next comma, or in quotation marks. */
const entry = /\s*([A-Z][\w /-]*):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)/g;
const loraTag = /\s*<lora:([^:>]+)(?::([\d.]+))?[^>]*>/g;
const negativeLine = 'Negative prompt: ';

function readParameters(text: string): MadePicture | null {
  const lines = text.split(/\r?\n/);
  const at = lines.findLastIndex((line) => /^Steps: \d+/.test(line));
  if (at < 0) return null;
  const said = new Map(
    [...lines[at]!.matchAll(entry)].map(([, name, value]) => [name!.trim(), unquoted(value!.trim())]),
  );
  const negativeAt = lines.slice(0, at).findIndex((line) => line.startsWith(negativeLine));
  const promptLines = lines.slice(0, negativeAt < 0 ? at : negativeAt).join('\n');
  const negativePrompt =
    negativeAt < 0 ? '' : lines.slice(negativeAt, at).join('\n').slice(negativeLine.length);

  const take = (name: string) => {
    const value = said.get(name);
    said.delete(name);
    return value;
  };
  const number = (name: string) => {
    const value = Number(take(name) ?? Number.NaN);
    return Number.isFinite(value) ? value : undefined;
  };
  // Newer web UIs say the spacing of the sigmas apart.
  const spacing = said.get('Schedule type') === 'Karras' ? ' Karras' : '';
  const spelling = `${said.get('Sampler')}${spacing}`;
  const scheduler = schedulerNames.find((name) => samplers[name] === spelling);
  if (scheduler) for (const name of ['Sampler', 'Schedule type']) said.delete(name);
  const [width, height] = take('Size')?.split('x').map(Number) ?? [];
  const skipped = number('Clip skip');
  const seed = number('Seed') ?? null;
  const model = take('Model');
  const settings = {
    steps: number('Steps'),
    guidanceScale: number('CFG scale'),
    width,
    height,
    scheduler,
    strength: number('Denoising strength'),
    clipSkip: skipped === undefined ? undefined : Math.max(0, skipped - 1),
    negativePrompt,
  };
  return {
    source: 'parameters',
    prompt: promptLines.replace(loraTag, '').trim(),
    negativePrompt,
    seed,
    settings: Object.fromEntries(
      Object.entries(settings).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
    subjects: [...promptLines.matchAll(loraTag)].map(([, name, weight]) => ({
      name: name!,
      weight: Number(weight ?? 1),
    })),
    base: model === undefined ? null : { name: model, fingerprint: null },
    further: Object.fromEntries(said),
  };
}

function unquoted(value: string): string {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}
