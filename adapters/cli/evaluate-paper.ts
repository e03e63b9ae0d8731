import { resolve } from 'node:path';
import type { PaperArm, PaperMeasure, PaperMetric } from 'dreambooth';
import { encoderFiles } from './encoder-files';
import { required } from './failures';
import { row } from './measures';
import { assignments, given } from './personalize';
import { type Session, type WorkOptions, withEngine } from './session';

export interface EvaluatePaperOptions extends WorkOptions {
  readonly data?: string;
  readonly out?: string;
  readonly subjects?: number;
  readonly preset?: string;
  readonly prior?: 'images' | 'none' | 'both';
  readonly encoder?: readonly string[];
  readonly set?: readonly string[];
}

/** The paper's protocol on its own subjects, from a folder of the user's. */
export async function evaluatePaperCommand(session: Session, options: EvaluatePaperOptions): Promise<void> {
  const { output } = session;
  const data = resolve(required(options.data, '--data', 'name a checkout of google/dreambooth'));
  const base = required(options.base, '--base', 'name the model that learns');
  const folder = resolve(options.out ?? 'evaluation-paper');
  const { prior = 'images' } = options;
  const arms: readonly PaperArm[] = prior === 'both' ? ['images', 'none'] : [prior];
  output.started(null);
  const { evaluation, files } = await withEngine(session, options, async (engine, run, sdk) => {
    const request = {
      data,
      folder,
      base,
      arms,
      encoders: Object.fromEntries(
        encoderFiles(options.encoder ?? [], sdk.paperEncoderKinds).map(({ kind, path }) => [kind, path]),
      ),
      settings: sdk.checkSettings({
        ...assignments(options.set ?? []),
        ...given({ preset: options.preset }),
      }),
      ...given({ subjects: options.subjects, vae: options.vae }),
    };
    const done = await sdk.evaluatePaper(engine, request, (one) => output.say(lineOf(one)), run);
    return { evaluation: done, ...(await sdk.reportPaper(done, folder)) };
  });
  const { gaps, pictures, measures } = evaluation;
  for (const gap of gaps) output.warning(gap);
  output.done({ files, gaps, measures }, [
    `${pictures.length} pictures of ${evaluation.about.subjects.length} of 30 subjects, ${gaps.length} gaps.`,
    `Look at ${files[0]}`,
  ]);
}

const metrics: readonly PaperMetric[] = ['DINO', 'CLIP-I', 'CLIP-T', 'PRES', 'DIV'];

const lineOf = ({ subject, arm, values }: PaperMeasure) =>
  row(
    `${subject} ${arm}`.padEnd(28),
    metrics.map((metric) => ` ${metric} ${values[metric]?.toFixed(3) ?? '–'}`.padStart(15)),
  );
