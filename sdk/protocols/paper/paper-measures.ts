/** The paper's metrics over the pictures of a run, each subject in each arm by itself. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { networkFingerprint } from '../../checkpoint/fingerprint';
import { cosine, lpipsDiversity, meanPairCosine, promptCosine } from '../../evaluation/embedding-metrics';
import { mean } from '../../evaluation/oracle-reading';
import type { Engine } from '../../jobs/engine';
import type { RunOptions } from '../../jobs/run-options';
import type { Embeddings } from '../../work/run-embedding';
import { unreadable } from '../data-pictures';
import { fingerprint } from '../fingerprint';
import { openJsonLines } from '../json-lines';
import type { PaperPhotos } from './paper-dataset';
import { classPrompt, paperPrompt, paperPrompts } from './paper-prompts';
import type { PaperArm, PaperPicture, PaperTrial } from './paper-trial';

export const paperEncoderKinds = ['dino', 'clip', 'lpips'] as const;
export type PaperEncoderKind = (typeof paperEncoderKinds)[number];
/** Where they are; see `EncoderFile`. */
export type PaperEncoders = Readonly<Partial<Record<PaperEncoderKind, string>>>;

/** By the encoder that each needs. */
export const paperMetrics = {
  DINO: 'dino',
  'CLIP-I': 'clip',
  'CLIP-T': 'clip',
  PRES: 'dino',
  DIV: 'lpips',
  'photos DINO': 'dino',
  'photos CLIP-I': 'clip',
} as const satisfies Readonly<Record<string, PaperEncoderKind>>;
export type PaperMetric = keyof typeof paperMetrics;

/** A subject in an arm, as `measures.jsonl` has it. */
export interface PaperMeasure {
  readonly subject: string;
  readonly arm: PaperArm;
  /** Of pictures, encoders and how they were compared: measures of others are not taken for these. */
  readonly of: string;
  /** Null: not measured, for want of an encoder or of pictures. */
  readonly values: Readonly<Record<PaperMetric, number | null>>;
  /** What each encoder is. */
  readonly encoders: Readonly<Partial<Record<PaperEncoderKind, string>>>;
  readonly photos: number;
  readonly pictures: number;
  readonly classPictures: number;
}

export interface PaperMeasuring {
  readonly folder: string;
  readonly trials: readonly PaperTrial[];
  readonly pictures: readonly PaperPicture[];
  readonly encoders: PaperEncoders;
  readonly withIdentifier: boolean;
}

/**
 * A photo and a prompt through each encoder, so that one that does not fit is told before hours of drawing. LPIPS is
 * opened alone: it takes pictures in their own size, and a photo's are millions of pixels. Rejects with what `embed` of
 * the engine does.
 */
export async function tryEncoders(
  engine: Engine,
  encoders: PaperEncoders,
  { photos, className }: PaperPhotos,
  run: RunOptions,
): Promise<void> {
  for (const kind of paperEncoderKinds) {
    const path = encoders[kind];
    if (path === undefined) continue;
    const pictures = kind === 'lpips' ? [] : photos.slice(0, 1);
    const texts = kind === 'clip' ? [classPrompt(className)] : [];
    await engine.embed({ encoder: { kind, path }, pictures, texts }, run);
  }
}

/** `onMeasure` is told those that were not there before. Rejects with what `embed` of the engine does. */
export async function measurePaper(
  engine: Engine,
  { folder, trials, pictures, encoders, withIdentifier }: PaperMeasuring,
  onMeasure: (measure: PaperMeasure) => void,
  run: RunOptions,
): Promise<{ measures: readonly PaperMeasure[]; gaps: readonly string[] }> {
  const kept = openJsonLines<PaperMeasure>(join(folder, 'measures.jsonl'));
  const measures: PaperMeasure[] = [];
  const gaps: string[] = [];
  const by = paperEncoderKinds.map((kind) => {
    const path = encoders[kind];
    return path === undefined || !existsSync(path) ? null : networkFingerprint(path);
  });
  for (const trial of trials) {
    const own = pictures.filter(({ file }) => file.startsWith(`${trial.files}/`));
    const of = fingerprint([own.map(({ file, text }) => [file, text]), encoders, by, withIdentifier]);
    const before = kept.rows.find(
      (row) => row.subject === trial.subject.name && row.arm === trial.arm && row.of === of,
    );
    if (before !== undefined) {
      measures.push(before);
      continue;
    }
    const sound: PaperPicture[] = [];
    for (const picture of own) {
      const problem = await unreadable(join(folder, picture.file));
      if (problem === undefined) sound.push(picture);
      else gaps.push(`${picture.file} is left out: remove it to have it drawn again. ${problem}`);
    }
    const measure = {
      of,
      ...(await measureTrial(engine, folder, trial, sound, encoders, withIdentifier, run)),
    };
    // With a picture less it is not what it says it is of; the next run looks again.
    if (sound.length === own.length) kept.append(measure);
    measures.push(measure);
    onMeasure(measure);
  }
  return { measures, gaps };
}

async function measureTrial(
  engine: Engine,
  folder: string,
  { subject, arm }: PaperTrial,
  pictures: readonly PaperPicture[],
  encoders: PaperEncoders,
  withIdentifier: boolean,
  run: RunOptions,
): Promise<Omit<PaperMeasure, 'of'>> {
  const drawn = pictures.filter(({ prompt }) => prompt !== null);
  const bare = pictures.filter(({ prompt }) => prompt === null);
  const paths = (some: readonly PaperPicture[]) => some.map(({ file }) => join(folder, file));
  const said: Partial<Record<PaperEncoderKind, string>> = {};
  const embed = async (kind: PaperEncoderKind, files: readonly string[], texts: readonly string[] = []) => {
    const path = encoders[kind];
    if (path === undefined) return undefined;
    const found: Embeddings = await engine.embed({ encoder: { kind, path }, pictures: files, texts }, run);
    said[kind] = found.encoder;
    return found;
  };

  const dino = await embed('dino', [...subject.photos, ...paths(drawn), ...paths(bare)]);
  const clipTexts = drawn.map(({ prompt, text }) =>
    withIdentifier ? text : paperPrompt(paperPrompts(subject)[prompt!]!, subject.className),
  );
  const texts = [...new Set(clipTexts)];
  const clip = await embed('clip', [...subject.photos, ...paths(drawn)], texts);
  const groups: (readonly Float32Array[])[] = [];
  // A picture's embedding is some ten megabytes: one prompt's at a time.
  for (const group of encoders.lpips === undefined ? [] : byPrompt(drawn)) {
    const found = await embed('lpips', paths(group));
    if (found !== undefined) groups.push(found.pictures);
  }

  const photos = subject.photos.length;
  const end = photos + drawn.length;
  const pairs = clipTexts.map((text, i) => ({
    picture: clip?.pictures[photos + i] ?? [],
    prompt: clip?.texts[texts.indexOf(text)] ?? [],
  }));
  const measured = (value: () => number, of: unknown): number | null => {
    const number = of === undefined ? Number.NaN : value();
    return Number.isNaN(number) ? null : number;
  };
  const values = {
    DINO: measured(
      () => meanPairCosine(dino!.pictures.slice(photos, end), dino!.pictures.slice(0, photos)),
      dino,
    ),
    'CLIP-I': measured(
      () => meanPairCosine(clip!.pictures.slice(photos, end), clip!.pictures.slice(0, photos)),
      clip,
    ),
    'CLIP-T': measured(() => promptCosine(pairs), clip),
    PRES: measured(() => meanPairCosine(dino!.pictures.slice(end), dino!.pictures.slice(0, photos)), dino),
    DIV: measured(() => lpipsDiversity(groups), encoders.lpips),
    'photos DINO': measured(() => amongThemselves(dino!.pictures.slice(0, photos)), dino),
    'photos CLIP-I': measured(() => amongThemselves(clip!.pictures.slice(0, photos)), clip),
  };
  const counts = { photos, pictures: drawn.length, classPictures: bare.length };
  return { subject: subject.name, arm, values, encoders: said, ...counts };
}

/** Pictures of one prompt each, where there are two or more. */
const byPrompt = (pictures: readonly PaperPicture[]): PaperPicture[][] =>
  [...new Set(pictures.map(({ prompt }) => prompt))]
    .map((prompt) => pictures.filter((picture) => picture.prompt === prompt))
    .filter(({ length }) => length > 1);

/** Mean cosine over pairs of two different pictures: as near as real pictures of a subject are. NaN for one alone. */
const amongThemselves = (pictures: readonly Float32Array[]): number =>
  mean(pictures.flatMap((one, i) => pictures.slice(i + 1).map((other) => cosine(one, other))));
