import { z } from 'zod';
import { JobStateError } from '../errors';
import { schedulerNames } from '../schedulers/index';
import { mentionedNames } from '../subjects/prompt';
import { jobView, sayJob, viewJob, waitForJob } from './job-view';
import { checkLimits } from './limits';
import { defineOperation } from './operation';
import { placed } from './placed';
import { findJob, findSubject } from './rights';

/** Clients give up after 60 s. */
export const longestWait = 45;

export const generate = defineOperation({
  name: 'generate',
  title: 'Draw pictures',
  words:
    'Draws a prompt in which @name stands for a learned subject, as "a photo of @rex in the snow". Answers with the pictures if they are made within waitSeconds, else with a job to look at.',
  effect: 'makes',
  hosts: { cli: 'generate', mcp: 'generate_image', discord: 'imagine' },
  input: z.object({
    prompt: z.string().trim().min(1).max(2000).describe('What to draw, as "a photo of @rex in the snow"'),
    subject: z
      .string()
      .max(41)
      .optional()
      .describe(
        'A learned subject that the prompt does not mention by itself; it is put in front of the prompt',
      ),
    count: z.int().min(1).max(8).optional().describe('How many pictures; default 1'),
    seed: z
      .int()
      .min(0)
      .max(2 ** 31)
      .optional()
      .describe('The same seed makes the same picture; default: random'),
    negativePrompt: z.string().max(2000).optional().describe('What the picture should not show'),
    width: z.int().min(64).max(2048).optional().describe("In pixels; default: the base model's usual size"),
    height: z.int().min(64).max(2048).optional().describe('In pixels'),
    steps: z.int().min(1).max(200).optional().describe('Sampling steps; default 30'),
    guidance: z.number().min(0).max(50).optional().describe('How closely to follow the prompt; default 7.5'),
    scheduler: z.enum(schedulerNames).optional().describe('The sampler'),
    image: z
      .string()
      .max(4096)
      .optional()
      .meta({ picture: true })
      .describe('Absolute path of a photo to begin from'),
    mask: z
      .string()
      .max(4096)
      .optional()
      .meta({ picture: true })
      .describe('Absolute path of a picture of its shape, white where to draw anew'),
    strength: z
      .number()
      .min(0.01)
      .max(1)
      .optional()
      .describe('How much of the photo changes; default 0.8, with a mask 1'),
    waitSeconds: z
      .int()
      .min(0)
      .max(longestWait)
      .optional()
      .describe(`How long to wait for the pictures, at most ${longestWait}; default 30`),
  }),
  result: jobView,
  example: { prompt: 'a photo of @rex in the snow', count: 2, seed: 42 },
  say: sayJob,
  async run(context, { prompt: typed, subject, guidance, image, mask, waitSeconds = 30, ...rest }) {
    const { home, jobs, queue, caller, defaults, limits, files } = context;
    const named = subject === undefined ? null : findSubject(home, caller, subject).name;
    const prompt =
      named === null || mentionedNames(typed).includes(named) ? typed : `a photo of @${named}, ${typed}`;
    for (const name of [...mentionedNames(prompt), ...mentionedNames(rest.negativePrompt ?? '')])
      findSubject(home, caller, name);
    const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    const { queueDrawing } = await import('../jobs/drawing');
    // Nothing is waited for from here until the job is there, or two at once would both be within the limits.
    checkLimits(limits, jobs, caller, { kind: 'generate', pictures: rest.count ?? 1 });
    const job = queueDrawing(
      home,
      {
        prompt,
        ...given,
        ...(guidance === undefined ? {} : { guidanceScale: guidance }),
        ...(image === undefined ? {} : { image: files.picture('image', image) }),
        ...(mask === undefined ? {} : { mask: files.picture('mask', mask) }),
      },
      defaults,
      placed(jobs, context),
    );
    await queue.add(job.id);
    return viewJob(home, jobs, await waitForJob(() => findJob(jobs, caller, job.id), waitSeconds, context));
  },
});

export const drawAgain = defineOperation({
  name: 'drawAgain',
  title: 'Draw again',
  words: 'Draws what a job drew once more, with another seed: the same prompt, photo and settings.',
  effect: 'makes',
  hosts: { cli: false, mcp: false, discord: false },
  input: z.object({
    job: z.string().min(1).max(80).describe('The id of a job that drew, as "draw-1f3a"'),
    count: z.int().min(1).max(8).optional().describe('How many pictures; default: as many'),
  }),
  result: jobView,
  example: { job: 'draw-1f3a', count: 4 },
  say: sayJob,
  async run(context, { job: id, count }) {
    const { home, jobs, queue, caller, defaults, limits } = context;
    const job = findJob(jobs, caller, id);
    if (job.kind !== 'generate')
      throw new JobStateError(id, job.state, `The job ${id} learns a subject and draws nothing.`);
    const wanted = count ?? job.count;
    const { queueDrawing, requestAgain } = await import('../jobs/drawing');
    const request = requestAgain(home, job, wanted);
    for (const name of [...mentionedNames(request.prompt), ...mentionedNames(request.negativePrompt ?? '')])
      findSubject(home, caller, name);
    checkLimits(limits, jobs, caller, { kind: 'generate', pictures: wanted });
    const again = queueDrawing(home, request, defaults, placed(jobs, context));
    await queue.add(again.id);
    return viewJob(home, jobs, again);
  },
});
