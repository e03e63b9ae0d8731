import type { Random } from '../random';

/** The world's class nouns. The order is that of the oracle's class head. */
export const CLASSES = ['cat', 'dog', 'bird', 'fish', 'car', 'cup', 'house', 'mushroom'] as const;
/** The world's backgrounds, in the order of the oracle's context head. */
export const CONTEXTS = [
  'snow',
  'beach',
  'jungle',
  'street',
  'grass',
  'night',
  'water',
  'bricks',
  'fabric',
  'desert',
] as const;
/** What a subject may wear, in the order of the oracle's accessory head. */
export const ACCESSORIES = ['none', 'hat', 'scarf'] as const;
/** The named hues of the body colour, in the order of the oracle's colour head. */
export const COLOURS = ['red', 'orange', 'yellow', 'green', 'blue', 'purple'] as const;
/** The markings, in the order of the oracle's pattern head. */
export const PATTERNS = ['plain', 'striped', 'spotted', 'patched'] as const;

export type ClassName = (typeof CLASSES)[number];
export type ContextName = (typeof CONTEXTS)[number];
export type AccessoryName = (typeof ACCESSORIES)[number];
export type ColourName = (typeof COLOURS)[number];
export type PatternName = (typeof PATTERNS)[number];

/** Red, green and blue, each in 0 … 1. */
export type Colour = readonly [number, number, number];

/** What makes an individual: captions can name `colour` and `pattern`, and nothing of the rest. */
export interface Appearance {
  readonly colour: ColourName;
  readonly pattern: PatternName;
  /** Body colour, continuous within the named hue. */
  readonly c1: Colour;
  /** Colour of the patch and of the markings. */
  readonly c2: Colour;
  /** Colour of the class's part: ears, wing, wheels, roof … */
  readonly c3: Colour;
  /** Width of the body, size of the part, size of patch and markings; each in 0 … 1. */
  readonly shape: readonly [number, number, number];
}

/** Where the subject stands. The picture spans −1 … 1, y pointing down. */
export interface Pose {
  readonly x: number;
  readonly y: number;
  /** Half the picture's width that one unit of the subject takes. */
  readonly scale: number;
  readonly flipped: boolean;
  /** Radians. */
  readonly rotation: number;
}

/** One picture of the world as a value: `renderScene` draws equal scenes to equal bytes. */
export interface Scene {
  readonly class: ClassName;
  readonly appearance: Appearance;
  readonly context: ContextName;
  readonly accessory: AccessoryName;
  readonly pose: Pose;
  /** Ten numbers in 0 … 1 for what no caption says: light, horizon, where flowers and clouds are. */
  readonly background: readonly number[];
}

/** How many nuisance numbers a scene's background has. */
export const BACKGROUND_VALUES = 10;

/** Hues (turns) of the six named colours; a body colour lies within ± `HUE_JITTER` of its own. */
const HUES: { readonly [Name in ColourName]: number } = {
  red: 0.99,
  orange: 0.075,
  yellow: 0.145,
  green: 0.35,
  blue: 0.59,
  purple: 0.78,
};
const HUE_JITTER = 0.022;

/**
 * Patch and part colours come from here, ± `PALETTE_JITTER` a channel. With free colours a small
 * diffusion model averages where it cannot decide, and the insides of the subjects turn to patchwork.
 */
export const PALETTE: readonly Colour[] = [
  [0.95, 0.93, 0.87],
  [0.16, 0.16, 0.2],
  [0.47, 0.29, 0.16],
  [0.62, 0.62, 0.66],
  [0.95, 0.55, 0.68],
  [0.12, 0.62, 0.6],
  [0.95, 0.8, 0.25],
  [0.85, 0.18, 0.2],
  [0.2, 0.4, 0.85],
  [0.35, 0.7, 0.28],
  [0.55, 0.3, 0.7],
  [0.95, 0.6, 0.2],
];
export const PALETTE_JITTER = 0.05;

/** Markings nearer to the body colour than this could not be seen. */
const LEAST_CONTRAST = 0.42;

/**
 * An individual's appearance. Half are plain; the patch colour is redrawn until it stands out from
 * the body. `fixed` pins the two words a caption can say.
 */
export function sampleAppearance(
  random: Random,
  fixed: { readonly colour?: ColourName; readonly pattern?: PatternName } = {},
): Appearance {
  const colour = pick(random, COLOURS);
  const pattern = pickWeighted(random, PATTERNS, [0.52, 0.16, 0.16, 0.16]);
  const named = fixed.colour ?? colour;
  const c1 = fromHsv(
    HUES[named] + between(random, -HUE_JITTER, HUE_JITTER),
    between(random, 0.6, 0.86),
    between(random, 0.76, 0.97),
  );
  let c2 = samplePalette(random);
  while (distance(c1, c2) < LEAST_CONTRAST) c2 = samplePalette(random);
  const c3 = samplePalette(random);
  const shape = [random.uniform(), random.uniform(), random.uniform()] as const;
  return { colour: named, pattern: fixed.pattern ?? pattern, c1, c2, c3, shape };
}

/** A standing subject, nearly upright: small models learn poses only if there are few. */
export function samplePose(random: Random): Pose {
  return {
    x: between(random, -0.08, 0.08),
    y: between(random, -0.05, 0.06),
    scale: between(random, 0.84, 0.95),
    flipped: random.uniform() < 0.5,
    rotation: between(random, -0.06, 0.06),
  };
}

/**
 * A scene, each part drawn freely unless `fixed` gives it. The same number of draws is made for what
 * is fixed and what is not, so that fixing one part does not disturb the others (the appearance,
 * whose colours may be redrawn, comes last).
 */
export function sampleScene(random: Random, fixed: Partial<Scene> = {}): Scene {
  const drawn = {
    class: pick(random, CLASSES),
    context: pick(random, CONTEXTS),
    accessory: pickWeighted(random, ACCESSORIES, [0.6, 0.2, 0.2]),
    pose: samplePose(random),
    background: Array.from({ length: BACKGROUND_VALUES }, () => random.uniform()),
  };
  return { ...drawn, ...fixed, appearance: fixed.appearance ?? sampleAppearance(random) };
}

/** The identity as twelve numbers in 0 … 1: c1, c2, c3, shape. The oracle regresses them. */
export function appearanceVector(appearance: Appearance): number[] {
  return [...appearance.c1, ...appearance.c2, ...appearance.c3, ...appearance.shape];
}

/**
 * Whether the triple is one of the 24 of 240 that pre-training never shows, so that a picture of it
 * proves composition and not memory: one context for every class and accessory, all contexts alike.
 */
export function isHeldOut(scene: Pick<Scene, 'class' | 'context' | 'accessory'>): boolean {
  const context = 3 * CLASSES.indexOf(scene.class) + 7 * ACCESSORIES.indexOf(scene.accessory) + 1;
  return CONTEXTS.indexOf(scene.context) === context % CONTEXTS.length;
}

function samplePalette(random: Random): Colour {
  const [red, green, blue] = pick(random, PALETTE);
  const jitter = () => between(random, -PALETTE_JITTER, PALETTE_JITTER);
  return [red + jitter(), green + jitter(), blue + jitter()];
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.integer(values.length)]!;
}

function pickWeighted<T>(random: Random, values: readonly T[], weights: readonly number[]): T {
  let left = random.uniform();
  const index = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  // Rounding may leave a sliver above the last weight.
  return values[index < 0 ? values.length - 1 : index]!;
}

function between(random: Random, low: number, high: number): number {
  return low + (high - low) * random.uniform();
}

function distance(a: Colour, b: Colour): number {
  return Math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2);
}

/** Hue in turns (any real number), saturation and value in 0 … 1. */
function fromHsv(hue: number, saturation: number, value: number): Colour {
  const channel = (offset: number) => {
    const k = (((offset + hue * 6) % 6) + 6) % 6;
    return value * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1)));
  };
  return [channel(5), channel(3), channel(1)];
}
