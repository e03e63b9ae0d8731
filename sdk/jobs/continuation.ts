/** Going on with a finished subject, or learning it anew: what a new job takes over from it, where the caller says nothing else. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidOptionError, MissingFileError } from '../errors';
import type { Home } from '../subjects/home';
import { namelessPrompt, subjectWords } from '../subjects/prompt';
import { readSubject, type Subject } from '../subjects/subjects';
import { presets } from '../training/presets';
import { checkSettings, type PersonalizationSettings, settingNames } from '../work/personalization-settings';
import type { SubjectPhoto } from './subject-photos';

/** What the subject's weights are; another rank or other layers would be other weights. */
const fixed = ['kind', 'rank', 'alpha', 'targetModules', 'trainTextEncoder'] as const;

/** Throws UnknownSubjectError, InvalidOptionError for a subject that has no weights to go on with. */
export function continuedSubject(home: Home, typed: string): Subject {
  const subject = readSubject(home, typed.replace(/^@/, ''));
  if (subject.kind !== 'embedding') return subject;
  throw new InvalidOptionError(
    'continueFrom',
    `@${subject.name} is an embedding, which is not gone on with: learn another subject from the photos.`,
  );
}

/** Throws InvalidOptionError where the subject would be replaced by one of another class under its own name. */
export function refuseOtherClass(subject: Subject, name: string, className: string): void {
  if (name !== subject.name || className.toLowerCase() === subject.className.toLowerCase()) return;
  throw new InvalidOptionError(
    'class',
    `The class is "${className}", and @${name} was learned as "${subject.className}": leave the class out to go on with it, or give what is learned a name of its own.`,
  );
}

/** What has the subject's words in it as they were. */
const written: readonly string[] = [
  'instancePrompt',
  'promptTemplates',
  'classPrompt',
  'classPromptTemplates',
];

/**
 * The subject's own settings with `given` over them; of another preset, that one's with the subject's kind of weights.
 * Where it gets other `words`, the prompts are those of the preset again, with them. Throws InvalidOptionError for another kind of weights than the subject has.
 */
export function continuedSettings(
  subject: Subject,
  given: PersonalizationSettings,
  words: Pick<Subject, 'identifier' | 'className'>,
): PersonalizationSettings {
  const { name, settings: stored } = subject;
  const sameWords = words.identifier === subject.identifier && words.className === subject.className;
  const own = Object.fromEntries(
    Object.entries(stored).filter(([key]) => known.has(key) && (sameWords || !written.includes(key))),
  );
  const weights = Object.fromEntries(fixed.flatMap((key) => (key in own ? [[key, own[key]]] : [])));
  const asked = given as Readonly<Record<string, unknown>>;
  for (const [key, value] of Object.entries(weights)) {
    if (asked[key] === undefined || String(asked[key]) === String(value)) continue;
    throw new InvalidOptionError(
      key,
      `${key} is ${asked[key]}: @${name} was learned with ${value}, which is what its weights are. Leave ${key} out, or learn another subject from the photos.`,
    );
  }
  return checkSettings({ ...(given.preset === undefined ? withoutName(own, name) : weights), ...given });
}

/** It may get another name, of which the prompts of its samples do not speak. */
const withoutName = (settings: Readonly<Record<string, unknown>>, name: string) => {
  const prompts = settings['samplePrompts'];
  if (!Array.isArray(prompts)) return settings;
  return { ...settings, samplePrompts: prompts.map((prompt) => namelessPrompt(String(prompt), name)) };
};

/**
 * How a subject is learned anew from its photos: by its own settings with `given` over them, its word and seed, so that
 * nothing else differs. Of another kind or preset, that one's settings alone; an embedding's word is its name, and no
 * other subject's.
 */
export function relearned(
  subject: Subject,
  given: PersonalizationSettings,
): { readonly settings: PersonalizationSettings; readonly identifier: string | null } {
  const preset = given.preset && presets[given.preset];
  const kind = given.kind ?? preset?.settings.kind ?? subject.kind;
  const identifier = kind === 'embedding' || subject.kind === 'embedding' ? null : subject.identifier;
  if (preset !== undefined || kind !== subject.kind) return { settings: given, identifier };
  const own = Object.fromEntries(Object.entries(subject.settings).filter(([key]) => known.has(key)));
  const words = subjectWords(subject);
  const unfilled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(unfilled);
    return typeof value === 'string' ? value.replaceAll(words, '{subject}') : value;
  };
  const prompts = Object.fromEntries(
    ['instancePrompt', 'promptTemplates'].flatMap((key) => (key in own ? [[key, unfilled(own[key])]] : [])),
  );
  // Another rank without another alpha keeps the LoRA's strength, and another prompt is the prompt.
  const follows = {
    ...(given.rank !== undefined && given.alpha === undefined ? { alpha: given.rank } : {}),
    ...(given.instancePrompt !== undefined ? { promptTemplates: [] } : {}),
    ...(given.classPrompt !== undefined ? { classPromptTemplates: [] } : {}),
  };
  return {
    settings: checkSettings({ ...withoutName(own, subject.name), ...prompts, ...follows, ...given }),
    identifier,
  };
}

const known: ReadonlySet<string> = new Set(settingNames);

/** The subject's own photos, then those of `more` that it does not have. Throws InvalidOptionError where there are none. */
export function continuedPhotos(
  subject: Subject,
  more: readonly SubjectPhoto[],
  onWarning: (message: string) => void,
): SubjectPhoto[] {
  const own = subject.photos.flatMap(({ file, mask, caption, ...photo }) =>
    file === undefined
      ? []
      : [
          {
            ...photo,
            // It may get another name, of which its captions do not speak.
            ...(caption === undefined ? {} : { caption: namelessPrompt(caption, subject.name) }),
            bytes: readBytes(join(subject.folder, file)),
            ...(mask === undefined ? {} : { mask: readBytes(join(subject.folder, mask)) }),
          },
        ],
  );
  const seen = new Set(own.map(({ sha256 }) => sha256));
  for (const { name } of more.filter(({ sha256 }) => seen.has(sha256)))
    onWarning(`@${subject.name} was learned from ${name} already: it counts once.`);
  const photos = [...own, ...more.filter(({ sha256 }) => !seen.has(sha256))];
  if (photos.length > 0) return photos;
  throw new InvalidOptionError(
    'photos',
    `@${subject.name} keeps no photos, having been made elsewhere or by an earlier version: give some.`,
  );
}

function readBytes(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new MissingFileError(
      file,
      `${file}, a photo that the subject was learned from, cannot be read (${(cause as Error).message}): learn it anew from the photos.`,
      { cause },
    );
  }
}
