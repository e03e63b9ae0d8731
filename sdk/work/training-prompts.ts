/** What photos and class are learned under: texts, and what they are to the UNet where no text encoder is trained. */
import { InvalidOptionError } from '../errors';
import type { CreateSession } from '../graph/session';
import type { BaseModel } from '../models/base-model';
import { tokenizePrompt } from '../models/text-condition';
import { createTextEncoder } from '../sampling/text-encoder';
import { encodesText, type TrainingPrompt } from '../training/dreambooth-batch';
import type { PersonalizationPlan } from './personalization-plan';

/** The texts of each photo: its caption, else what the plan says. Throws InvalidOptionError for one that leaves an embedding out. */
export function photoTexts(
  captions: readonly (string | undefined)[],
  { prompts, added }: PersonalizationPlan,
): (readonly string[])[] {
  return captions.map((caption) => {
    const texts = caption === undefined ? prompts.photos : [caption];
    const silent = texts.find((text) => added.some(({ token }) => !text.includes(token)));
    if (silent === undefined) return texts;
    throw new InvalidOptionError(
      'instancePrompt',
      `"${silent}" does not speak of the subject, so an embedding learns nothing from it: write {subject} where it belongs.`,
    );
  });
}

export interface TrainingPrompts {
  /** Of each photo. */
  readonly photos: readonly (readonly TrainingPrompt[])[];
  /** By their texts. */
  readonly classes: ReadonlyMap<string, TrainingPrompt>;
  readonly noPrompt: TrainingPrompt;
}

export async function trainingPrompts(
  base: BaseModel,
  { settings, prompts, added }: PersonalizationPlan,
  photos: readonly (readonly string[])[],
  createSession: CreateSession,
  onWarning: (message: string) => void,
): Promise<TrainingPrompts> {
  const shape = { loraPaths: [], clipSkip: settings.clipSkip };
  const encoder = encodesText(settings) ? undefined : await createTextEncoder(base, shape, createSession);
  const known = new Map<string, TrainingPrompt>();
  const promptOf = async (text: string) => {
    const before = known.get(text);
    if (before) return before;
    const { tokens, cut } = tokenizePrompt(base, text, added);
    if (cut !== '') onWarning(`"${text}" is longer than this model reads; cut off was: "${cut}".`);
    const prompt = { tokens, ...(encoder ? { condition: (await encoder.encode([[tokens]]))[0]! } : {}) };
    known.set(text, prompt);
    return prompt;
  };
  try {
    const ofPhotos: TrainingPrompt[][] = [];
    for (const texts of photos) {
      const own: TrainingPrompt[] = [];
      for (const text of texts) own.push(await promptOf(text));
      ofPhotos.push(own);
    }
    const classes = new Map<string, TrainingPrompt>();
    for (const text of prompts.classes) classes.set(text, await promptOf(text));
    return {
      photos: ofPhotos,
      classes,
      noPrompt: {
        tokens: tokenizePrompt(base, '').tokens,
        ...(encoder ? { condition: (await encoder.encode([null], { negative: true }))[0]! } : {}),
      },
    };
  } finally {
    await encoder?.release();
  }
}
