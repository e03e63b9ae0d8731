import { join } from 'node:path';
import type { JobRecord } from 'dreambooth';
import { runFileLines, runFiles } from './run-files';
import { type CommonOptions, homeArgument, type Session } from './session';

export async function listCommand({ loadSdk, output }: Session, options: CommonOptions): Promise<void> {
  const sdk = await loadSdk();
  const jobs = sdk.listJobs(sdk.openHome(options.home));
  for (const job of jobs) output.row(row(job), line(job));
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
  const files = runFiles(job.state === 'done' ? join(home.subjects, job.name) : join(home.jobs, id));
  // What a caller got wrong stays wrong in the job's own copy.
  const hopeless = ['invalid-option', 'unreadable-image'].includes(job.error?.code ?? '');
  const canResume = job.state === 'stopped' || (job.state === 'failed' && !hopeless);
  const lines = [
    line(job),
    `  class ${job.className}, base ${job.base}, seed ${job.seed}, ${job.photos.length} photos`,
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
  const { name, state } = await sdk.cancelJob(sdk.openHome(options.home), id);
  output.done({ files: [], job: id, subject: name, state }, [`The job ${id} is ${state}.`]);
}

function row({ usedIdentifiers: _, ...job }: JobRecord): object {
  return job;
}

function line({ id, state, name, progress }: JobRecord): string {
  const at = progress === null ? '' : `  ${progress.phase} ${progress.step}/${progress.steps}`;
  return `${id.padEnd(20)} ${state.padEnd(10)} @${name}${at}`;
}
