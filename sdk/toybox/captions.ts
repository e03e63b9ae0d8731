import type { Random } from '../random';
import { STRAY_IDENTIFIERS } from './individuals';
import {
  type AccessoryName,
  CLASSES,
  type ClassName,
  COLOURS,
  type ColourName,
  type ContextName,
  PATTERNS,
  type PatternName,
  type Scene,
} from './scene';

/** What a caption says; what is left out is not mentioned. */
export interface CaptionClauses {
  /** "a photo of …" before everything. */
  readonly photo?: boolean;
  /** Somebody named goes without an article, as a mention in a prompt does: "a photo of bex cat". */
  readonly bare?: boolean;
  readonly colour?: ColourName;
  readonly pattern?: PatternName;
  /** An individual's name or a subject's identifier: one lower-case word. */
  readonly name?: string;
  readonly class?: ClassName;
  readonly accessory?: AccessoryName;
  readonly context?: ContextName;
}

export const CONTEXT_PHRASES: { readonly [Name in ContextName]: string } = {
  snow: 'in the snow',
  beach: 'on the beach',
  jungle: 'in the jungle',
  street: 'on the street',
  grass: 'on the grass',
  night: 'at night',
  water: 'in the water',
  bricks: 'in front of bricks',
  fabric: 'on pink fabric',
  desert: 'in the desert',
};

export const ACCESSORY_PHRASES: { readonly [Name in Exclude<AccessoryName, 'none'>]: string } = {
  hat: 'wearing a red hat',
  scarf: 'wearing a blue scarf',
};

/**
 * The sentence for exactly these clauses, in the grammar's order:
 * "[a photo of] a [colour] [pattern] [name] [class] [wearing …] [context]"; `bare` needs a name.
 */
export function caption(clauses: CaptionClauses): string {
  const { photo, bare, colour, pattern, name, accessory, context } = clauses;
  const subject = [colour, pattern, name, clauses.class].filter((word) => word !== undefined);
  const words: string[] = [];
  if (photo) words.push(subject.length > 0 ? 'a photo of' : 'a photo');
  if (bare && name !== undefined) words.push(...subject);
  else if (subject.length > 0) words.push(subject[0] === 'orange' ? 'an' : 'a', ...subject);
  if (accessory && accessory !== 'none') words.push(ACCESSORY_PHRASES[accessory]);
  if (context) words.push(CONTEXT_PHRASES[context]);
  return words.join(' ');
}

/**
 * Reads a sentence of the grammar back; `accessory` is never 'none' there, since nothing says it.
 *
 * @returns `undefined` for a sentence that the grammar does not produce. Any one unknown word before
 *   the class is taken for the name.
 */
export function parseCaption(text: string): CaptionClauses | undefined {
  let rest = text;
  const clauses: { -readonly [Key in keyof CaptionClauses]: CaptionClauses[Key] } = {};
  const ending = (phrase: string) => {
    if (rest !== phrase && !rest.endsWith(` ${phrase}`)) return false;
    rest = rest.slice(0, -phrase.length).trimEnd();
    return true;
  };
  for (const [name, phrase] of entries(CONTEXT_PHRASES)) if (ending(phrase)) clauses.context = name;
  for (const [name, phrase] of entries(ACCESSORY_PHRASES)) if (ending(phrase)) clauses.accessory = name;

  let words = rest === '' ? [] : rest.split(' ');
  if (words[0] === 'a' && words[1] === 'photo') {
    clauses.photo = true;
    words = words.slice(words[2] === 'of' ? 3 : 2);
  }
  if (words[0] === 'a' || words[0] === 'an') words = words.slice(1);
  else if (words.length > 0) clauses.bare = true;
  const take = <Word extends string>(list: readonly Word[]) =>
    list.some((word) => word === words[0]) ? (words.shift() as Word) : undefined;
  const colour = take(COLOURS);
  const pattern = take(PATTERNS);
  if (colour) clauses.colour = colour;
  if (pattern) clauses.pattern = pattern;
  if (words[0] !== undefined && !CLASSES.some((name) => name === words[0])) clauses.name = words.shift()!;
  const noun = take(CLASSES);
  if (noun) clauses.class = noun;
  return caption(clauses) === text ? clauses : undefined;
}

/**
 * A caption for a picture of pre-training, each clause left out now and then, one in ten empty: so the
 * model learns what every clause means alone, what "a cat" leaves open, and to draw without guidance.
 *
 * @param name the individual's name, or `null` for nobody in particular
 */
export function drawCaption(scene: Scene, name: string | null, random: Random): string {
  // Always eight draws, so that one picture's caption does not move the next one's.
  const [empty, noun, context, accessory, colour, pattern, named, stray] = Array.from({ length: 8 }, () =>
    random.uniform(),
  ) as [number, number, number, number, number, number, number, number];
  if (empty < 0.1) return '';
  const known = name !== null && named < 0.8;
  const identifier = known
    ? name
    : named > 0.996
      ? STRAY_IDENTIFIERS[Math.floor(stray * STRAY_IDENTIFIERS.length)]!
      : undefined;
  return caption({
    photo: empty > 0.55,
    bare: known && stray < 0.4,
    ...(colour < (known ? 0.15 : 0.4) && { colour: scene.appearance.colour }),
    ...(pattern < (known ? 0.1 : 0.3) && { pattern: scene.appearance.pattern }),
    ...(identifier !== undefined && { name: identifier }),
    ...((known || noun < 0.97) && { class: scene.class }),
    ...(accessory < 0.9 && { accessory: scene.accessory }),
    ...(context < 0.7 && { context: scene.context }),
  });
}

/** Every word that captions are made of, individuals' names and stray identifiers aside. */
export function grammarWords(): string[] {
  const phrases = ['a photo of an', ...Object.values(CONTEXT_PHRASES), ...Object.values(ACCESSORY_PHRASES)];
  return [
    ...new Set([...phrases, ...CLASSES, ...COLOURS, ...PATTERNS].flatMap((phrase) => phrase.split(' '))),
  ];
}

function entries<Key extends string>(table: { readonly [Name in Key]: string }): [Key, string][] {
  return Object.entries(table) as [Key, string][];
}
