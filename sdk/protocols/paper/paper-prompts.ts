/** The paper's subjects and prompts (Ruiz et al. 2023, §4; the authors' dataset google/dreambooth, CC BY 4.0). */

export interface PaperSubject {
  /** The folder of its pictures. */
  readonly name: string;
  readonly className: string;
  /** An animal: it gets other prompts than an object. */
  readonly live: boolean;
  /** How many pictures were published. */
  readonly pictures: number;
}

const object = (name: string, className: string, pictures: number): PaperSubject => ({
  name,
  className,
  live: false,
  pictures,
});
const animal = (name: string, className: string, pictures: number): PaperSubject => ({
  name,
  className,
  live: true,
  pictures,
});

/** The thirty; there is no dog4. */
export const paperSubjects: readonly PaperSubject[] = [
  object('backpack', 'backpack', 6),
  object('backpack_dog', 'backpack', 5),
  object('bear_plushie', 'stuffed animal', 5),
  object('berry_bowl', 'bowl', 6),
  object('can', 'can', 6),
  object('candle', 'candle', 5),
  animal('cat', 'cat', 5),
  animal('cat2', 'cat', 5),
  object('clock', 'clock', 6),
  object('colorful_sneaker', 'sneaker', 5),
  animal('dog', 'dog', 5),
  animal('dog2', 'dog', 6),
  animal('dog3', 'dog', 6),
  animal('dog5', 'dog', 5),
  animal('dog6', 'dog', 5),
  animal('dog7', 'dog', 5),
  animal('dog8', 'dog', 5),
  object('duck_toy', 'toy', 4),
  object('fancy_boot', 'boot', 6),
  object('grey_sloth_plushie', 'stuffed animal', 5),
  object('monster_toy', 'toy', 5),
  object('pink_sunglasses', 'glasses', 6),
  object('poop_emoji', 'toy', 5),
  object('rc_car', 'toy', 5),
  object('red_cartoon', 'cartoon', 4),
  object('robot_toy', 'toy', 5),
  object('shiny_sneaker', 'sneaker', 6),
  object('teapot', 'teapot', 5),
  object('vase', 'vase', 6),
  object('wolf_plushie', 'stuffed animal', 5),
];

export type PaperPromptKind = 'recontextualisation' | 'accessorisation' | 'property';

export interface PaperPrompt {
  readonly kind: PaperPromptKind;
  /** `{}` stands for the subject, without its article. */
  readonly text: string;
}

const prompts = (kind: PaperPromptKind, texts: readonly string[]): PaperPrompt[] =>
  texts.map((text) => ({ kind, text }));
const placed = (endings: readonly string[]) =>
  prompts(
    'recontextualisation',
    endings.map((ending) => `a {} ${ending}`),
  );
const dressed = (endings: readonly string[]) =>
  prompts(
    'accessorisation',
    endings.map((ending) => `a {} ${ending}`),
  );

const shared = placed([
  'in the jungle',
  'in the snow',
  'on the beach',
  'on a cobblestone street',
  'on top of pink fabric',
  'on top of a wooden floor',
  'with a city in the background',
  'with a mountain in the background',
  'with a blue house in the background',
  'on top of a purple rug in a forest',
]);

const ofObjects = placed([
  'with a wheat field in the background',
  'with a tree and autumn leaves in the background',
  'with the Eiffel Tower in the background',
  'floating on top of water',
  'floating in an ocean of milk',
  'on top of green grass with sunflowers around it',
  'on top of a mirror',
  'on top of the sidewalk in a crowded street',
  'on top of a dirt road',
  'on top of a white rug',
]);

const ofAnimals = dressed([
  'wearing a red hat',
  'wearing a santa hat',
  'wearing a rainbow scarf',
  'wearing a black top hat and a monocle',
  'in a chef outfit',
  'in a firefighter outfit',
  'in a police outfit',
  'wearing pink glasses',
  'wearing a yellow shirt',
  'in a purple wizard outfit',
]);

const properties = prompts(
  'property',
  ['red', 'purple', 'shiny', 'wet', 'cube shaped'].map((word) => `a ${word} {}`),
);

/** The 25 prompts of a subject, in the authors' order. */
export const paperPrompts = ({ live }: Pick<PaperSubject, 'live'>): readonly PaperPrompt[] => [
  ...shared,
  ...(live ? ofAnimals : ofObjects),
  ...properties,
];

/** A prompt about `subject`: a mention, an identifier and class, or the class alone. */
export const paperPrompt = ({ text }: Pick<PaperPrompt, 'text'>, subject: string): string =>
  text.replace('{}', subject);

/** What is asked for where the bare class is looked at. */
export const classPrompt = (className: string): string => `a ${className}`;
