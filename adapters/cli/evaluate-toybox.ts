import { resolve } from 'node:path';
import type { ToyArmName, ToyRow } from 'dreambooth';
import { WrongUse } from './failures';
import { measures, row } from './measures';
import { assignments, given } from './personalize';
import { type Session, type WorkOptions, withEngine } from './session';

export interface EvaluateToyboxOptions extends WorkOptions {
  readonly subjects?: number;
  readonly seeds?: number;
  readonly sweeps?: number;
  readonly arms?: readonly string[];
  readonly development?: boolean;
  readonly set?: readonly string[];
  readonly out?: string;
}

/** The embedded world's evaluation: rows as they come, their means at the end. */
export async function evaluateToyboxCommand(session: Session, options: EvaluateToyboxOptions): Promise<void> {
  const { output } = session;
  const folder = resolve(options.out ?? 'evaluation');
  output.started(null);
  const evaluated = await withEngine(session, options, async (engine, run, sdk) => {
    const known = options.development ? sdk.toyDevelopmentSubjects : sdk.toyTestSubjects;
    const count = options.subjects ?? Math.min(5, known.length);
    if (count < 1 || count > known.length)
      throw new WrongUse(`--subjects ${count}: there are ${known.length} of them`);
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
