/** What the instruments at hand see on the pictures of a card: each measure by the best of them, or by none. */
import { cosine, squaredDistance } from '../../evaluation/embedding-metrics';
import { rmsDifference } from '../../evaluation/pixels';
import { askedClauses, showsAsked } from '../../evaluation/scene-prompts';
import { preprocess } from '../../images/preprocess';
import { readImage } from '../../images/read-image';
import type { Engine } from '../../jobs/engine';
import type { RunOptions } from '../../jobs/run-options';
import { subjectWords } from '../../subjects/prompt';
import type { Subject } from '../../subjects/subjects';
import type { CaptionClauses } from '../../toybox/captions';
import type { EncoderFile } from '../../work/picture-encoder';
import type { Embeddings } from '../../work/run-embedding';
import type { CardScene } from './card-pictures';

/** Pictures are files, and known by their paths. */
export interface Sight {
  /** By what each measure is taken; null: by nothing that is here. */
  readonly instruments: {
    readonly identity: string | null;
    readonly promptFollowing: string | null;
    readonly diversity: string;
    readonly likeness: string;
  };
  /** How alike two pictures are in what the identity is read of; null: nothing reads it. */
  readonly identity: ((a: string, b: string) => number) | null;
  /** How well a picture shows what its scene asks for; null: nothing reads it. */
  readonly promptFollowing: ((scene: CardScene, file: string) => number) | null;
  /** Of two pictures of a group. */
  readonly difference: (a: string, b: string) => number;
  /** 1: the same picture. By pixels where nothing better is here. */
  readonly likeness: (a: string, b: string) => number;
}

/** Subjects are known by the first of these that is given. */
const ofIdentity = ['oracle', 'dino', 'dreamsim', 'clip'] as const;

/** `groups`: pictures that are compared with each other. Of encoders one of a kind. Rejects with what `embed` of the engine does. */
export async function lookAt(
  engine: Engine,
  subject: Subject,
  encoders: readonly EncoderFile[],
  files: {
    readonly photos: readonly string[];
    readonly drawn: readonly string[];
    readonly groups: readonly (readonly string[])[];
  },
  scenes: readonly CardScene[],
  run: RunOptions,
): Promise<Sight> {
  const all = [...new Set([...files.photos, ...files.drawn])];
  const seen = new Map<EncoderFile['kind'], Seen>();
  for (const encoder of encoders) {
    if (encoder.kind === 'lpips') continue;
    const texts = encoder.kind === 'clip' ? scenes.map(({ classText }) => classText) : [];
    seen.set(
      encoder.kind,
      seenBy(await engine.embed({ encoder, pictures: all, texts }, run), all, scenes, texts),
    );
  }
  const lpipsFile = encoders.find(({ kind }) => kind === 'lpips');
  const lpips = lpipsFile && (await differencesBy(engine, lpipsFile, files.groups, run));
  const pixels = new Map<string, Uint8Array>();
  for (const file of all) pixels.set(file, await smallPixels(file));

  const by = ofIdentity.map((kind) => seen.get(kind)).find((one) => one !== undefined);
  const cosineBy = (one: Seen) => (a: string, b: string) =>
    cosine(one.pictures.get(a)!, one.pictures.get(b)!);
  const pixelDifference = (a: string, b: string) => rmsDifference(pixels.get(a)!, pixels.get(b)!);
  const identity = by === undefined ? null : cosineBy(by);
  const [oracle, clip] = [seen.get('oracle'), seen.get('clip')];
  const words = subjectWords(subject);
  const shows = ({ text, classText }: CardScene, file: string): number => {
    const asked = text.includes(words)
      ? askedClauses(text, words)
      : askedClauses(classText, subject.className);
    return showsAsked(asked, oracle!.clauses.get(file) ?? {}) === false ? 0 : 1;
  };
  const reads = (scene: CardScene, file: string): number =>
    cosine(clip!.pictures.get(file)!, clip!.texts.get(scene)!);
  return {
    instruments: {
      identity: by?.description ?? null,
      promptFollowing: (oracle ?? clip)?.description ?? null,
      diversity: (lpips ?? by)?.description ?? 'pixels',
      likeness: by?.description ?? 'pixels',
    },
    identity,
    promptFollowing: oracle ? shows : clip ? reads : null,
    difference: lpips ? lpips.difference : identity ? (a, b) => 1 - identity(a, b) : pixelDifference,
    likeness: identity ?? ((a, b) => 1 - pixelDifference(a, b)),
  };
}

/** Told of by one message each: a picture's embedding by LPIPS is tens of megabytes. */
const atOnce = 8;

/** By LPIPS, within each group: of no other is more held than its distances. */
async function differencesBy(
  engine: Engine,
  encoder: EncoderFile,
  groups: readonly (readonly string[])[],
  run: RunOptions,
): Promise<{ description: string; difference: Sight['difference'] }> {
  const found = new Map<string, number>();
  const pair = (a: string, b: string) => JSON.stringify([a, b].sort());
  let description = 'lpips';
  for (const group of groups) {
    const vectors: Float32Array[] = [];
    for (let first = 0; first < group.length; first += atOnce) {
      const pictures = group.slice(first, first + atOnce);
      const some = await engine.embed({ encoder, pictures, texts: [] }, run);
      description = some.encoder;
      vectors.push(...some.pictures);
    }
    for (const [i, a] of group.entries())
      for (const [j, b] of group.slice(0, i).entries())
        found.set(pair(a, b), squaredDistance(vectors[i]!, vectors[j]!));
  }
  return { description, difference: (a, b) => found.get(pair(a, b))! };
}

interface Seen {
  readonly description: string;
  readonly pictures: ReadonlyMap<string, Float32Array>;
  readonly clauses: ReadonlyMap<string, CaptionClauses>;
  readonly texts: ReadonlyMap<CardScene, Float32Array>;
}

const seenBy = (
  { encoder, pictures, texts, clauses = [] }: Embeddings,
  files: readonly string[],
  scenes: readonly CardScene[],
  asked: readonly string[],
): Seen => ({
  description: encoder,
  pictures: new Map(pictures.map((vector, i) => [files[i]!, vector])),
  clauses: new Map(clauses.map((seen, i) => [files[i]!, seen])),
  texts: new Map(asked.map((_, i) => [scenes[i]!, texts[i]!])),
});

/** Whole values of 64 × 64 pixels: what lies in a picture where, whatever its size. */
async function smallPixels(file: string): Promise<Uint8Array> {
  const { planes } = preprocess(await readImage(file), {
    shorterSide: 64,
    filter: 'lanczos',
    crop: 64,
    halves: 'even',
    mean: [0, 0, 0],
    std: [1, 1, 1],
  });
  return Uint8Array.from(planes, (value) => Math.round(value * 255));
}
