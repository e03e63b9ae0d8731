/** How good the pictures of a training are: is it the subject, and is it where it was asked to be. */

import { InvalidOptionError } from '../errors';
import { subjectScore } from '../evaluation/anchors';
import { cosine, meanPairCosine, promptCosine } from '../evaluation/embedding-metrics';
import { mean } from '../evaluation/oracle-reading';
import { askedClauses, showsAsked } from '../evaluation/scene-prompts';
import { readImage } from '../images/read-image';
import { type MentionedSubject, subjectWords } from '../subjects/prompt';
import { sessionsOf } from './loaded-base';
import { type EncoderFile, openPictureEncoder, type PictureEncoder } from './picture-encoder';
import type { SampleScores } from './sample-scores';
import type { WorkContext } from './work-context';

export interface SampleScorer {
  /** Of pictures of the prompts, one each. */
  score(files: readonly string[]): Promise<SampleScores>;
  release(): Promise<void>;
}

export interface ScoredSamples {
  readonly subject: MentionedSubject;
  /** Files. */
  readonly photos: readonly string[];
  /** As the text encoder reads them, and with the class alone in the subject's place. */
  readonly prompts: readonly string[];
  readonly classPrompts: readonly string[];
}

/** `encoders` as `scoringEncoders` gives them. Throws what an encoder that cannot be opened does, InvalidOptionError. */
export async function createSampleScorer(
  encoders: readonly EncoderFile[],
  { subject, photos, prompts, classPrompts }: ScoredSamples,
  context: WorkContext,
): Promise<SampleScorer> {
  const opened = new Map<EncoderFile['kind'], PictureEncoder>();
  for (const encoder of encoders) {
    opened.set(
      encoder.kind,
      await openPictureEncoder(encoder, sessionsOf(context), context.threads, context.onWarning),
    );
  }
  const pick = (...kinds: EncoderFile['kind'][]) =>
    kinds.map((kind) => opened.get(kind)).find((one) => one !== undefined)!;
  const knowing = pick('oracle', 'dino', 'dreamsim', 'clip');
  const reading = pick('oracle', 'clip');
  const read = (files: readonly string[]) => Promise.all(files.map((file) => readImage(file)));

  const shown = await read(photos);
  const own = await knowing.embedPictures(shown);
  const pairs = own.flatMap((one, i) => own.slice(i + 1).map((other) => cosine(one, other)));
  // A single photo says nothing of what can be reached; within one training the scale is the same for all steps.
  const reached = pairs.length === 0 ? 1 : Math.max(mean(pairs), 1e-3);

  const asked = prompts.map((prompt) => askedClauses(prompt, subjectWords(subject)));
  const checked = asked.map((clauses) => showsAsked(clauses, {}) !== undefined);
  if (reading.readClauses && !checked.includes(true)) {
    throw new InvalidOptionError(
      'samplePrompts',
      `samplePrompts ask for nothing that can be checked (${prompts.join('; ')}): name a scene, as "a {subject} in the snow".`,
    );
  }
  const texts = reading.readClauses ? [] : await reading.embedTexts(classPrompts);
  const follow = (vectors: readonly Float32Array[]) =>
    promptCosine(vectors.map((picture, i) => ({ picture, prompt: texts[i]! })));
  // What photos, which ignore every prompt, have of themselves; it hides the rest otherwise.
  const seenOfPhotos = reading.readClauses ? [] : await reading.embedPictures(shown);
  const unasked = mean(texts.map((prompt) => meanPairCosine(seenOfPhotos, [prompt])));

  return {
    async score(files) {
      const pictures = await read(files);
      const identity = Math.max(0, meanPairCosine(await knowing.embedPictures(pictures), own)) / reached;
      let promptFollowing: number;
      if (reading.readClauses) {
        const seen = await reading.readClauses(pictures);
        const shows = seen.flatMap((clauses, i) =>
          checked[i] ? [showsAsked(asked[i]!, clauses) ? 1 : 0] : [],
        );
        promptFollowing = mean(shows);
      } else {
        promptFollowing = Math.max(0, follow(await reading.embedPictures(pictures)) - unasked);
      }
      return { identity, promptFollowing, score: subjectScore(identity, promptFollowing) };
    },
    async release() {
      for (const encoder of opened.values()) await encoder.release();
    },
  };
}
