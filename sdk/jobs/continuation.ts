/** Going on with a finished subject: what a new job takes over from it, where the caller says nothing else. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidOptionError, MissingFileError } from '../errors';
import type { Home } from '../subjects/home';
import { readSubject, type Subject } from '../subjects/subjects';
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
const written: readonly string[] = ['instancePrompt', 'promptTemplates', 'classPrompt'];

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
  return checkSettings({ ...(given.preset === undefined ? own : weights), ...given });
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
            ...(caption === undefined ? {} : { caption }),
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
    `@${subject.name} keeps no photos, having been made elsewhere or by an earlier version: give some to go on with.`,
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
