/** A card's figures: what is seen on the pictures, between what comes of itself and what can be reached. */
import { type Anchors, between, subjectScore } from '../../evaluation/anchors';
import { meanOverPairs } from '../../evaluation/features';
import { mean } from '../../evaluation/oracle-reading';
import type { CardPicture, CardPictures, CardScene } from './card-pictures';
import type { Sight } from './card-sight';

/** A figure as measured, and where it lies between floor (0) and ceiling (1); null: not measured, or not to be told. */
export interface Measured {
  readonly value: number | null;
  readonly anchors: Anchors | null;
  readonly share: number | null;
}

export interface CardFigures {
  /** Mean cosine of pictures and photos, between the base's pictures of the class and the photos among each other. */
  readonly identity: Measured;
  /** Between the photos, which ignore the prompts, and the base's pictures of the class. By the oracle a share of pictures. */
  readonly promptFollowing: Measured;
  /** PRES: mean cosine of the bare class's pictures and the photos; anchored as the identity, so that 0 is as before. */
  readonly leakage: Measured;
  /** How much the pictures of a scene differ; null with one picture each. */
  readonly diversity: number | null;
  /** How much the pictures of the bare class differ, by the subject's weights and by the base. */
  readonly classDiversity: number | null;
  readonly baseClassDiversity: number;
  /** Mean likeness of a photo to the one most like it; null for one photo. */
  readonly photoLikeness: number | null;
  /** Mean likeness of a picture to the photo most like it. */
  readonly nearestLikeness: number;
  /** Share of the pictures that lie nearer to a photo than half-way from another photo of it to itself; null for one photo. */
  readonly copies: number | null;
  /** Identity × prompt following, by their shares, of a single photo by the cosine in place of the first; null where one of them is not known. */
  readonly score: number | null;
}

export interface JudgedCardPicture extends CardPicture {
  readonly identity: number | null;
  readonly promptFollowing: number | null;
  readonly nearest: { readonly photo: string; readonly likeness: number };
}

/** By shares; where what can be reached is not known, by the values themselves. */
export interface CoursePoint {
  readonly steps: number;
  readonly identity: number | null;
  readonly promptFollowing: number | null;
  readonly score: number | null;
}

export const filesOf = (pictures: readonly CardPicture[]) => pictures.map(({ file }) => file);

/** Mean over all pairs of one of each. */
const meanPair = (
  some: readonly string[],
  others: readonly string[],
  of: (a: string, b: string) => number,
): number => mean(some.map((one) => mean(others.map((other) => of(one, other)))));

export interface CardAnchors {
  /** Null with a single photo: what can be reached is then not known. */
  readonly identity: Anchors | null;
  readonly promptFollowing: Anchors | null;
}

export function anchorsOf(sight: Sight, photos: readonly string[], drawn: CardPictures): CardAnchors {
  const { identity, promptFollowing } = sight;
  const others = (photo: string) => photos.filter((one) => one !== photo);
  return {
    identity:
      identity && photos.length > 1
        ? {
            floor: meanPair(filesOf(drawn.baseClass), photos, identity),
            ceiling: mean(photos.map((photo) => mean(others(photo).map((other) => identity(photo, other))))),
          }
        : null,
    promptFollowing: promptFollowing && {
      floor: mean(drawn.scenes.map((scene) => mean(photos.map((photo) => promptFollowing(scene, photo))))),
      ceiling: mean(
        drawn.scenes.map((scene) => mean(filesOf(scene.base).map((file) => promptFollowing(scene, file)))),
      ),
    },
  };
}

const measured = (value: number | null, anchors: Anchors | null): Measured => ({
  value,
  anchors,
  share: value === null || anchors === null ? null : between(value, anchors),
});

export function figuresOf(
  sight: Sight,
  photos: readonly string[],
  { scenes, class: ofClass, baseClass }: CardPictures,
  anchors: CardAnchors,
): CardFigures {
  const pictures = scenes.flatMap((scene) => filesOf(scene.pictures));
  const near = (file: string) => nearestPhoto(sight, photos, file).likeness;
  const followed = scenes.flatMap((scene) =>
    sight.promptFollowing ? filesOf(scene.pictures).map((file) => sight.promptFollowing!(scene, file)) : [],
  );
  const identity = measured(
    sight.identity && meanPair(pictures, photos, sight.identity),
    sight.identity && anchors.identity,
  );
  const promptFollowing = measured(followed.length === 0 ? null : mean(followed), anchors.promptFollowing);
  const seesClass = sight.identity !== null && ofClass.length > 0;
  const many = scenes.every((scene) => scene.pictures.length > 1);
  const own =
    photos.length < 2
      ? null
      : mean(
          photos.map(
            (photo) =>
              nearestPhoto(
                sight,
                photos.filter((one) => one !== photo),
                photo,
              ).likeness,
          ),
        );
  const spread = (group: readonly CardPicture[]) => meanOverPairs([filesOf(group)], sight.difference);
  return {
    identity,
    promptFollowing,
    leakage: measured(
      seesClass ? meanPair(filesOf(ofClass), photos, sight.identity!) : null,
      anchors.identity,
    ),
    diversity: many
      ? meanOverPairs(
          scenes.map((scene) => filesOf(scene.pictures)),
          sight.difference,
        )
      : null,
    classDiversity: ofClass.length > 1 ? spread(ofClass) : null,
    baseClassDiversity: spread(baseClass),
    photoLikeness: own,
    nearestLikeness: mean(pictures.map(near)),
    copies: own === null ? null : mean(pictures.map((file) => (near(file) > own + (1 - own) / 2 ? 1 : 0))),
    score: scoreOf(identity.share ?? identity.value, promptFollowing.share),
  };
}

const scoreOf = (identity: number | null, promptFollowing: number | null): number | null =>
  identity === null || promptFollowing === null ? null : subjectScore(identity, promptFollowing);

export function coursePoint(
  { identity, promptFollowing }: Sight,
  photos: readonly string[],
  scenes: readonly CardScene[],
  then: readonly CardPicture[],
  steps: number,
  anchors: CardAnchors,
): CoursePoint {
  const files = filesOf(then);
  const like = identity && meanPair(files, photos, identity);
  const followed = promptFollowing && mean(files.map((file, i) => promptFollowing(scenes[i]!, file)));
  const known = measured(like, anchors.identity);
  const shown = measured(followed, anchors.promptFollowing);
  return {
    steps,
    identity: known.share ?? like,
    promptFollowing: shown.share ?? followed,
    score: scoreOf(known.share ?? like, shown.share),
  };
}

function nearestPhoto({ likeness }: Sight, photos: readonly string[], file: string) {
  const likest = photos.map((photo) => ({ photo, likeness: likeness(file, photo) }));
  return likest.reduce((top, one) => (one.likeness > top.likeness ? one : top));
}

export const judgedPicture = (
  sight: Sight,
  photos: readonly string[],
  scene: CardScene,
  picture: CardPicture,
): JudgedCardPicture => ({
  ...picture,
  identity: sight.identity && mean(photos.map((photo) => sight.identity!(picture.file, photo))),
  promptFollowing: sight.promptFollowing?.(scene, picture.file) ?? null,
  nearest: nearestPhoto(sight, photos, picture.file),
});
