import type { JobView, ProgressEvent } from 'dreambooth';
import { type HostCommandOptions, hostOptions } from './host-options';
import type { Session } from './session';

/** Runs jobs that hosts put in line, until it is interrupted. */
export async function workerCommand(session: Session, options: HostCommandOptions): Promise<void> {
  const { loadSdk, onInterrupt, output, stderr } = session;
  const sdk = await loadSdk();
  let running: string | null = null;
  const onProgress = (job: string, event: ProgressEvent) => {
    if (job !== running) {
      if (output.json) output.started(job);
      else output.say(`Job ${job}`);
    }
    running = job;
    if (event.kind !== 'job-start') output.progress(event);
  };
  const onJobEnd = (job: JobView) => {
    running = null;
    output.endProgress();
    output.row({ event: 'ended', ...job }, sdk.sayJob(job));
  };
  const host = sdk.createHost({ ...(await hostOptions(sdk, options, true)), onProgress, onJobEnd });
  const interrupted = new Promise<() => void>((resolve) => {
    const stopListening = onInterrupt(() => resolve(stopListening));
  });
  try {
    stderr.write(
      `Waiting for jobs, home ${host.home.folder}; Ctrl-C ends it, and a running job goes on elsewhere.\n`,
    );
    (await interrupted)();
    output.endProgress();
    output.say('Stopping after this step …');
  } finally {
    await host.close();
  }
}
