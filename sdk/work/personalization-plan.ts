/** What a personalisation will do, of what was asked for and what the base is: all that can be said before anything is read. */
import { InvalidOptionError, UnsupportedModelError, WrongBaseError } from '../errors';
import { photoScenePrompts, toyScenePrompts } from '../evaluation/scene-prompts';
import { inpaints } from '../models/base-model';
import { type AddedToken, checkClipSkip } from '../models/text-condition';
import type { Random } from '../random';
import { embeddingToken } from '../subjects/embedding-subject';
import { fillPrompt } from '../subjects/prompt';
import type { SettingValue } from '../subjects/subjects';
import { checkClassName, checkIdentifier, chooseIdentifier } from '../tokenizers/identifier';
import { effectiveSettings, type PresetName, type TrainingSettings } from '../training/presets';
import { checkTraining } from '../training/train-dreambooth';
import { latentSize, type OpenedBase, usualSide } from './loaded-base';
import type { PersonalizationJob } from './personalization-job';
import type { EncoderFile } from './picture-encoder';
import type { RecipeChosen } from './progress';
import { isScored, oracleIn, scoringEncoders } from './scoring-encoders';
import { trainedBytes } from './trained-weights';
import { type SampledSubject, type Samples, samplePrompts } from './training-samples';

export interface PersonalizationPlan {
  readonly settings: TrainingSettings;
  readonly subject: SampledSubject;
  /** For the text encoder. */
  readonly prompts: {
    readonly instance: string;
    /** Of the photos: the templates, else `instance`. */
    readonly photos: readonly string[];
    /** Of the class, likewise. */
    readonly classes: readonly string[];
  };
  /** The word that an embedding is. */
  readonly added: readonly AddedToken[];
  /** Pixels of a square, or of a picture of another shape with its area. */
  readonly side: number;
  readonly samples: Samples;
  /** What scores them; empty: nothing is decided by them. */
  readonly scoring: readonly EncoderFile[];
  /** All settings in effect, as a subject remembers them. */
  readonly inEffect: Readonly<Record<string, SettingValue>>;
  /** What is told of it before the work begins. */
  readonly recipe: Omit<RecipeChosen, 'kind'>;
}

/**
 * `random` names the subject where that is left to it. Throws UnsupportedModelError, WrongBaseError, and
 * InvalidOptionError for what fits neither each other nor the base.
 */
export function planPersonalization(
  job: PersonalizationJob,
  opened: OpenedBase,
  random: Random,
  onWarning: (message: string) => void,
): PersonalizationPlan {
  const { base } = opened;
  if (inpaints(base)) {
    throw new UnsupportedModelError(
      `${base.directory} is an inpainting model, which learns from masked pictures; subjects are not learned on one. Learn on the model that it was made from.`,
    );
  }
  if (job.start !== null && job.start.baseFingerprint !== opened.fingerprint) {
    throw new WrongBaseError(
      job.name,
      `What is gone on with was learned on another base model than ${job.basePath}: leave --base out, or name the folder where that one is now.`,
    );
  }
  const usualPreset = job.settings.kind === 'embedding' ? 'textual-inversion' : opened.defaults.preset;
  const { preset = usualPreset, ...given } = job.settings;
  const settings = sampledSettings(effectiveSettings(preset, given as Partial<TrainingSettings>), job);
  checkClipSkip(base, settings.clipSkip);
  for (const warning of checkClassName(base.tokenizer, job.className)) onWarning(warning);
  const { kind } = settings;
  if (kind === 'embedding' && job.identifier !== null) {
    throw new InvalidOptionError(
      'identifier',
      `identifier is "${job.identifier}": an embedding is a word of its own, ${embeddingToken(job.name)}. Leave it out.`,
    );
  }
  const rareWord = () =>
    settings.rareIdentifier
      ? chooseIdentifier(base.tokenizer, job.className, random, job.usedIdentifiers)
      : '';
  const identifier = kind === 'embedding' ? embeddingToken(job.name) : (job.identifier ?? rareWord());
  if (job.identifier !== null && identifier !== '')
    for (const warning of checkIdentifier(base.tokenizer, identifier)) onWarning(warning);
  checkTraining(base, settings);
  if (settings.zeroTerminalSnr && settings.snrGamma > 0) {
    onWarning(
      'snrGamma takes nearly all weight from the noisiest pictures, which zeroTerminalSnr adds: use one of the two.',
    );
  }
  const side = settings.resolution ?? usualSide(base);
  latentSize(base, { resolution: side });
  const subject = { name: job.name, className: job.className, identifier, kind };
  const filled = {
    instancePrompt: fillPrompt(settings.instancePrompt, subject),
    promptTemplates: settings.promptTemplates.map((template) => fillPrompt(template, subject)),
    classPrompt: fillPrompt(settings.classPrompt, subject),
    classPromptTemplates: settings.classPromptTemplates.map((template) => fillPrompt(template, subject)),
  };
  const { instancePrompt, promptTemplates, classPrompt, classPromptTemplates } = filled;
  const prompts = {
    instance: instancePrompt,
    photos: promptTemplates.length > 0 ? promptTemplates : [instancePrompt],
    classes: classPromptTemplates.length > 0 ? classPromptTemplates : [classPrompt],
  };
  const added = kind === 'embedding' ? [{ token: identifier, vectors: settings.vectors }] : [];
  if (settings.prior !== 'none' && prompts.classes.includes(instancePrompt)) {
    onWarning(
      `"${instancePrompt}" is the prompt of the photos and of what is to stay as it is: the two pull against each other. Set prior to none, or give an identifier.`,
    );
  }
  const inEffect = {
    ...settings,
    preset,
    rareIdentifier: identifier !== '',
    resolution: side,
    ...filled,
  };
  const usual = effectiveSettings(preset, {});
  const changed = Object.entries(settings).filter(
    ([name, value]) => String(value) !== String(usual[name as keyof TrainingSettings]),
  );
  return {
    settings,
    subject,
    prompts,
    added,
    side,
    samples: {
      prompts: samplePrompts(settings, subject),
      classPrompts: samplePrompts(settings, { name: job.name, className: job.className, identifier: '' }),
      token: identifier,
      side,
      seed: job.seed,
    },
    scoring: scoringEncoders(settings, job.basePath),
    inEffect,
    recipe: {
      preset: preset as PresetName,
      settings: inEffect,
      changed: changed.map(([name]) => name),
      bytes: trainedBytes(base, settings),
    },
  };
}

/** Steps between samples, where weights are kept or chosen by them and nobody says. */
const sampledEvery = 100;
/** Scenes of a sample, likewise: few, since a large base takes as long to draw them as for some dozen steps. */
const scoredScenes = 4;

/** With samples, where something hangs on them; with such as tell something, where they are scored. */
function sampledSettings(settings: TrainingSettings, job: PersonalizationJob): TrainingSettings {
  if (settings.keep === 'last' && !isScored(settings)) return settings;
  const sampled = { ...settings, sampleEvery: settings.sampleEvery || sampledEvery };
  if (!isScored(settings)) return sampled;
  const scenes = oracleIn(job.basePath) ? toyScenePrompts : photoScenePrompts;
  return {
    ...sampled,
    ...(job.settings.samplePrompts === undefined ? { samplePrompts: scenes.slice(0, scoredScenes) } : {}),
  };
}
