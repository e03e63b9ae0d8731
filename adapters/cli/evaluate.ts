import { resolve } from 'node:path';
import type { ToyArmName, ToyRow } from 'dreambooth';
import type { EvaluateApplicationsOptions } from './evaluate-applications';
import type { EvaluateDreamBenchOptions } from './evaluate-dreambench';
import { optionOfAnother } from './evaluate-options';
import type { EvaluatePaperOptions } from './evaluate-paper';
import type { EvaluateSubjectOptions } from './evaluate-subject';
import { WrongUse } from './failures';
import { measures, row } from './measures';
import { assignments, given } from './personalize';
import { type Session, withEngine } from './session';

interface EvaluateOptions extends EvaluatePaperOptions, EvaluateDreamBenchOptions {
  readonly seeds?: number;
  readonly sweeps?: number;
  readonly arms?: readonly string[];
  readonly development?: boolean;
}

const protocols = ['toybox', 'applications', 'paper', 'dreambench-plus'];

interface ProtocolOptions extends EvaluateOptions, EvaluateSubjectOptions, EvaluateApplicationsOptions {}

/** `--subject NAME` is the protocol of one's own subject; others go by their names. */
export async function evaluateCommand(
  session: Session,
  protocol: string | undefined,
  options: ProtocolOptions,
): Promise<void> {
  try {
    await evaluate(session, protocol, options);
  } catch (error) {
    // Whatever it was at, the same command takes it up: a training that was stopped, too.
    if ((error as { code?: unknown }).code !== 'stopped') throw error;
    session.output.say('Go on with the same command: what is there is not made again.');
    // The job within is not to be resumed by itself.
    const { StoppedError } = await session.loadSdk();
    throw new StoppedError(null, { cause: error });
  }
}

async function evaluate(
  session: Session,
  protocol: string | undefined,
  options: ProtocolOptions,
): Promise<void> {
  const { subject } = options;
  if (protocol === undefined ? subject !== undefined : protocols.includes(protocol)) {
    const stranger = optionOfAnother(protocol, options, await session.loadSdk());
    if (stranger !== undefined) throw stranger;
  }
  if (protocol === 'applications')
    return (await import('./evaluate-applications')).evaluateApplicationsCommand(session, options);
  if (subject !== undefined)
    return (await import('./evaluate-subject')).evaluateSubjectCommand(session, protocol, options);
  if (protocol === 'paper') return (await import('./evaluate-paper')).evaluatePaperCommand(session, options);
  if (protocol === 'dreambench-plus')
    return (await import('./evaluate-dreambench')).evaluateDreamBenchCommand(session, options);
  if (protocol === undefined)
    throw new WrongUse(
      'Say what to evaluate: --subject NAME (your own), applications --subject NAME, toybox, paper or dreambench-plus',
    );
  return toyboxCommand(session, protocol, options);
}

/** The embedded world's evaluation: rows as they come, their means at the end. */
async function toyboxCommand(session: Session, protocol: string, options: EvaluateOptions): Promise<void> {
  if (protocol !== 'toybox')
    throw new WrongUse(
      `There is no protocol "${protocol}"; there is toybox, the embedded world, and there are applications, paper and dreambench-plus`,
    );
  const { output } = session;
  const folder = resolve(options.out ?? 'evaluation');
  output.started(null);
  const evaluated = await withEngine(session, options, async (engine, run, sdk) => {
    const known = options.development ? sdk.toyDevelopmentSubjects : sdk.toyTestSubjects;
    const count = options.subjects ?? Math.min(5, known.length);
    if (count < 1 || count > known.length)
      throw new WrongUse(`--subjects ${count}: there are ${known.length} of them`);
    const unknown = options.arms?.find((name) => !sdk.toyArmNames.some((one) => one === name));
    if (unknown !== undefined)
      throw new WrongUse(`--arms ${unknown}: there are ${sdk.toyArmNames.join(', ')}`);
    const request = {
      folder,
      subjects: known.slice(0, count),
      settings: sdk.checkSettings(assignments(options.set ?? [])),
      ...given({ seeds: options.seeds, sweeps: options.sweeps, arms: options.arms as ToyArmName[] }),
    };
    const rows = await sdk.evaluateToybox(engine, request, (one) => output.say(lineOf(one)), run);
    return { oracle: sdk.oracleNote(), ...sdk.reportToybox(rows, folder, request.settings) };
  });
  const { files, findings, oracle } = evaluated;
  output.done({ files, findings }, [
    '',
    ...findings.map(
      ({ name, verdict, claim, seen }) =>
        `${name.padEnd(26)}${verdict.padEnd(14)}${claim}\n${' '.repeat(40)}${seen}`,
    ),
    '',
    oracle,
    `Look at ${files[0]}`,
  ]);
}

const lineOf = ({ arm, toy, seed, photos, steps, report }: ToyRow) =>
  row(`${arm} ${toy.class} ${toy.seed}`.padEnd(30), [
    `${seed}`,
    `${photos}`,
    `${steps ?? ''}`,
    ...measures.map(({ of }) => of(report)),
  ]);
