/**
 * What the embedded world's evaluation compares: ways to learn a subject, each the recipe with one thing changed, and two
 * ways of training (an embedding, every weight) with the rates and steps that each of them needs.
 */
import { CLASSES } from '../../toybox/scene';
import type { ToySubject } from '../../toybox/toy-subject';
import type { PersonalizationSettings } from '../../work/personalization-settings';

export interface ToyArm {
  /** What it shows, in a line. */
  readonly words: string;
  /** Over the recipe's settings. */
  readonly settings: PersonalizationSettings;
  /** Default: a rare word, drawn as ever. */
  readonly identifier?: string;
  /** What the subject is said to be; default: what it is. */
  readonly noun?: (toy: ToySubject) => string;
  /** Neither the sentences beside the photos nor the prompts of its pictures give it a noun. */
  readonly withoutNoun?: true;
  /** How many seeds it gets: those of the main comparison, or one. */
  readonly main: boolean;
}

/** A class that looks like nothing of it. */
const otherClass = ({ class: own }: ToySubject): string =>
  CLASSES[(CLASSES.indexOf(own) + CLASSES.length / 2) % CLASSES.length]!;

/** For an identifier that is given, since a prompt without a noun is written out. */
const plainIdentifier = 'olis';

export const toyArms = {
  'class-images': {
    words: 'the recipe: prior preservation by class images',
    settings: {},
    main: true,
  },
  'adapter-off': {
    words: "the base's own predictions as prior, no class images",
    settings: { prior: 'adapter-off' },
    main: true,
  },
  'no-prior': { words: 'no prior preservation', settings: { prior: 'none' }, main: true },
  'wrong-noun': {
    words: 'called another class, whose pictures are its prior',
    settings: {},
    noun: otherClass,
    main: false,
  },
  'no-noun': {
    words: 'no class noun beside the identifier',
    settings: { instancePrompt: `a ${plainIdentifier}` },
    identifier: plainIdentifier,
    withoutNoun: true,
    main: false,
  },
  'no-captions': {
    words: 'nothing beside the photos says where they were taken',
    settings: { captions: false },
    main: false,
  },
  'bare-prior': {
    words: 'every class image asked for by the bare class, none in a hat or a scarf',
    settings: { classPromptTemplates: [] },
    main: false,
  },
  'common-word': { words: '"red" as identifier', settings: {}, identifier: 'red', main: false },
  'textual-inversion': {
    words: 'an embedding alone (Gal et al. 2022), of three vectors',
    settings: {
      kind: 'embedding',
      vectors: 3,
      promptTemplates: ['a {subject}'],
      prior: 'none',
      steps: 1000,
      batchSize: 4,
      learningRate: 2e-2,
      trainTextEncoder: false,
      captions: false,
    },
    main: false,
  },
  full: {
    words: 'every weight of UNet and text encoder',
    settings: { kind: 'full', learningRate: 4e-4, textEncoderLearningRate: 4e-4, steps: 400 },
    main: false,
  },
} as const satisfies Readonly<Record<string, ToyArm>>;

export type ToyArmName = keyof typeof toyArms;
export const toyArmNames = Object.keys(toyArms) as readonly ToyArmName[];
