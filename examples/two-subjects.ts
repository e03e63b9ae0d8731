/**
 * Two subjects that were learned before, in one picture, the second one weaker; with progress, and given up after two
 * minutes. Run with: npx tsx examples/two-subjects.ts
 */
import { createEngine, StoppedError } from 'dreambooth';

const engine = createEngine({ home: 'my-subjects' });
const giveUp = new AbortController();
const timer = setTimeout(() => giveUp.abort(), 120_000);
try {
  const images = await engine.generate(
    { prompt: 'a photo of @rex and @mia:0.7 on the beach', count: 4, seed: 1 },
    {
      signal: giveUp.signal,
      onProgress(event) {
        if (event.kind === 'step-end') console.log(event.phase, event.step, 'of', event.steps);
      },
    },
  );
  for (const image of images) await image.save(`beach-${image.seed}.png`);
} catch (error) {
  if (!(error instanceof StoppedError)) throw error;
  console.log('That took too long.');
} finally {
  clearTimeout(timer);
  await engine.close();
}
