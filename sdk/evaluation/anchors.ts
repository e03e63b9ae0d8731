/** A likeness says little by itself: where it lies between what costs nothing and what can be reached. */

export interface Anchors {
  /** What comes of itself: anyone of the class, a picture that ignores its prompt. */
  readonly floor: number;
  /** What can be reached: the photos among each other, the base asked for the same. */
  readonly ceiling: number;
}

/** 0 at the floor, 1 at the ceiling, beyond both further; null where the instrument cannot tell the two apart. */
export const between = (value: number, { floor, ceiling }: Anchors): number | null =>
  ceiling - floor > 1e-3 ? (value - floor) / (ceiling - floor) : null;

/** Into 0 … 1, so that two shortfalls do not make a success. */
export const share = (value: number): number => Math.max(0, Math.min(1, value));

/** The one figure by which the weights of several steps are compared: it is the subject, and it is where it was asked to be. */
export const subjectScore = (identity: number, promptFollowing: number): number =>
  share(identity) * share(promptFollowing);
