/** A job as hosts show it: without what concerns nobody, with what to do next. */
import { join } from 'node:path';
import { z } from 'zod';
import { isOpen, type JobRecord, jobStates } from '../jobs/job-record';
import { type JobIndex, jobFolder } from '../jobs/jobs';
import { waitingLine } from '../jobs/turns';
import type { Home } from '../subjects/home';
import type { OperationContext } from './operation';

export const pictureView = z.object({
  picture: z.string().describe('The picture\'s id, as "draw-1f3a.1"'),
  path: z.string().describe('Where the PNG file is on the machine that drew it'),
  seed: z.number().int(),
  width: z.number().int(),
  height: z.number().int(),
});

export const jobView = z.object({
  job: z.string().describe('The id, as "rex-1f3a"'),
  kind: z.enum(['personalize', 'generate']),
  state: z.enum(jobStates),
  subject: z
    .string()
    .nullable()
    .describe('The name of the subject that is learned; null: pictures are drawn'),
  prompt: z.string().nullable().describe('What is drawn'),
  ahead: z.number().int().nullable().describe('How many jobs run before it; null: it does not wait'),
  phase: z.string().nullable().describe('What is being done, as "train"'),
  step: z.number().int().nullable(),
  steps: z.number().int().nullable(),
  loss: z.number().nullable(),
  secondsLeft: z.number().nullable().describe('To the end of this phase'),
  pictures: z.array(pictureView),
  warnings: z.array(z.string()),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type JobView = z.infer<typeof jobView>;

/** How many jobs run before each that waits, or beside each that has just begun, by their ids. */
export type Places = ReadonlyMap<string, number>;

export function placesOf(jobs: JobIndex): Places {
  const all = jobs.list();
  const running = all.filter(({ state }) => state === 'running');
  return new Map([
    ...running.map(({ id }) => [id, running.length - 1] as const),
    ...waitingLine(all).map(({ id }, i) => [id, running.length + i] as const),
  ]);
}

export const viewJob = (home: Home, jobs: JobIndex, job: JobRecord): JobView =>
  viewInLine(home, job, () => placesOf(jobs));

/** Several at once: the line is looked at once, not once a job. */
export function viewJobs(home: Home, jobs: JobIndex, shown: readonly JobRecord[]): JobView[] {
  let places: Places | undefined;
  return shown.map((job) =>
    viewInLine(home, job, () => {
      places ??= placesOf(jobs);
      return places;
    }),
  );
}

/** `places` is asked of jobs that wait alone. */
export function viewInLine(home: Home, job: JobRecord, places: (job: string) => Places): JobView {
  const { progress } = job;
  return {
    job: job.id,
    kind: job.kind,
    state: job.state,
    subject: job.kind === 'personalize' ? job.name : null,
    prompt: job.kind === 'generate' ? job.prompt : null,
    ahead: job.state === 'queued' ? (places(job.id).get(job.id) ?? 0) : null,
    phase: progress?.phase ?? null,
    step: progress?.step ?? null,
    steps: progress?.steps ?? null,
    loss: progress?.loss ?? null,
    secondsLeft: progress?.secondsLeft ?? null,
    pictures:
      job.kind === 'personalize'
        ? []
        : job.pictures.map(({ id, file, seed, width, height }) => ({
            picture: id,
            path: join(jobFolder(home, job.id), file),
            seed,
            width,
            height,
          })),
    warnings: job.warnings,
    error: job.error,
    createdAt: job.createdAt,
    updatedAt: job.updatedAt,
  };
}

/** One line, as "rex-1f3a: train 120/400, 3 min left". */
export function sayJob({
  job,
  kind,
  state,
  subject,
  ahead,
  phase,
  step,
  steps,
  secondsLeft,
  pictures,
  error,
  warnings,
}: JobView): string {
  const what = kind === 'personalize' ? `learning @${subject}` : 'drawing';
  const left = secondsLeft === null ? '' : `, ${wordsFor(secondsLeft)} left of this`;
  const told: Record<JobView['state'], string> = {
    queued: ahead === 0 ? `${what} begins in a moment` : `${what} waits, ${ahead} before it`,
    running: phase === null ? `${what} begins` : `${what}: ${phase} ${step}/${steps}${left}`,
    done:
      kind === 'personalize'
        ? `@${subject} is learned: write @${subject} in a prompt to draw it`
        : pictures.map(({ picture, path }) => `${picture} ${path}`).join(', '),
    stopped: `${what} was stopped; it can be resumed`,
    failed: `${what} failed (${error?.code}): ${error?.message}`,
    cancelled: `${what} was cancelled`,
  };
  return [`${job}: ${told[state]}`, ...warnings.map((warning) => `Warning: ${warning}`)].join('\n');
}

const wordsFor = (seconds: number) =>
  seconds < 90
    ? `${Math.round(seconds)} s`
    : seconds < 5400
      ? `${Math.round(seconds / 60)} min`
      : `${(seconds / 3600).toFixed(1)} h`;

/** Waits until the job has ended or `seconds` have gone, and returns it as it stands. */
export async function waitForJob(
  find: () => JobRecord,
  seconds: number,
  { signal, onWait }: Pick<OperationContext, 'signal' | 'onWait'>,
): Promise<JobRecord> {
  const until = Date.now() + seconds * 1000;
  const waits = new AbortController();
  let told = false;
  try {
    for (;;) {
      const job = find();
      if (!isOpen(job) || Date.now() >= until || signal.aborted) return job;
      if (!told) onWait(job.id, waits.signal);
      told = true;
      await new Promise((resolve) => setTimeout(resolve, Math.min(250, until - Date.now())));
    }
  } finally {
    waits.abort();
  }
}
