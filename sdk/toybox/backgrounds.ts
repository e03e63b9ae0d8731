import { type Canvas, paint } from './canvas';
import type { Colour, ContextName, Pose } from './scene';
import { ellipse, type Shape, stroke, union } from './shapes';

/** Writes the colour at a point of the picture (−1 … 1, y down) into `out`. */
type Ground = (x: number, y: number, out: Float32Array) => void;

/** A picture without its subject: the ground, then a few things on it. */
interface Background {
  readonly ground: Ground;
  readonly things?: readonly { readonly shape: Shape; readonly colour: Colour; readonly alpha?: number }[];
}

/** Backgrounds have no pose. */
const STILL: Pose = { x: 0, y: 0, scale: 1, flipped: false, rotation: 0 };

/**
 * The ten contexts. Large calm areas and few things: what a latent of 8 × 8 cannot hold would only be
 * noise to learn. `n` are the scene's ten nuisance numbers; every context reads its own meaning in.
 */
const BACKGROUNDS: { readonly [Name in ContextName]: (n: readonly number[]) => Background } = {
  snow(n) {
    const horizon = -0.1 + 0.25 * n[1]!;
    return {
      ground(x, y, out) {
        const hill = y - horizon - 0.09 * Math.sin(x * 2.2 + n[2]! * TURN);
        blend(out, [0.6, 0.77, 0.93], [0.82, 0.9, 0.98], (y + 1) / (horizon + 1));
        if (hill > 0) blend(out, [0.99, 1, 1], [0.84, 0.9, 0.98], hill * 1.1);
      },
      things: scattered(n, 7).map(([x, y, size]) => ({
        shape: ellipse(x, y * 1.1 - 0.1, 0.035 + 0.03 * size, 0.035 + 0.03 * size),
        colour: [1, 1, 1],
      })),
    };
  },
  beach(n) {
    const shore = 0.12 + 0.15 * n[1]!;
    const horizon = shore - 0.38;
    return {
      ground(x, y, out) {
        const wet = y - shore - 0.04 * Math.sin(x * 3 + n[2]! * TURN);
        if (wet > 0) blend(out, [0.93, 0.8, 0.55], [0.99, 0.9, 0.68], wet * 1.6);
        else if (wet > -0.06) out.set([0.97, 0.99, 0.99]);
        else if (y > horizon) blend(out, [0.13, 0.5, 0.78], [0.25, 0.75, 0.85], (y - horizon) * 3);
        else blend(out, [0.5, 0.78, 0.97], [0.8, 0.93, 1], (y + 1) / (horizon + 1));
      },
      things: [{ shape: ellipse(n[4]! < 0.5 ? -0.72 : 0.72, -0.72, 0.15, 0.15), colour: [1, 0.95, 0.6] }],
    };
  },
  jungle(n) {
    const leaf = (x: number, lean: number, length: number): Shape =>
      union(
        stroke([x, -1.1], [x + lean, -0.9], [x + 1.8 * lean, -1.1 + length], 0.11),
        stroke([x - 0.28, -1.1], [x + 0.5 * lean, -1], [x + 1.2 * lean - 0.25, -1 + 0.6 * length], 0.1),
      );
    const left = leaf(-0.85 + 0.2 * n[4]!, -0.14 + 0.2 * n[5]!, 0.75 + 0.4 * n[6]!);
    const right = leaf(0.95 - 0.2 * n[7]!, 0.1 - 0.2 * n[8]!, 0.7 + 0.4 * n[9]!);
    return {
      ground(x, y, out) {
        const trunk = Math.sin(x * 5.5 + n[2]! * TURN + 0.5 * Math.sin(y * 2 + n[3]! * TURN));
        blend(out, [0.05, 0.25, 0.13], [0.1, 0.37, 0.18], smooth(trunk * 2));
        const floor = y - 0.5 - 0.05 * Math.sin(x * 4 + n[3]! * TURN);
        if (floor > 0) blend(out, [0.22, 0.4, 0.14], [0.3, 0.46, 0.16], floor * 2);
      },
      things: [
        { shape: left, colour: [0.16, 0.52, 0.2] },
        { shape: right, colour: [0.2, 0.58, 0.24] },
      ],
    };
  },
  street(n) {
    const kerb = 0.32 + 0.1 * n[1]!;
    return {
      ground(x, y, out) {
        const house = Math.floor(x * 1.4 + n[2]! * 3);
        const roof = -0.75 + 0.3 * fraction(house * 0.618 + n[3]!);
        if (y > kerb + 0.14) {
          blend(out, [0.4, 0.41, 0.45], [0.47, 0.48, 0.52], (y - kerb) * 1.4);
          const dash = Math.abs(y - 0.86) < 0.035 && fraction(x * 1.1 + n[4]!) < 0.55;
          if (dash) out.set([0.93, 0.91, 0.82]);
        } else if (y > kerb) out.set([0.76, 0.74, 0.72]);
        else if (y > roof) blend(out, [0.6, 0.62, 0.7], [0.7, 0.68, 0.72], fraction(house * 0.41 + n[3]!));
        else blend(out, [0.78, 0.84, 0.92], [0.9, 0.91, 0.93], y + 1);
      },
    };
  },
  grass(n) {
    const horizon = -0.25 + 0.25 * n[1]!;
    return {
      ground(x, y, out) {
        const hill = y - horizon - 0.1 * Math.sin(x * 1.8 + n[2]! * TURN);
        if (hill > 0) blend(out, [0.55, 0.82, 0.36], [0.28, 0.62, 0.25], hill * 0.95);
        else blend(out, [0.5, 0.78, 0.96], [0.82, 0.93, 0.99], (y + 1) / (horizon + 1));
      },
      things: scattered(n, 6).map(([x, y, size]) => ({
        shape: ellipse(x, 0.62 + 0.32 * y, 0.055, 0.055),
        colour: size < 0.5 ? [1, 0.98, 0.94] : [1, 0.86, 0.3],
      })),
    };
  },
  night(n) {
    const moon = n[4]! < 0.5 ? -0.68 : 0.68;
    const horizon = 0.38 + 0.12 * n[1]!;
    return {
      ground(x, y, out) {
        const hill = y - horizon - 0.07 * Math.sin(x * 2.4 + n[2]! * TURN);
        if (hill > 0) blend(out, [0.13, 0.2, 0.33], [0.08, 0.13, 0.25], hill * 2);
        else blend(out, [0.06, 0.07, 0.22], [0.22, 0.22, 0.46], (y + 1) / (horizon + 1));
      },
      things: [
        { shape: ellipse(moon, -0.68, 0.25, 0.25), colour: [0.5, 0.5, 0.68], alpha: 0.4 },
        { shape: ellipse(moon, -0.68, 0.16, 0.16), colour: [0.99, 0.95, 0.76] },
        ...scattered(n, 7).map(([x, y, size]): { shape: Shape; colour: Colour } => ({
          shape: ellipse(x, y * 0.6 - 0.45, 0.025 + 0.018 * size, 0.025 + 0.018 * size),
          colour: [0.97, 0.95, 0.82],
        })),
      ],
    };
  },
  water(n) {
    return {
      ground(x, y, out) {
        const wave = Math.sin(y * 8 + n[2]! * TURN + 0.8 * Math.sin(x * 3.2 + n[3]! * TURN));
        blend(out, [0.22, 0.66, 0.9], [0.1, 0.42, 0.76], (y + 1) / 2);
        const crest = 0.75 * smooth((wave - 0.72) * 6);
        for (let i = 0; i < 3; i++) out[i]! += (CREST[i]! - out[i]!) * crest;
      },
    };
  },
  bricks(n) {
    return {
      ground(x, y, out) {
        const row = Math.floor((y + 1) * 2.6 + n[3]!);
        const up = fraction((y + 1) * 2.6 + n[3]!);
        const along = x * 1.25 + 0.5 * (row & 1) + n[2]!;
        const across = fraction(along);
        if (y > 0.62 + 0.06 * n[1]!) blend(out, [0.62, 0.53, 0.47], [0.72, 0.63, 0.56], (y - 0.62) * 2.6);
        else if (up < 0.14 || across < 0.075) out.set([0.87, 0.8, 0.73]);
        else {
          const tone = fraction(Math.floor(along) * 0.618 + row * 0.37 + n[5]!);
          blend(out, [0.68, 0.31, 0.23], [0.78, 0.4, 0.3], tone);
        }
      },
    };
  },
  fabric(n) {
    const lean = 0.5 + 0.5 * n[1]!;
    return {
      ground(x, y, out) {
        const fold = Math.sin(x * 3.6 + y * 3.6 * lean + n[2]! * TURN + 0.5 * Math.sin(y * 2 + n[3]! * TURN));
        blend(out, [0.93, 0.53, 0.7], [1, 0.76, 0.86], smooth(fold));
      },
    };
  },
  desert(n) {
    const horizon = -0.05 + 0.2 * n[1]!;
    const side = n[4]! < 0.5 ? -1 : 1;
    const x = side * (0.76 + 0.08 * n[5]!);
    const foot = horizon + 0.22;
    const cactus = union(
      stroke([x, foot], [x, foot - 0.3], [x, foot - 0.6], 0.075),
      stroke([x, foot - 0.2], [x + 0.17, foot - 0.2], [x + 0.17, foot - 0.42], 0.05),
    );
    return {
      ground(x, y, out) {
        const far = y - horizon - 0.08 * Math.sin(x * 2.6 + n[2]! * TURN);
        const near = y - horizon - 0.36 - 0.1 * Math.sin(x * 1.9 + n[3]! * TURN);
        if (near > 0) blend(out, [0.93, 0.66, 0.34], [0.84, 0.52, 0.26], near * 1.8);
        else if (far > 0) blend(out, [0.97, 0.76, 0.45], [0.88, 0.6, 0.32], far * 1.8);
        else blend(out, [0.98, 0.7, 0.52], [1, 0.91, 0.72], (y + 1) / (horizon + 1));
      },
      things: [
        { shape: ellipse(-side * 0.66, -0.66, 0.17, 0.17), colour: [1, 0.95, 0.72] },
        { shape: cactus, colour: [0.36, 0.55, 0.27] },
      ],
    };
  },
};

const TURN = 2 * Math.PI;
const CREST: Colour = [0.72, 0.91, 0.98];

/** Paints the whole canvas. `values`: the scene's nuisance numbers, the first of them the light. */
export function paintBackground(canvas: Canvas, context: ContextName, values: readonly number[]) {
  const { size, rgb, covered } = canvas;
  const { ground, things = [] } = BACKGROUNDS[context](values);
  const light = 0.94 + 0.1 * values[0]!;
  const out = new Float32Array(3);
  for (let row = 0, at = 0; row < size; row++) {
    const y = ((row + 0.5) / size) * 2 - 1;
    for (let column = 0; column < size; column++, at += 3) {
      ground(((column + 0.5) / size) * 2 - 1, y, out);
      rgb[at] = out[0]! * light;
      rgb[at + 1] = out[1]! * light;
      rgb[at + 2] = out[2]! * light;
    }
  }
  for (const { shape, colour, alpha } of things) paint(canvas, STILL, shape, colour, 0, alpha);
  covered.fill(0);
}

/** Some points of the picture, evenly strewn (golden ratio), with a third number in 0 … 1 each. */
function scattered(n: readonly number[], count: number): [number, number, number][] {
  return Array.from({ length: count }, (_, i) => [
    1.9 * fraction(n[5]! + i * 0.618034) - 0.95,
    1.9 * fraction(n[6]! + i * 0.754878) - 0.95,
    fraction(n[7]! + i * 0.569841),
  ]);
}

function blend(out: Float32Array, from: Colour, to: Colour, amount: number) {
  const t = Math.max(0, Math.min(1, amount));
  out[0] = from[0] + (to[0] - from[0]) * t;
  out[1] = from[1] + (to[1] - from[1]) * t;
  out[2] = from[2] + (to[2] - from[2]) * t;
}

/** −1 … 1 to 0 … 1, flat at both ends. */
function smooth(value: number): number {
  const t = Math.max(0, Math.min(1, (value + 1) / 2));
  return t * t * (3 - 2 * t);
}

function fraction(value: number): number {
  return value - Math.floor(value);
}
