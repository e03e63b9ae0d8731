/** What the paper does with a learned subject (Ruiz et al. 2023, §4.4 and supplement), as prompts that anybody can repeat. */
import { parseCaption } from '../toybox/captions';

export const applicationNames = [
  'recontextualisation',
  'accessorisation',
  'property-modification',
  'art-rendition',
  'view-synthesis',
] as const;
export type ApplicationName = (typeof applicationNames)[number];

export interface ApplicationPrompt {
  /** With `{subject}` in it, after an article: "a {subject} in the snow". */
  readonly text: string;
  /** Whether the embedded world has pictures of such a thing, and words for it. */
  readonly embedded: boolean;
}

export interface Application {
  /** What is done, in a line. */
  readonly words: string;
  readonly prompts: readonly ApplicationPrompt[];
}

/** The grammar of its captions says what the embedded world can express. */
const isEmbedded = (text: string): boolean =>
  parseCaption(text.replace('{subject}', 'olis cat').replace('{class}', 'cat')) !== undefined;

const prompts = (texts: readonly string[]): ApplicationPrompt[] =>
  texts.map((text) => ({ text, embedded: isEmbedded(text) }));
const each = (words: readonly string[], of: (word: string) => string): string[] => words.map(of);

export const applications: Readonly<Record<ApplicationName, Application>> = {
  recontextualisation: {
    words: 'the subject in places where it was never photographed',
    prompts: prompts([
      ...each(
        [
          'in the snow',
          'on the beach',
          'in the jungle',
          'in the desert',
          'in the water',
          'at night',
          'in front of bricks',
          'on pink fabric',
        ],
        (place) => `a {subject} ${place}`,
      ),
      ...each(
        [
          'on a cobblestone street',
          'on top of a wooden floor',
          'with a city in the background',
          'with a mountain in the background',
          'in the Acropolis',
          'in the Versailles hall of mirrors',
        ],
        (place) => `a photo of a {subject} ${place}`,
      ),
    ]),
  },
  accessorisation: {
    words: 'the subject with something on that no photo shows',
    prompts: prompts([
      'a {subject} wearing a red hat',
      'a {subject} wearing a blue scarf',
      'a {subject} wearing a red hat in the snow',
      'a {subject} wearing a blue scarf on the beach',
      ...each(['police', 'chef', 'nurse', 'firefighter'], (trade) => `a {subject} wearing a ${trade} outfit`),
      'a {subject} wearing pink glasses',
      'a {subject} wearing a black top hat and a monocle',
    ]),
  },
  'property-modification': {
    words: 'the subject in another colour, pattern or make, its other features kept',
    prompts: prompts([
      ...each(['red', 'yellow', 'green', 'blue', 'purple'], (colour) => `a ${colour} {subject}`),
      ...each(['striped', 'spotted'], (pattern) => `a ${pattern} {subject}`),
      ...each(['shiny', 'wet', 'cube shaped'], (property) => `a ${property} {subject}`),
      ...each(['bear', 'panda', 'lion', 'hippo'], (animal) => `a cross of a {subject} and a ${animal}`),
    ]),
  },
  'art-rendition': {
    words: 'the subject as an artist would have it, in a pose and composition of its own',
    prompts: prompts([
      ...each(
        [
          'Vincent van Gogh',
          'Johannes Vermeer',
          'Leonardo da Vinci',
          'Pierre-Auguste Renoir',
          'Katsushika Hokusai',
        ],
        (painter) => `a painting of a {subject} in the style of ${painter}`,
      ),
      'a statue of a {subject} in the style of Michelangelo',
    ]),
  },
  'view-synthesis': {
    words: 'the subject from sides that no photo shows',
    prompts: prompts(
      each(['the top', 'the bottom', 'the side', 'the back'], (side) => `a {subject} seen from ${side}`),
    ),
  },
};
