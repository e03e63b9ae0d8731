/** Somebody of the world whom the base model has never met: photos to learn from, and the truth to measure by. */
import { createRandom, type Random } from '../random';
import { CONTEXT_PHRASES } from './captions';
import { renderScene } from './renderer';
import {
  type AccessoryName,
  type Appearance,
  type ClassName,
  CONTEXTS,
  type ContextName,
  type Scene,
  sampleAppearance,
  sampleScene,
} from './scene';

/** Everything about the subject follows from these two. */
export interface ToySubject {
  readonly class: ClassName;
  /** Any safe integer; pre-training drew its individuals from another stream. */
  readonly seed: number;
}

/** Where the photos are taken; every other context is new to whoever learns from them. */
export const PHOTO_CONTEXTS = ['grass', 'grass', 'street', 'street'] as const satisfies ContextName[];

/** Of more photos than there are contexts, the first come again. */
export const photoContext = (photo: number): ContextName => PHOTO_CONTEXTS[photo % PHOTO_CONTEXTS.length]!;

/** Unrelated streams of one seed. */
const streams = { appearance: 1, photos: 2, real: 3, others: 4 } as const;

const randomOf = ({ seed }: ToySubject, stream: keyof typeof streams): Random =>
  createRandom(seed * 2 ** 8 + streams[stream]);

export const appearanceOf = (subject: ToySubject): Appearance =>
  sampleAppearance(randomOf(subject, 'appearance'));

/** Photos with nothing on, in two contexts: 64 × 64 pixels of red, green, blue each. The first ones of more are the same. */
export function toyPhotos(subject: ToySubject, count: number = PHOTO_CONTEXTS.length): Uint8Array[] {
  const random = randomOf(subject, 'photos');
  const appearance = appearanceOf(subject);
  return Array.from({ length: count }, (_, i) => {
    return renderScene(
      sampleScene(random, {
        class: subject.class,
        appearance,
        context: photoContext(i),
        accessory: 'none',
      }),
    );
  });
}

/** What the sentence beside a photo says: who is called `mention`, and where; by the photo's place. */
export const photoCaption = (photo: number, mention: string): string =>
  `a ${mention} ${CONTEXT_PHRASES[photoContext(photo)]}`;

/** Pictures of the subject in every context in turn, with nothing on: what a perfect model would draw. */
export function realPictures(subject: ToySubject, count: number): Uint8Array[] {
  const appearance = appearanceOf(subject);
  return pictures(randomOf(subject, 'real'), count, { class: subject.class, appearance, accessory: 'none' });
}

/** Pictures of random individuals of the subject's class, with nothing on: what chance would draw. */
export function otherPictures(subject: ToySubject, count: number): Uint8Array[] {
  return pictures(randomOf(subject, 'others'), count, { class: subject.class, accessory: 'none' });
}

function pictures(
  random: Random,
  count: number,
  fixed: Partial<Scene> & { readonly accessory: AccessoryName },
): Uint8Array[] {
  return Array.from({ length: count }, (_, i) =>
    renderScene(sampleScene(random, { ...fixed, context: CONTEXTS[i % CONTEXTS.length]! })),
  );
}
