import { join, relative, resolve } from 'node:path';
import { measures, row } from './measures';
import { given } from './personalize';
import { duration } from './progress-view';
import { type Session, type WorkOptions, withEngine } from './session';

interface DemoOptions extends WorkOptions {
  readonly out?: string;
  readonly seed?: number;
}

/** Its subject lives in a home of the demo's own, unless one is named: nothing of the user's is touched. */
export async function demoCommand(session: Session, options: DemoOptions): Promise<void> {
  const { output } = session;
  const folder = resolve(options.out ?? 'demo');
  const home = options.home ?? join(folder, 'home');
  const begun = Date.now();
  const demo = await withEngine(session, { ...options, home }, async (engine, run, sdk) => ({
    oracle: sdk.oracleNote(),
    ...(await sdk.runDemo(engine, { folder, ...given({ seed: options.seed }) }, run)),
  }));
  const { subject, measured, sheet, photos, oracle } = demo;
  const reports = { base: measured.base.report, personalized: measured.subject.report };
  const seconds = (Date.now() - begun) / 1000;
  const shown = relative(process.cwd(), home);
  output.done(
    {
      files: [sheet, ...photos],
      subject: subject.name,
      id: subject.id,
      seconds,
      measured: reports,
    },
    [
      '',
      row(
        '',
        measures.map(({ name }) => name),
      ),
      row(
        'base model',
        measures.map(({ of }) => of(reports.base)),
      ),
      row(
        `@${subject.name}`,
        measures.map(({ of }) => of(reports.personalized)),
      ),
      '',
      ...measures.map(({ name, meaning }) => `  ${name.padEnd(6)} ${meaning}`),
      oracle,
      '',
      `Look at ${relative(process.cwd(), sheet)} (${duration(seconds)}).`,
      `Next: npx dreambooth generate "a photo of @${subject.name} at night wearing a red hat" --home ${shown}`,
    ],
  );
}
