/** Looking at jobs, ending them, and going on with them. */
import { z } from 'zod';
import { JobStateError } from '../errors';
import { isOpen, type JobRecord, jobStates } from '../jobs/job-record';
import { cancelJob as cancel, holdJob, removeJob } from '../jobs/jobs';
import { keepForJob, reserveForJob } from '../jobs/name-reservation';
import { nextTurn } from '../jobs/turns';
import type { Home } from '../subjects/home';
import { isSubjectOf } from '../subjects/subjects';
import { longestWait } from './generate';
import { jobView, sayJob, viewJob, viewJobs, waitForJob } from './job-view';
import { checkOpenJobs } from './limits';
import { defineOperation } from './operation';
import { findJob, visibleJobs } from './rights';

const id = z.string().min(1).max(80).describe('The job\'s id, as "rex-1f3a"');

export const getJob = defineOperation({
  name: 'getJob',
  title: 'Look at a job',
  words:
    'How far a job is: waiting, running with step and time left, done with what it made, or failed with the reason. With waitSeconds it answers when the job ends, or after that time.',
  effect: 'reads',
  hosts: { cli: 'jobs show', mcp: 'get_job', discord: false },
  input: z.object({
    job: id,
    waitSeconds: z
      .int()
      .min(0)
      .max(longestWait)
      .optional()
      .describe(`How long to wait for its end, at most ${longestWait}; default 0`),
  }),
  result: jobView,
  example: { job: 'rex-1f3a', waitSeconds: 30 },
  say: sayJob,
  async run(context, { job, waitSeconds = 0 }) {
    const { home, jobs, caller } = context;
    findJob(jobs, caller, job);
    return viewJob(home, jobs, await waitForJob(() => findJob(jobs, caller, job), waitSeconds, context));
  },
});

export const listJobs = defineOperation({
  name: 'listJobs',
  title: 'List jobs',
  words: 'Jobs of the caller, the newest first: what waits, what runs, what was made.',
  effect: 'reads',
  hosts: { cli: 'jobs list', mcp: 'list_jobs', discord: 'jobs' },
  input: z.object({
    state: z.enum(jobStates).optional().describe('Only jobs in this state'),
    limit: z.int().min(1).max(200).optional().describe('At most so many; default 20'),
  }),
  result: z.object({ jobs: z.array(jobView), total: z.int().describe('How many there are in all') }),
  example: { state: 'running' },
  say: ({ jobs }) => (jobs.length === 0 ? 'There are no jobs.' : jobs.map(sayJob).join('\n')),
  async run({ home, jobs, caller }, { state, limit = 20 }) {
    const found = visibleJobs(jobs, caller).filter((job) => state === undefined || job.state === state);
    const shown = found.slice(-limit).reverse();
    return { jobs: viewJobs(home, jobs, shown), total: found.length };
  },
});

export const cancelJob = defineOperation({
  name: 'cancelJob',
  title: 'Cancel a job',
  words: 'Ends a job that waits or runs, and removes what it has half made. It cannot be gone on with.',
  effect: 'deletes',
  hosts: { cli: 'jobs cancel', mcp: 'cancel_job', discord: 'cancel' },
  input: z.object({ job: id }),
  result: jobView,
  example: { job: 'rex-1f3a' },
  say: sayJob,
  async run({ home, jobs, queue, caller }, { job }) {
    findJob(jobs, caller, job);
    const cancelled = await cancel(home, job);
    await queue.remove(job);
    return viewJob(home, jobs, cancelled);
  },
});

export const resumeJob = defineOperation({
  name: 'resumeJob',
  title: 'Go on with a job',
  words:
    'Puts a job that was stopped or has failed in line again; a training goes on from its last checkpoint.',
  effect: 'makes',
  hosts: { cli: 'resume', mcp: 'resume_job', discord: 'resume' },
  input: z.object({ job: id }),
  result: jobView,
  example: { job: 'rex-1f3a' },
  say: sayJob,
  async run(context, { job: given }) {
    const { home, jobs, queue, caller, limits, replyTo } = context;
    const job = findJob(jobs, caller, given);
    if (isOpen(job)) throw new JobStateError(given, job.state, `The job ${given} is ${job.state} already.`);
    // It is its owner's, whoever has it gone on with.
    checkOpenJobs(limits, jobs, { id: job.owner, scope: job.scope, role: caller.role });
    keepName(home, job);
    const held = holdJob(home, given);
    try {
      held.update({
        state: 'queued',
        attended: false,
        error: null,
        // Its old turn has gone by: with that it would overtake all who wait, as would whoever comes next.
        turn: nextTurn(jobs.list(), job.owner),
        replyTo: replyTo ?? job.replyTo,
      });
    } finally {
      held.release();
    }
    await queue.add(given);
    return viewJob(home, jobs, findJob(jobs, caller, given));
  },
});

/** The name that a job learns, against all others until its turn comes. Throws NameTakenError. */
function keepName(home: Home, job: JobRecord): void {
  // Of one that has made its subject and could not say so, the name is the subject's.
  if (job.kind !== 'personalize' || isSubjectOf(home, job.name, job.id)) return;
  const reservation = reserveForJob(home, job.name, job);
  try {
    keepForJob(home, job.name, job.id);
  } finally {
    reservation.release();
  }
}

export const deleteJob = defineOperation({
  name: 'deleteJob',
  title: 'Delete a job',
  words: 'Removes a job that has ended and the pictures that it drew; what it learned stays.',
  effect: 'deletes',
  hosts: { cli: 'jobs delete', mcp: false, discord: false },
  input: z.object({ job: id }),
  result: z.object({ job: z.string(), deleted: z.boolean() }),
  example: { job: 'draw-1f3a' },
  say: ({ job }) => `The job ${job} is gone.`,
  async run({ home, jobs, caller }, { job: given }) {
    const job = findJob(jobs, caller, given);
    if (isOpen(job))
      throw new JobStateError(given, job.state, `The job ${given} is ${job.state}: cancel it first.`);
    removeJob(home, given);
    return { job: given, deleted: true };
  },
});
