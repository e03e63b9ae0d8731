import type { Fill } from './canvas';
import { coat, surface } from './coat';
import type { Appearance, Colour } from './scene';
import { blended, ellipse, inset, intersection, polygon, type Shape, stroke, union } from './shapes';

/** One thing to paint; parts are painted in order, each over the last. `line: 0` has no outline. */
export interface Part {
  readonly shape: Shape;
  readonly fill: Colour | Fill;
  readonly line?: number;
  readonly alpha?: number;
}

/** A class of the world: what it looks like, where hat and scarf sit, how wide its shadow is. */
export interface Figure {
  readonly parts: readonly Part[];
  /** Middle and half width of the hat's brim, and how the hat leans (radians). */
  readonly hat: { readonly x: number; readonly y: number; readonly width: number; readonly lean?: number };
  /** Left end, lowest middle and right end of the scarf's band; its end hangs at `tail`. */
  readonly scarf: {
    readonly from: readonly [number, number];
    readonly through: readonly [number, number];
    readonly to: readonly [number, number];
    readonly tail: readonly [number, number];
  };
  readonly shadow: { readonly x: number; readonly width: number };
}

const PUPIL: Colour = [0.1, 0.08, 0.13];
const CHEEK: Colour = [0.98, 0.45, 0.5];
const NOSE: Colour = [0.3, 0.16, 0.2];
const BEAK: Colour = [0.98, 0.66, 0.15];

/** Sits and looks at you: pointed ears, a curled tail. Part: ears, tail and paws. */
export function cat(appearance: Appearance): Figure {
  const { width, part, patch, c2, c3, fur } = measures(appearance);
  const body = ellipse(0, 0.4, 0.42 * width, 0.44);
  const head = ellipse(0, -0.26, 0.54, 0.43);
  const ear = (side: number) =>
    polygon(
      [
        [side * 0.5, -0.4],
        [side * 0.42, -0.5 - 0.36 * part],
        [side * 0.1, -0.58],
      ],
      0.04,
    );
  return {
    parts: [
      {
        shape: stroke([0.3, 0.7], [1.02, 0.72], [0.7, 0.02 + 0.2 * (1 - part)], 0.085 * part + 0.03),
        fill: c3,
      },
      { shape: body, fill: fur },
      patched(body, ellipse(0, 0.42, 0.25 * patch, 0.27 * patch), c2),
      { shape: union(ellipse(-0.19, 0.78, 0.17, 0.1), ellipse(0.19, 0.78, 0.17, 0.1)), fill: c3 },
      { shape: union(ear(-1), ear(1)), fill: c3 },
      { shape: head, fill: fur },
      { shape: ellipse(0, -0.08, 0.22, 0.15), fill: c2, line: 0 },
      {
        shape: polygon(
          [
            [-0.05, -0.16],
            [0.05, -0.16],
            [0, -0.1],
          ],
          0.02,
        ),
        fill: NOSE,
        line: 0,
      },
      ...eyes(-0.23, 0.23, -0.25),
      ...cheeks(-0.37, 0.37, -0.08),
    ],
    hat: { x: 0, y: -0.62, width: 0.34 },
    scarf: { from: [-0.36, 0.1], through: [0, 0.28], to: [0.36, 0.1], tail: [0.2, 0.5] },
    shadow: { x: 0.08, width: 0.62 },
  };
}

/** Stands in profile, face to you: hanging ears, four legs, a tail held high. Part: ears and tail. */
export function dog(appearance: Appearance): Figure {
  const { width, part, patch, c2, c3, fur } = measures(appearance);
  const leg = (x: number) => stroke([x, 0.35], [x, 0.5], [x, 0.74], 0.1, 1);
  const trunk = ellipse(-0.14, 0.28, 0.5, 0.27 * width);
  const body = union(
    blended(trunk, ellipse(0.2, 0.2, 0.27, 0.26), 0.1),
    leg(-0.48),
    leg(-0.22),
    leg(0.06),
    leg(0.3),
  );
  const head = ellipse(0.32, -0.3, 0.42, 0.38);
  return {
    parts: [
      { shape: stroke([-0.52, 0.2], [-0.86, 0.12], [-0.72, 0.18 - 0.45 * part], 0.075), fill: c3 },
      { shape: body, fill: fur },
      patched(body, ellipse(-0.14, 0.32, 0.27 * patch, 0.18 * patch), c2),
      { shape: head, fill: fur },
      { shape: ellipse(0.36, -0.12, 0.26, 0.18), fill: c2, line: 0 },
      {
        shape: union(
          ellipse(-0.06, -0.28, 0.14 * part, 0.32 * part, 0.2),
          ellipse(0.7, -0.28, 0.14 * part, 0.32 * part, -0.2),
        ),
        fill: c3,
      },
      { shape: ellipse(0.37, -0.19, 0.085, 0.06), fill: NOSE, line: 0 },
      { shape: stroke([0.27, -0.06], [0.37, 0], [0.47, -0.06], 0.02, 3), fill: NOSE, line: 0 },
      ...eyes(0.2, 0.51, -0.34),
      ...cheeks(0.1, 0.6, -0.17),
    ],
    hat: { x: 0.3, y: -0.61, width: 0.33 },
    scarf: { from: [0.03, 0.02], through: [0.3, 0.2], to: [0.56, 0.02], tail: [0.5, 0.42] },
    shadow: { x: -0.08, width: 0.66 },
  };
}

/** A round bird in profile. Part: wing and tail. */
export function bird(appearance: Appearance): Figure {
  const { width, part, patch, c2, c3, fur } = measures(appearance);
  const body = blended(ellipse(-0.04, 0.2, 0.52 * width, 0.48), ellipse(0.16, -0.36, 0.38, 0.36), 0.2);
  return {
    parts: [
      {
        shape: union(
          stroke([-0.14, 0.6], [-0.14, 0.7], [-0.14, 0.8], 0.035, 1),
          stroke([0.14, 0.6], [0.14, 0.7], [0.14, 0.8], 0.035, 1),
        ),
        fill: BEAK,
        line: 0.035,
      },
      {
        shape: polygon(
          [
            [-0.34, 0.1],
            [-0.5 - 0.34 * part, -0.12],
            [-0.56 - 0.3 * part, 0.22],
            [-0.34, 0.4],
          ],
          0.05,
        ),
        fill: c3,
      },
      {
        shape: polygon(
          [
            [0.46, -0.46],
            [0.82, -0.3],
            [0.46, -0.18],
          ],
          0.03,
        ),
        fill: BEAK,
      },
      { shape: body, fill: fur },
      patched(body, ellipse(0.2, 0.3, 0.26 * patch, 0.3 * patch), c2),
      { shape: ellipse(-0.22, 0.22, 0.33 * part, 0.2 * part, 0.5), fill: c3 },
      ...eyes(0.27, undefined, -0.4),
      ...cheeks(0.14, undefined, -0.2),
    ],
    hat: { x: 0.12, y: -0.64, width: 0.31, lean: -0.08 },
    scarf: { from: [-0.2, -0.16], through: [0.2, 0.06], to: [0.46, -0.1], tail: [0.36, 0.28] },
    shadow: { x: 0, width: 0.5 },
  };
}

/** Floats above its shadow. Part: all fins. */
export function fish(appearance: Appearance): Figure {
  const { width, part, patch, c2, c3, fur } = measures(appearance);
  const body = ellipse(0.12, 0.06, 0.64, 0.44 * width);
  const fan = 0.42 * part;
  return {
    parts: [
      {
        shape: polygon(
          [
            [-0.4, 0.06],
            [-0.86, 0.06 - fan],
            [-0.74, 0.06],
            [-0.86, 0.06 + fan],
          ],
          0.06,
        ),
        fill: c3,
      },
      {
        shape: polygon(
          [
            [-0.2, -0.2],
            [-0.12, -0.3 - 0.4 * part],
            [0.3, -0.25],
          ],
          0.05,
        ),
        fill: c3,
      },
      { shape: body, fill: fur },
      patched(body, ellipse(0.16, 0.32, 0.4 * patch, 0.2 * patch), c2),
      { shape: ellipse(-0.04, 0.16, 0.2 * part, 0.12 * part, -0.4), fill: c3 },
      { shape: stroke([0.56, 0.22], [0.62, 0.25], [0.68, 0.2], 0.022, 3), fill: NOSE, line: 0 },
      ...eyes(0.45, undefined, -0.04),
      ...cheeks(0.4, undefined, 0.16),
    ],
    hat: { x: 0.36, y: -0.34, width: 0.3, lean: 0.16 },
    scarf: { from: [0.14, -0.36], through: [0.24, 0.06], to: [0.14, 0.48], tail: [-0.12, 0.62] },
    shadow: { x: 0.02, width: 0.55 },
  };
}

/** What the twelve numbers of an identity mean for every class. */
export function measures(appearance: Appearance) {
  const [width, part, patch] = appearance.shape;
  return {
    width: 0.84 + 0.32 * width,
    part: 0.72 + 0.5 * part,
    patch: 0.82 + 0.3 * patch,
    c2: surface(appearance.c2),
    c3: surface(appearance.c3),
    fur: coat(appearance),
  };
}

/** The always visible patch in c2, kept off the body's outline. */
export function patched(body: Shape, patch: Shape, fill: Fill): Part {
  const shape = intersection(patch, inset(body, 0.03));
  return { shape, fill, line: 0 };
}

/** One eye, or two: dark, tall, with the light in the upper right. */
function eyes(left: number, right: number | undefined, y: number): Part[] {
  const xs = right === undefined ? [left] : [left, right];
  return xs.flatMap((x) => [
    { shape: ellipse(x, y, 0.115, 0.135), fill: [1, 1, 1] as Colour, line: 0 },
    { shape: ellipse(x, y, 0.095, 0.12), fill: PUPIL, line: 0 },
    { shape: ellipse(x + 0.03, y - 0.045, 0.04, 0.045), fill: [1, 1, 1] as Colour, line: 0 },
  ]);
}

function cheeks(left: number, right: number | undefined, y: number): Part[] {
  const xs = right === undefined ? [left] : [left, right];
  return xs.map((x) => ({ shape: ellipse(x, y, 0.095, 0.065), fill: CHEEK, line: 0, alpha: 0.6 }));
}
