import { InvalidOptionError } from '../errors';

/** What a mention needs to know of a subject. */
export interface MentionedSubject {
  /** Empty where the subject was learned without one. */
  readonly identifier: string;
  readonly className: string;
  readonly kind?: 'lora' | 'full' | 'embedding';
}

/** What stands for a subject in a prompt: "sks dog", its class alone, or an embedding's word alone. */
export function subjectWords({ identifier, className, kind }: MentionedSubject): string {
  if (kind === 'embedding') return identifier;
  return identifier === '' ? className : `${identifier} ${className}`;
}

/** A recipe's prompt with the subject in the place of `{subject}` and its class in that of `{class}`. */
export const fillPrompt = (prompt: string, subject: MentionedSubject): string =>
  prompt.replaceAll('{subject}', subjectWords(subject)).replaceAll('{class}', subject.className);

/** A recipe's prompt that mentions `name`, for a subject that will be called otherwise: `{subject}` stands for it. */
export const namelessPrompt = (prompt: string, name: string): string =>
  prompt.replace(mention, (whole, typed: string) => {
    const said = subjectName(typed);
    return said.name === name ? `{subject}${said.rest}` : whole;
  });

export interface ResolvedPrompt {
  /** The prompt for the text encoder: `a photo of sks dog in the snow`. */
  readonly text: string;
  /** Every subject mentioned, once, in order, with the weight of its LoRA (1 where none was written). */
  readonly mentions: readonly { readonly name: string; readonly weight: number }[];
}

/** `@name` or `@name:0.8`; not after a letter, digit, dot or another @, so that `a@b.c` is no mention. */
const mention = /(?<![\w.@+-])@([a-z0-9][a-z0-9_-]*)(?::(\d+(?:\.\d+)?|\.\d+))?/gi;

/** A colon right after a mention and a letter or sign right after that. */
const noWeight = /(?<![\w.@+-])@[a-z0-9][a-z0-9_-]*:(?!\d|\.\d)[^\s,;:)\]"']+/i;

/** The names mentioned in a prompt, once each, in order. */
export function mentionedNames(prompt: string): string[] {
  return [...new Set([...prompt.matchAll(mention)].map(([, name]) => subjectName(name!).name))];
}

/**
 * Replaces every `@name` by the subject's identifier and class, and leaves the rest of the prompt as it is.
 * `find` returns the subject or throws. Throws InvalidOptionError for a weight that is no number, or one subject with two weights.
 */
export function resolvePrompt(prompt: string, find: (name: string) => MentionedSubject): ResolvedPrompt {
  const unread = noWeight.exec(prompt)?.[0];
  if (unread !== undefined) {
    throw new InvalidOptionError(
      'prompt',
      `${unread} has no weight that can be read: write a number, as ${unread.replace(/:.*/, ':0.8')}, or a blank after the colon.`,
    );
  }
  const weights = new Map<string, number | undefined>();
  const text = prompt.replace(mention, (_, typed: string, written: string | undefined) => {
    const { name, rest } = subjectName(typed);
    const weight = written === undefined || rest !== '' ? undefined : Number(written);
    const before = weights.get(name);
    if (before !== undefined && weight !== undefined && before !== weight) {
      throw new InvalidOptionError(
        'prompt',
        `@${name} has two weights, ${before} and ${weight}: a subject has one a picture.`,
      );
    }
    const subject = find(name);
    if (subject.kind === 'embedding' && (weight ?? 1) !== 1) {
      throw new InvalidOptionError(
        'prompt',
        `@${name}:${weight} asks for a weight, and @${name} is an embedding, a word among others: write @${name}.`,
      );
    }
    weights.set(name, weight ?? before);
    const kept = rest === '' || written === undefined ? rest : `${rest}:${written}`;
    return `${subjectWords(subject)}${kept}`;
  });
  return { text, mentions: [...weights].map(([name, weight]) => ({ name, weight: weight ?? 1 })) };
}

/**
 * A prompt about the one subject that is being learned, by `{subject}`, `{class}` or its name. Throws
 * InvalidOptionError, for `setting`, where it mentions another.
 */
export function ownPrompt(
  setting: string,
  prompt: string,
  subject: MentionedSubject & { readonly name: string },
): string {
  const find = (name: string) => {
    if (name === subject.name) return subject;
    throw new InvalidOptionError(
      setting,
      `${setting} mentions @${name} in "${prompt}": it speaks of the subject that is being learned, @${subject.name} or {subject}.`,
    );
  };
  return resolvePrompt(fillPrompt(prompt, subject), find).text;
}

/** Names are lower-case; a hyphen or underscore at the end belongs to the sentence ("@rex-"). */
function subjectName(typed: string): { name: string; rest: string } {
  const name = typed.toLowerCase().replace(/[-_]+$/, '');
  return { name, rest: typed.slice(name.length) };
}
