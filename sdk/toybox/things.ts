import { type Figure, measures, patched } from './creatures';
import type { Appearance, Colour } from './scene';
import { box, difference, ellipse, intersection, polygon, union } from './shapes';

const GLASS: Colour = [0.8, 0.93, 0.98];
const LAMP: Colour = [1, 0.93, 0.6];
const DRINK: Colour = [0.36, 0.22, 0.16];

/** In profile, driving right. Part: wheels. */
export function car(appearance: Appearance): Figure {
  const { width, part, patch, c2, c3, fur } = measures(appearance);
  const wheel = 0.21 * part;
  const roof = 0.4 * width;
  const cabin = polygon(
    [
      [-0.12 - roof, 0.1],
      [-roof, -0.34],
      [roof - 0.16, -0.34],
      [roof + 0.08, 0.1],
    ],
    0.06,
  );
  const hull = box(0, 0.24, 0.86, 0.27, 0.17);
  const glass = (left: number, right: number, slope: number) =>
    polygon(
      [
        [left - (slope < 0 ? 0.08 : 0), 0],
        [left, -0.25],
        [right, -0.25],
        [right + (slope > 0 ? 0.13 : 0), 0],
      ],
      0.02,
    );
  return {
    parts: [
      { shape: union(cabin, hull), fill: fur },
      { shape: union(glass(-roof + 0.03, -0.09, -1), glass(0.02, roof - 0.16, 1)), fill: GLASS, line: 0.03 },
      patched(hull, box(-0.02, 0.24, 0.36 * patch, 0.13 * patch, 0.1), c2),
      { shape: ellipse(0.76, 0.16, 0.08, 0.09), fill: LAMP, line: 0.03 },
      {
        shape: union(ellipse(-0.46, 0.52, wheel, wheel), ellipse(0.46, 0.52, wheel, wheel)),
        fill: c3,
        line: 0.09,
      },
    ],
    hat: { x: -0.08, y: -0.37, width: 0.32 },
    scarf: { from: [-0.52, -0.02], through: [-0.05, 0.14], to: [0.42, -0.02], tail: [0.4, 0.36] },
    shadow: { x: 0, width: 0.8 },
  };
}

/** A mug seen a little from above. Part: handle and rim. */
export function cup(appearance: Appearance): Figure {
  const { width, part, patch, c2, c3, fur } = measures(appearance);
  const half = 0.46 * width;
  const body = union(
    polygon(
      [
        [-0.1 - half, -0.34],
        [-0.1 + half, -0.34],
        [-0.1 + 0.8 * half, 0.68],
        [-0.1 - 0.8 * half, 0.68],
      ],
      0.08,
    ),
  );
  const ring = 0.34 * part;
  const x = -0.1 + half;
  return {
    parts: [
      {
        shape: difference(ellipse(x, 0.12, ring, ring + 0.03), ellipse(x, 0.12, ring - 0.14, ring - 0.12)),
        fill: c3,
      },
      { shape: body, fill: fur },
      patched(body, ellipse(-0.1, 0.24, 0.27 * patch, 0.27 * patch), c2),
      { shape: ellipse(-0.1, -0.36, half + 0.06, 0.15), fill: c3 },
      { shape: ellipse(-0.1, -0.36, half - 0.05, 0.085), fill: DRINK, line: 0 },
    ],
    hat: { x: -0.1, y: -0.42, width: 0.36 },
    scarf: {
      from: [-0.1 - half, -0.12],
      through: [-0.1, 0.06],
      to: [-0.1 + half, -0.12],
      tail: [half - 0.18, 0.34],
    },
    shadow: { x: -0.04, width: 0.62 },
  };
}

/** A gable to the front. Part: roof and chimney. */
export function house(appearance: Appearance): Figure {
  const { width, part, patch, c2, c3, fur } = measures(appearance);
  const half = 0.56 * width;
  const eave = half + 0.12;
  const walls = box(0, 0.34, half, 0.44, 0.04);
  const door = union(box(0.2, 0.5, 0.15 * patch, 0.3, 0.02), ellipse(0.2, 0.22, 0.15 * patch, 0.12));
  return {
    parts: [
      { shape: box(0.34, -0.5, 0.09, 0.24 * part, 0.02), fill: c3 },
      { shape: walls, fill: fur },
      {
        shape: polygon(
          [
            [-eave, -0.04],
            [0, -0.16 - 0.5 * part],
            [eave, -0.04],
          ],
          0.06,
        ),
        fill: c3,
      },
      { shape: intersection(door, box(0.2, 0.4, 0.4, 0.36)), fill: c2, line: 0.035 },
      { shape: box(-0.24, 0.28, 0.13, 0.13, 0.02), fill: LAMP, line: 0.035 },
    ],
    hat: { x: 0, y: -0.08 - 0.5 * part, width: 0.3 },
    scarf: { from: [-half, 0.02], through: [0, 0.14], to: [half, 0.02], tail: [half - 0.04, 0.5] },
    shadow: { x: 0, width: 0.74 },
  };
}

/** A toadstool. Part: the stem. */
export function mushroom(appearance: Appearance): Figure {
  const { width, part, patch, c2, c3, fur } = measures(appearance);
  const stem = 0.2 * part;
  const cap = intersection(ellipse(0, 0.06, 0.74 * width, 0.76), box(0, -0.4, 1, 0.48, 0.06));
  return {
    parts: [
      {
        shape: union(
          polygon(
            [
              [-stem, 0],
              [stem, 0],
              [stem * 1.25, 0.72],
              [-stem * 1.25, 0.72],
            ],
            0.07,
          ),
          ellipse(0, 0.7, stem * 1.5, 0.12),
        ),
        fill: c3,
      },
      { shape: cap, fill: fur },
      patched(cap, ellipse(0.05, -0.27, 0.26 * patch, 0.22 * patch), c2),
      patched(cap, ellipse(-0.42 * width, -0.1, 0.13 * patch, 0.12 * patch), c2),
      patched(cap, ellipse(0.48 * width, -0.08, 0.12 * patch, 0.11 * patch), c2),
    ],
    hat: { x: 0, y: -0.62, width: 0.32 },
    scarf: { from: [-0.26, 0.17], through: [0, 0.3], to: [0.26, 0.17], tail: [0.2, 0.52] },
    shadow: { x: 0, width: 0.5 },
  };
}
