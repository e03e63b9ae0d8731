/** A training that is stopped half-way goes on later to the same bits. Run with: npx tsx examples/stop-and-resume.ts PHOTOS… */
import { personalize, resumeJob, StoppedError } from 'dreambooth';

const stop = new AbortController();
try {
  await personalize(process.argv.slice(2), 'dog', {
    name: 'rex',
    signal: stop.signal,
    onProgress(event) {
      const isHalfway = event.kind === 'step-end' && event.phase === 'train' && event.step * 2 >= event.steps;
      if (isHalfway) stop.abort();
    },
  });
} catch (error) {
  if (!(error instanceof StoppedError) || error.job === null) throw error;
  console.log(`Stopped. Going on with ${error.job}.`);
  const subject = await resumeJob(error.job);
  console.log(`Learned @${subject.name}.`);
}
