import { paintBackground } from './backgrounds';
import { type Canvas, createCanvas, halve, paint, paintShadow } from './canvas';
import { bird, cat, dog, type Figure, fish, type Part } from './creatures';
import type { Appearance, ClassName, Colour, Scene } from './scene';
import { box, ellipse, intersection, stroke } from './shapes';
import { car, cup, house, mushroom } from './things';

/** Side of a picture of the world, in pixels. */
export const PICTURE_SIZE = 64;

const FIGURES: { readonly [Name in ClassName]: (appearance: Appearance) => Figure } = {
  cat,
  dog,
  bird,
  fish,
  car,
  cup,
  house,
  mushroom,
};

const HAT: Colour = [0.88, 0.12, 0.14];
const HAT_BAND: Colour = [0.5, 0.05, 0.1];
const SCARF: Colour = [0.25, 0.68, 0.95];
/** Where the ground carries every subject, in the subject's units. */
const FOOT = 0.85;

/**
 * Draws a scene.
 *
 * @returns 64 × 64 pixels of red, green, blue (0 … 255), row by row: drawn at twice the size and
 *   averaged. The same scene gives the same bytes wherever the language's arithmetic is the same.
 */
export function renderScene(scene: Scene): Uint8Array {
  return halve(drawScene(scene, 2 * PICTURE_SIZE));
}

/**
 * Where the subject (with what it wears) covers the picture.
 *
 * @returns 64 × 64 numbers in 0 … 1, row by row.
 */
export function renderMask(scene: Scene): Float32Array {
  const canvas = createCanvas(PICTURE_SIZE);
  drawSubject(canvas, scene);
  return canvas.covered;
}

/** The scene on a canvas of `size` samples a side, before averaging. */
export function drawScene(scene: Scene, size: number): Canvas {
  const canvas = createCanvas(size);
  paintBackground(canvas, scene.context, scene.background);
  drawSubject(canvas, scene);
  return canvas;
}

/** The subject of a scene alone, with its shadow, over whatever the canvas holds. */
export function drawSubject(canvas: Canvas, { class: name, appearance, accessory, pose }: Scene) {
  const figure = FIGURES[name](appearance);
  const side = pose.flipped ? -1 : 1;
  paintShadow(
    canvas,
    pose.x + side * pose.scale * figure.shadow.x,
    pose.y + pose.scale * FOOT,
    pose.scale * figure.shadow.width * 1.15,
    pose.scale * 0.15,
    0.34,
  );
  const worn = accessory === 'hat' ? hat(figure) : accessory === 'scarf' ? scarf(figure) : [];
  for (const { shape, fill, line, alpha } of [...figure.parts, ...worn]) {
    paint(canvas, pose, shape, fill, line, alpha);
  }
}

/** A bowler: a dome with a darker band over a brim. */
function hat({ hat: { x, y, width, lean = 0 } }: Figure): Part[] {
  const rise = 0.3;
  const dx = Math.sin(lean);
  const dome = intersection(
    ellipse(x + dx * 0.04, y - 0.03, width * 0.68, rise, lean),
    box(x, y - 0.25, 1, 0.28),
  );
  return [
    { shape: dome, fill: HAT },
    { shape: intersection(dome, box(x, y - 0.1, 1, 0.055)), fill: HAT_BAND, line: 0 },
    { shape: ellipse(x, y, width, 0.07, lean), fill: HAT },
  ];
}

/** A band around the neck with one end hanging down. */
function scarf({ scarf: { from, through, to, tail } }: Figure): Part[] {
  const middle: [number, number] = [(through[0] + to[0]) / 2, (through[1] + to[1]) / 2];
  const end = stroke(middle, [(middle[0] + tail[0]) / 2, (middle[1] + tail[1]) / 2], tail, 0.09, 1);
  return [
    { shape: end, fill: SCARF },
    { shape: stroke(from, through, to, 0.095), fill: SCARF },
  ];
}
