import { createCanvas } from './canvas';
import { drawSubject, PICTURE_SIZE, renderMask, renderScene } from './renderer';
import { BACKGROUND_VALUES, type Pose, type Scene } from './scene';

/** A picture drawn again from what somebody believes is on it. */
export interface ReRendering {
  /** The scene with the pose that fits best. */
  readonly scene: Scene;
  /** Peak signal-to-noise ratio over the subject's pixels, in dB: above about 15 the belief holds. */
  readonly psnr: number;
}

/** A pixel nearer than this (root of the squared difference a channel) counts for the pose. */
const TOLERANCE = 0.22;

/**
 * Checks a reading without any weights: draws the believed scene in many poses, keeps the one that
 * explains most of the picture, and says how well it fits. A network that reads a subject into noise
 * is found out here.
 *
 * @param pixels 64 × 64 × 3 bytes
 * @param believed the scene as read; its background is not compared
 */
export function reRender(pixels: Uint8Array, believed: Omit<Scene, 'pose' | 'background'>): ReRendering {
  const at = (pose: Pose): Scene => ({ ...believed, pose, background: NEUTRAL });
  let best: Pose = { x: 0, y: 0, scale: 0.9, flipped: false, rotation: 0 };
  let score = Number.NEGATIVE_INFINITY;
  const attempt = (pose: Pose) => {
    const reached = explained(pixels, at(pose));
    if (reached > score) [best, score] = [pose, reached];
  };
  for (const flipped of [false, true]) {
    for (const x of [-0.06, 0, 0.06]) {
      for (const y of [-0.05, 0.03]) attempt({ x, y, scale: 0.9, flipped, rotation: 0 });
    }
  }
  for (const step of [0.04, 0.02, 0.01]) {
    for (const key of ['scale', 'rotation', 'x', 'y'] as const) {
      const start = best;
      attempt({ ...start, [key]: start[key] + step });
      attempt({ ...start, [key]: start[key] - step });
    }
  }
  const scene = at(best);
  return { scene, psnr: foregroundPsnr(pixels, scene) };
}

/** Over the pixels that the scene's subject covers: how near the picture is to the scene, in dB. */
export function foregroundPsnr(pixels: Uint8Array, scene: Scene): number {
  const drawn = renderScene(scene);
  const mask = renderMask(scene);
  let sum = 0;
  let count = 0;
  for (let i = 0; i < mask.length; i++) {
    // The rim is mixed with a background that nobody knows.
    if (mask[i]! < 0.999) continue;
    count += 3;
    for (let channel = 0; channel < 3; channel++) {
      sum += ((pixels[3 * i + channel]! - drawn[3 * i + channel]!) / 255) ** 2;
    }
  }
  return -10 * Math.log10(Math.max(sum / count, 1e-9));
}

const NEUTRAL = Array.from({ length: BACKGROUND_VALUES }, () => 0.5);

/** Pixels explained less pixels missed: grows with the covered area, as long as it agrees. */
function explained(pixels: Uint8Array, scene: Scene): number {
  const canvas = createCanvas(PICTURE_SIZE);
  drawSubject(canvas, scene);
  let total = 0;
  for (let i = 0; i < canvas.covered.length; i++) {
    const weight = canvas.covered[i]!;
    if (weight === 0) continue;
    for (let channel = 0; channel < 3; channel++) {
      const difference = pixels[3 * i + channel]! / 255 - canvas.rgb[3 * i + channel]!;
      total += weight * (TOLERANCE ** 2 - Math.min(difference * difference, 4 * TOLERANCE ** 2));
    }
  }
  return total;
}
