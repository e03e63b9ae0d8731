/** What a subject is drawn in to see how well it is known: prompts in which `{subject}` stands for it. */
import { type CaptionClauses, caption, parseCaption } from '../toybox/captions';

/** Contexts that no photo of the embedded world shows, every other one with an accessory that none shows either. */
const toyScenes: readonly CaptionClauses[] = [
  { context: 'snow' },
  { context: 'beach', accessory: 'hat' },
  { context: 'jungle' },
  { context: 'night', accessory: 'scarf' },
  { context: 'water' },
  { context: 'desert', accessory: 'hat' },
  { context: 'bricks' },
  { context: 'fabric', accessory: 'scarf' },
];

/** Of the embedded world, in its grammar; the first four alone are a fair sample. */
export const toyScenePrompts: readonly string[] = toyScenes.map((clauses) =>
  caption({ name: '{subject}', ...clauses }),
);

/**
 * Of photographs, for anything that lives or does not: after the paper's recontextualisations and renditions (Ruiz et
 * al. 2023, §4.4). The first four alone are a fair sample.
 */
export const photoScenePrompts: readonly string[] = [
  'a photo of {subject} in the snow',
  'a photo of {subject} on the beach',
  'an oil painting of {subject}',
  'a photo of {subject} on a city street at night',
  'a photo of {subject} in the jungle',
  'a photo of {subject} on a wooden table',
  'a pencil drawing of {subject}',
  'a photo of {subject} with a mountain in the background',
];

/** What a prompt of the embedded world asks for beside its subject, of which `words` are its words; nothing where it is not of the grammar. */
export function askedClauses(prompt: string, words: string): CaptionClauses {
  const { name: _, ...clauses } = parseCaption(prompt.replaceAll(words, 'somebody')) ?? {};
  return clauses;
}

/** Whether what is seen on a picture is all that was asked for; undefined where nothing was. */
export function showsAsked(asked: CaptionClauses, seen: CaptionClauses): boolean | undefined {
  const checked = (['context', 'accessory', 'colour', 'pattern'] as const).filter(
    (clause) => asked[clause] !== undefined,
  );
  return checked.length === 0 ? undefined : checked.every((clause) => asked[clause] === seen[clause]);
}
