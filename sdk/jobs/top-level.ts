/** The two calls that most programs need, on an engine that starts with the first of them. */
import { InvalidOptionError } from '../errors';
import { type Home, openHome } from '../subjects/home';
import type { Subject } from '../subjects/subjects';
import { checkSettings, type PersonalizationSettings } from '../work/personalization-settings';
import { createEngine, type Engine } from './engine';
import type { GeneratedImage, GenerateRequest, GenerateRunOptions } from './generation';
import type { PersonalizationRequest, ResumeChanges } from './personalization';
import type { RunOptions } from './run-options';
import type { SubjectImage } from './subject-photos';

/** What `personalize` takes beside settings: a misspelt word may be one of these, too. */
const optionNames = [
  'name',
  'identifier',
  'base',
  'vae',
  'seed',
  'continueFrom',
  'again',
  'onProgress',
  'signal',
  'engine',
  'home',
] as const;

interface EngineChoice {
  /** An engine of your own, or which kind of default one; default `process`. */
  readonly engine?: Engine | 'process' | 'in-process';
  /** Holds subjects, jobs and caches; default `$DREAMBOOTH_HOME`, then the platform's folder. Not with `engine`. */
  readonly home?: string;
}

export type PersonalizeOptions = Omit<PersonalizationRequest, 'images' | 'className' | 'settings'> &
  PersonalizationSettings &
  RunOptions &
  EngineChoice;

export type GenerateOptions = Omit<GenerateRequest, 'prompt'> & GenerateRunOptions & EngineChoice;

/**
 * Learns a subject from 1 to 20 photos (3 to 6 recommended; files, folders or bytes) and the noun for what it is.
 * It can be drawn ever after as `@name`. Stopped or broken off, the job goes on with `resumeJob`. Rejects with a
 * DreamBoothError whose `code` says what to do; see `Engine.personalize`.
 */
export async function personalize(
  subjectImages: readonly SubjectImage[],
  className: string | undefined,
  options: PersonalizeOptions = {},
): Promise<Subject> {
  const {
    name,
    identifier,
    base,
    vae,
    seed,
    continueFrom,
    again,
    onProgress,
    signal,
    engine,
    home,
    ...settings
  } = options;
  if ('settings' in settings) {
    throw new InvalidOptionError(
      'settings',
      'Settings are given directly here, beside the name: personalize(photos, "dog", { name: "rex", steps: 400 }). Under `settings` they go to engine.personalize.',
    );
  }
  const request = {
    images: subjectImages,
    className,
    settings: checkSettings(settings, optionNames),
    ...(name === undefined ? {} : { name }),
    ...(identifier === undefined ? {} : { identifier }),
    ...(base === undefined ? {} : { base }),
    ...(vae === undefined ? {} : { vae }),
    ...(seed === undefined ? {} : { seed }),
    ...(continueFrom === undefined ? {} : { continueFrom }),
    ...(again === undefined ? {} : { again }),
  };
  return chooseEngine(engine, home).personalize(request, { onProgress, signal });
}

/** Goes on with a job that was stopped, crashed or failed, to the same bits as one that never stopped. */
export async function resumeJob(
  job: string,
  options: RunOptions & ResumeChanges & EngineChoice = {},
): Promise<Subject> {
  const { engine, home, ...run } = options;
  return chooseEngine(engine, home).resume(job, run);
}

/**
 * Draws a prompt in which `@name` stands for a learned subject: `count` pictures, default 1, of 64 pixels a side with
 * the embedded base model. Rejects with a DreamBoothError; see `Engine.generate`.
 */
export async function generate(prompt: string, options: GenerateOptions = {}): Promise<GeneratedImage[]> {
  const { onProgress, onImage, signal, engine, home, ...request } = options;
  return chooseEngine(engine, home).generate({ prompt, ...request }, { onProgress, onImage, signal });
}

/** The engines behind these calls, by kind and home: the package's only state. */
const defaults = new Map<string, Engine>();

function chooseEngine(engine: EngineChoice['engine'] = 'process', home: string | undefined): Engine {
  if (typeof engine !== 'string') return engine;
  const place: Home = openHome(home);
  const key = `${engine}:${place.folder}`;
  const chosen = defaults.get(key) ?? createEngine({ mode: engine, home: place.folder });
  defaults.set(key, chosen);
  return chosen;
}
