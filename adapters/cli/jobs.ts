import { join } from 'node:path';
import type { JobRecord } from 'dreambooth';
import { runFileLines, runFiles } from './run-files';
import { type CommonOptions, homeArgument, type Session } from './session';

export async function listCommand({ loadSdk, output }: Session, options: CommonOptions): Promise<void> {
  const sdk = await loadSdk();
  const jobs = sdk.listJobs(sdk.openHome(options.home));
  const width = Math.max(0, ...jobs.map(({ id }) => id.length));
  for (const job of jobs) output.row(row(job), line(job, width));
  if (jobs.length === 0) output.say('There are no jobs yet: dreambooth personalize makes them.');
}

export async function showCommand(
  { loadSdk, output }: Session,
  id: string,
  options: CommonOptions,
): Promise<void> {
  const sdk = await loadSdk();
  const home = sdk.openHome(options.home);
  const job = sdk.readJob(home, id);
  const learned = job.state === 'done' && job.kind === 'personalize';
  const files = runFiles(learned ? join(home.subjects, job.name) : join(home.jobs, id));
  // What a caller got wrong stays wrong in the job's own copy.
  const hopeless = ['invalid-option', 'unreadable-image'].includes(job.error?.code ?? '');
  const canResume =
    job.kind === 'personalize' && (job.state === 'stopped' || (job.state === 'failed' && !hopeless));
  const lines = [
    line(job, 0),
    job.kind === 'personalize'
      ? `  class ${job.className}, base ${job.base}, seed ${job.seed}, ${job.photos.length} photos`
      : `  "${job.prompt}", ${job.count} from seed ${job.seed}`,
    `  made ${job.createdAt}, last seen ${job.updatedAt}`,
    ...runFileLines(files),
    ...(job.error === null ? [] : [`  ${job.error.code}: ${job.error.message}`]),
    ...(canResume ? [`  Go on with: dreambooth resume ${job.id}${homeArgument(options)}`] : []),
  ];
  output.row({ ...row(job), ...files }, lines.join('\n'));
}

export async function cancelCommand(
  { loadSdk, output }: Session,
  id: string,
  options: CommonOptions,
): Promise<void> {
  const sdk = await loadSdk();
  output.started(id);
  const job = await sdk.cancelJob(sdk.openHome(options.home), id);
  const subject = job.kind === 'personalize' ? { subject: job.name } : {};
  output.done({ files: [], job: id, ...subject, state: job.state }, [`The job ${id} is ${job.state}.`]);
}

function row(job: JobRecord): object {
  if (job.kind === 'generate') return job;
  const { usedIdentifiers: _, ...shown } = job;
  return shown;
}

function line(job: JobRecord, width: number): string {
  const { id, state, progress } = job;
  const at = progress === null ? '' : `  ${progress.phase} ${progress.step}/${progress.steps}`;
  const what = job.kind === 'personalize' ? `@${job.name}` : `"${job.prompt}"`;
  return `${id.padEnd(width)}  ${state.padEnd(9)}  ${what}${at}`;
}
