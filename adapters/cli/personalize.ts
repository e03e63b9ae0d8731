import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PersonalizationSettings, Subject } from 'dreambooth';
import { required, WrongUse } from './failures';
import { duration } from './progress-view';
import { runFiles } from './run-files';
import { type CommonOptions, nextPicture, type Session, type WorkOptions, withEngine } from './session';

interface PersonalizeOptions extends WorkOptions {
  readonly class?: string;
  readonly continue?: string;
  readonly again?: string;
  readonly name?: string;
  readonly identifier?: string;
  readonly preset?: string;
  readonly steps?: number;
  readonly seed?: number;
  readonly prior?: string;
  readonly checkpointEvery?: number;
  readonly keep?: string;
  readonly stopWhen?: string;
  readonly set?: readonly string[];
}

export async function personalizeCommand(
  session: Session,
  photos: readonly string[],
  options: PersonalizeOptions,
): Promise<void> {
  const { name, identifier, base, vae, seed, preset, steps, prior, checkpointEvery, keep, stopWhen } =
    options;
  const { continue: continueFrom, again } = options;
  const source = continueFrom ?? again;
  if (photos.length === 0 && source === undefined) throw new WrongUse("Missing required argument 'photos'");
  const className =
    source === undefined
      ? required(options.class, '--class', 'say what the subject is, as --class dog')
      : options.class;
  const begun = Date.now();
  let job: string | null = null;
  const subject = await withEngine(session, options, (engine, { onProgress, signal }, sdk) => {
    const settings: PersonalizationSettings = sdk.checkSettings({
      ...assignments(options.set ?? []),
      ...given({ preset, steps, prior, checkpointEvery, keep, stopWhen }),
    });
    const request = {
      images: photos,
      className,
      settings,
      ...given({ name, identifier, base, vae, seed, continueFrom, again }),
    };
    return engine.personalize(request, {
      signal,
      onProgress(event) {
        if (event.kind === 'job-start') job = event.job;
        onProgress?.(event);
      },
    });
  });
  learned(session, subject, job, begun, options);
}

export async function resumeCommand(
  session: Session,
  job: string,
  options: WorkOptions & { readonly name?: string; readonly set?: readonly string[] },
): Promise<void> {
  const begun = Date.now();
  const subject = await withEngine(session, options, (engine, run, sdk) => {
    const settings = sdk.checkSettings(assignments(options.set ?? []));
    return engine.resume(job, { ...run, name: options.name, settings });
  });
  learned(session, subject, job, begun, options);
}

function learned(
  { output }: Session,
  subject: Subject,
  job: string | null,
  begun: number,
  options: CommonOptions,
): void {
  const { name, className, folder } = subject;
  const { samples } = runFiles(folder);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  output.done({ files, job, subject: name, id: subject.id, identifier: subject.identifier }, [
    `Learned @${name} (${className}) in ${duration((Date.now() - begun) / 1000)}${chosen(subject)}.`,
    ...(samples === undefined ? [] : [`Pictures drawn on the way: ${samples}`]),
    nextPicture(name, options),
  ]);
}

/** What the samples decided. */
const chosen = ({ steps, settings }: Subject) =>
  settings['keep'] === 'best' || settings['stopWhen'] === 'good'
    ? `; it has the weights of step ${steps}`
    : '';

/** `key=value` pairs; a value that reads as JSON is that, any other is text. */
export function assignments(pairs: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, text] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
      if (key === undefined || text === undefined) {
        throw new WrongUse(`--set ${pair} is no key=value: write it as --set rank=8`);
      }
      try {
        return [key.trim(), JSON.parse(text)];
      } catch {
        return [key.trim(), text];
      }
    }),
  );
}

/** Without what was not given, so that defaults stay the SDK's. */
export function given<Options extends object>(
  options: Options,
): { [Name in keyof Options]?: Exclude<Options[Name], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Name in keyof Options]?: Exclude<Options[Name], undefined> };
}
