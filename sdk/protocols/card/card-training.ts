/** How a card's subject was learned, by the log that is kept with it: its loss, and what its samples were worth. */
import { join } from 'node:path';
import { mean } from '../../evaluation/oracle-reading';
import { snapshotSteps } from '../../subjects/snapshots';
import type { Subject } from '../../subjects/subjects';
import type { SampleScores } from '../../work/sample-scores';
import { logFile, readTrainingLog } from '../../work/training-log';

export interface CardTraining {
  /** Steps of which each loss is the mean: one step's says little, since its noise decides it. */
  readonly window: number;
  /** By the last step of each window. */
  readonly losses: readonly { readonly step: number; readonly loss: number }[];
  /** Where something was decided by them. */
  readonly scores: readonly ({ readonly step: number } & SampleScores)[];
}

const windows = 40;

/** Null where no log is kept. Of one that was gone on with the last run alone; steps count from the beginning of all. */
export function trainingOf(subject: Pick<Subject, 'folder' | 'steps'>): CardTraining | null {
  const lines = readTrainingLog(join(subject.folder, logFile));
  const steps = lines.flatMap((line) =>
    line.event === 'step' && Number.isFinite(line.loss) ? [{ step: line.step, loss: line.loss }] : [],
  );
  if (steps.length === 0) return null;
  const done = lines.findLast((line) => line.event === 'done');
  const before =
    done === undefined
      ? 0
      : Math.max(subject.steps, ...snapshotSteps(subject.folder)) - (done.kept ?? done.step);
  const window = Math.ceil(steps.length / windows);
  const losses = Array.from({ length: Math.ceil(steps.length / window) }, (_, i) => {
    const some = steps.slice(i * window, (i + 1) * window);
    return { step: some.at(-1)!.step + before, loss: mean(some.map(({ loss }) => loss)) };
  });
  const scores = lines.flatMap((line) =>
    line.event === 'sample' && line.scores ? [{ step: line.step + before, ...line.scores }] : [],
  );
  return { window, losses, scores };
}
