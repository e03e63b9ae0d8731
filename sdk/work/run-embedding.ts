/** Pictures and texts as the vectors that metrics compare, in the engine. */
import { readImage } from '../images/read-image';
import type { CaptionClauses } from '../toybox/captions';
import { sessionsOf } from './loaded-base';
import { type EncoderFile, openPictureEncoder } from './picture-encoder';
import type { WorkContext } from './work-context';

export interface EmbeddingRequest {
  readonly encoder: EncoderFile;
  /** Paths of pictures. */
  readonly pictures: readonly string[];
  readonly texts: readonly string[];
}

/** A vector each, in the order of the request. */
export interface Embeddings {
  /** What the encoder is, as a table of results has to say. */
  readonly encoder: string;
  readonly pictures: readonly Float32Array[];
  readonly texts: readonly Float32Array[];
  /** What the oracle sees on each picture, where the encoder is one. */
  readonly clauses?: readonly CaptionClauses[];
}

/** Throws UnreadableImageError, InvalidOptionError, and what an encoder that cannot be opened does. */
export type RunEmbedding = (request: EmbeddingRequest, context: WorkContext) => Promise<Embeddings>;

/** Pictures are read so many at a time. */
const read = 32;

export const runEmbedding: RunEmbedding = async ({ encoder: file, pictures, texts }, context) => {
  const { signal, onProgress, onWarning, loadedModels, threads } = context;
  const encoder = await loadedModels.get(`encoder ${file.kind} ${file.path}`, () =>
    openPictureEncoder(file, sessionsOf(context), threads, onWarning),
  );
  const steps = pictures.length + texts.length;
  onProgress({ phase: 'measure', step: 0, steps });
  const rows: Float32Array[] = [];
  const clauses: CaptionClauses[] = [];
  for (let first = 0; first < pictures.length; first += read) {
    signal.throwIfAborted();
    const paths = pictures.slice(first, first + read);
    const some = await Promise.all(paths.map((path) => readImage(path, { onWarning, name: path })));
    rows.push(...(await encoder.embedPictures(some)));
    clauses.push(...((await encoder.readClauses?.(some)) ?? []));
    onProgress({ phase: 'measure', step: rows.length, steps });
  }
  const texted = texts.length === 0 ? [] : await encoder.embedTexts(texts);
  onProgress({ phase: 'measure', step: steps, steps });
  return {
    encoder: encoder.description,
    pictures: rows,
    texts: texted,
    ...(encoder.readClauses ? { clauses } : {}),
  };
};
