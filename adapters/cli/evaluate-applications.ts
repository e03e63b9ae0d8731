import { relative, resolve } from 'node:path';
import { required } from './failures';
import { given } from './personalize';
import { type Session, type WorkOptions, withEngine } from './session';

export interface EvaluateApplicationsOptions extends WorkOptions {
  readonly subject?: string;
  readonly out?: string;
  readonly pictures?: number;
}

/** The paper's applications of one's own subject: a contact sheet each, for people to look at. */
export async function evaluateApplicationsCommand(
  session: Session,
  options: EvaluateApplicationsOptions,
): Promise<void> {
  const { output } = session;
  const subject = required(options.subject, '--subject', 'say whose pictures, as --subject rex').replace(
    /^@/,
    '',
  );
  const folder = resolve(options.out ?? `evaluation/${subject}-applications`);
  output.started(null);
  const { files, drawn, leftOut } = await withEngine(session, options, (engine, run, sdk) =>
    sdk.drawApplications(
      engine,
      { subject, folder, ...given({ pictures: options.pictures }) },
      ({ sheet }) => output.say(relative(process.cwd(), sheet)),
      run,
    ),
  );
  const sheets = drawn.map(({ sheet }) => sheet);
  output.done({ files: [...files, ...sheets], subject, applications: drawn, leftOut }, [
    ...(leftOut.length === 0 ? [] : [`Left out, since the base has no words for it: ${leftOut.join(', ')}`]),
    `Look at ${files[0]}`,
  ]);
}
