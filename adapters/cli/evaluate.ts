import type { ToyRow } from 'dreambooth';
import { WrongUse } from './failures';
import { measures, row } from './measures';
import { assignments, given } from './personalize';
import { type Session, type WorkOptions, withEngine } from './session';

interface EvaluateOptions extends WorkOptions {
  readonly subjects?: number;
  readonly seeds?: number;
  readonly development?: boolean;
  readonly set?: readonly string[];
}

/** The embedded world's evaluation: rows as they come, their mean at the end. */
export async function evaluateCommand(
  session: Session,
  protocol: string,
  options: EvaluateOptions,
): Promise<void> {
  if (protocol !== 'toybox')
    throw new WrongUse(`There is no protocol "${protocol}"; there is toybox, the embedded world`);
  const { output } = session;
  const head = ['subject', 'seed', ...measures.map(({ name }) => name)];
  const lines: string[] = [];
  const show = (name: string, seed: string, report: ToyRow['base']) =>
    lines.push(row(name, [seed, ...measures.map(({ of }) => of(report))]));
  output.started(null);
  const { rows, mean } = await withEngine(session, options, async (engine, run, sdk) => {
    const known = options.development ? sdk.toyDevelopmentSubjects : sdk.toyTestSubjects;
    const count = options.subjects ?? Math.min(5, known.length);
    if (count < 1 || count > known.length)
      throw new WrongUse(`--subjects ${count}: there are ${known.length} of them`);
    const settings = sdk.checkSettings(assignments(options.set ?? []));
    const request = { subjects: known.slice(0, count), ...given({ seeds: options.seeds }), settings };
    const rows = await sdk.evaluateToybox(
      engine,
      request,
      ({ toy, seed, subject }) =>
        output.say(
          `${toy.class} ${toy.seed}, seed ${seed}: ${measures.map(({ name, of }) => `${name} ${of(subject)}`).join('  ')}`,
        ),
      run,
    );
    const mean = {
      base: sdk.meanReport(rows.map(({ base }) => base)),
      subject: sdk.meanReport(rows.map(({ subject }) => subject)),
    };
    return { rows, mean };
  });
  lines.push(row(head[0]!, head.slice(1)));
  for (const { toy, seed, subject } of rows) show(`${toy.class} ${toy.seed}`, `${seed}`, subject);
  show('mean', '', mean.subject);
  show('mean of the base', '', mean.base);
  output.done({ files: [], rows, mean }, lines);
}
