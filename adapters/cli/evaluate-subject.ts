import { relative, resolve } from 'node:path';
import { encoderFiles } from './encoder-files';
import { required } from './failures';
import { given } from './personalize';
import { homeArgument, type Session, type WorkOptions, withEngine } from './session';

export interface EvaluateSubjectOptions extends WorkOptions {
  readonly subject?: string;
  readonly out?: string;
  readonly photos?: readonly string[];
  readonly pictures?: number;
  readonly encoder?: readonly string[];
}

/** The card of one's own subject: figures, what could not be measured, and what to type next. */
export async function evaluateSubjectCommand(
  session: Session,
  options: EvaluateSubjectOptions,
): Promise<void> {
  const { output } = session;
  const whose = 'say whose card, as --subject rex, or which other way: dreambooth evaluate --help';
  const name = required(options.subject, '--subject', whose).replace(/^@/, '');
  const folder = resolve(options.out ?? `evaluation/${name}`);
  output.started(null);
  const { card, files, lines } = await withEngine(session, options, async (engine, run, sdk) => {
    // The oracle comes with its base and is of no use on another.
    const kinds = sdk.encoderKinds.filter((one) => one !== 'oracle');
    const encoders = encoderFiles(options.encoder ?? [], kinds);
    const request = {
      name,
      folder,
      encoders,
      ...given({ photos: options.photos, pictures: options.pictures }),
    };
    const found = await sdk.measureSubject(engine, request, run);
    // As they are to be typed here, in the report, too.
    const advice = found.advice.map((one) => ({ ...one, command: `${one.command}${homeArgument(options)}` }));
    const measured = { ...found, advice };
    return {
      card: measured,
      files: await sdk.reportSubject(measured, folder),
      lines: sdk.cardLines(measured),
    };
  });
  const { figures, instruments, notMeasured, course, best, advice } = card;
  output.done({ files, subject: name, figures, instruments, notMeasured, course, best, advice }, [
    '',
    ...lines,
    '',
    ...(advice.length === 0 ? ['Nothing can be advised by what was measured.'] : []),
    ...advice.flatMap(({ words, command }) => [words, `  ${command}`]),
    `Look at ${relative(process.cwd(), files[0]!)}`,
  ]);
}
