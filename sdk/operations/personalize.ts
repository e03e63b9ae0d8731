import { z } from 'zod';
import { ConsentMissingError, InvalidOptionError } from '../errors';
import { presetNames } from '../training/presets';
import { checkSettings } from '../work/personalization-settings';
import { childWords, personWords } from './consent';
import { jobView, sayJob, viewJob } from './job-view';
import { checkLimits } from './limits';
import { defineOperation } from './operation';
import { placed } from './placed';

export const consentWords =
  'I took these photos or may use them, and whoever is to be seen in them agrees that pictures of them are made.';

export const personalize = defineOperation({
  name: 'personalize',
  title: 'Learn a subject',
  words:
    'Learns a subject (a pet, a toy, a person…) from 3 to 6 photos of it, so that it can be drawn in any scene. Answers at once with a job, which takes minutes to hours: look at it with the job operation until it is done, then write @name in a prompt.',
  effect: 'makes',
  hosts: { cli: 'personalize', mcp: 'personalize_subject', discord: 'train' },
  input: z.object({
    photos: z
      .array(z.string().min(1).max(4096))
      .min(1)
      .max(20)
      .meta({ picture: true })
      .describe(
        'Paths of 1 to 20 photos that show the subject, 3 to 6 are best: absolute paths of image files, or of a folder that holds them',
      ),
    class: z.string().trim().min(1).max(60).describe('The noun for what it is, as "dog" or "toy car"'),
    name: z
      .string()
      .max(40)
      .optional()
      .describe(
        'How prompts will call it, as "rex" for @rex: small letters and digits; default: the class and a number',
      ),
    consent: z
      .boolean()
      .optional()
      .describe(`Whether the user affirmed: "${consentWords}" Ask them; it is needed for people.`),
    preset: z
      .enum(presetNames)
      .optional()
      .describe('A named set of training settings; default: by the base model'),
    steps: z.int().min(1).max(100_000).optional().describe('Training steps; default: as the preset says'),
    seed: z
      .int()
      .min(0)
      .max(2 ** 31)
      .optional()
      .describe('Makes the training repeatable'),
    base: z
      .string()
      .max(4096)
      .optional()
      .describe('The base model: a path, a hub id, or "toybox"; default: the host\'s'),
  }),
  result: jobView,
  example: {
    photos: ['/photos/rex-1.jpg', '/photos/rex-2.jpg', '/photos/rex-3.jpg'],
    class: 'dog',
    name: 'rex',
    consent: true,
  },
  say: sayJob,
  async run(context, { photos, class: className, consent, preset, steps, base, ...rest }) {
    const { home, jobs, queue, caller, defaults, limits, files } = context;
    refuseWithoutConsent(className, consent === true, caller.host);
    const images = photos.map((path) => files.pictures('photos', path));
    if (base !== undefined && caller.role !== 'operator') {
      throw new InvalidOptionError(
        'base',
        'base: which base model is used is for whoever runs this host to say.',
      );
    }
    const place = () => {
      checkLimits(limits, jobs, caller, { kind: 'personalize' });
      return placed(jobs, context);
    };
    place();
    const { queuePersonalization } = await import('../jobs/personalization');
    const job = await queuePersonalization(
      home,
      {
        images,
        className,
        settings: checkSettings({ ...(preset && { preset }), ...(steps && { steps }) }),
        ...(base === undefined ? {} : { base }),
        ...(rest.name === undefined ? {} : { name: rest.name.replace(/^@/, '') }),
        ...(rest.seed === undefined ? {} : { seed: rest.seed }),
        consent:
          consent === true ? { by: caller.id, at: new Date().toISOString(), words: consentWords } : null,
      },
      defaults,
      // Once more when the photos are read: others may have come meanwhile.
      place,
    );
    await queue.add(job.id);
    return viewJob(home, jobs, job);
  },
});

/** Whoever sits at the machine answers for their own photos. Throws ConsentMissingError. */
function refuseWithoutConsent(className: string, given: boolean, host: string): void {
  if (host === 'cli' || host === 'library') return;
  const words = className.toLowerCase().split(/[^\p{L}]+/u);
  if (host === 'discord' && words.some((word) => childWords.has(word))) {
    throw new ConsentMissingError(`Children are not learned here (class "${className}").`);
  }
  if (given || !words.some((word) => personWords.has(word) || childWords.has(word))) return;
  throw new ConsentMissingError(
    `class is "${className}", a person: ask the user to affirm "${consentWords}", then say consent: true.`,
  );
}
