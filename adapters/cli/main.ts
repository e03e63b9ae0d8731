/** The command line: arguments in, exit code out. Of the SDK the table of operations alone is loaded before a command runs. */
import { CommanderError } from 'commander';
import { operations } from 'dreambooth/operations';
import { exitCodeOf, reportFailure, WrongUse } from './failures';
import { createOutput } from './output';
import { createProgram } from './program';
import type { Session } from './session';
import type { Surroundings } from './surroundings';

const ownSurroundings: Surroundings = {
  loadSdk: () => import('dreambooth'),
  operations,
  stdout: process.stdout,
  stderr: process.stderr,
  onInterrupt(listener) {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, listener);
    return () => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, listener);
    };
  },
  exit: (code) => process.exit(code),
};

/** Runs one command. 0: done, 1: failed, 2: wrong use, 130: stopped. */
export async function main(
  argv: readonly string[],
  surroundings: Partial<Surroundings> = {},
): Promise<number> {
  const around = { ...ownSurroundings, ...surroundings };
  // Known before the arguments are understood, so that misunderstandings are told in the same form.
  const beforeTerminator = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  const output = createOutput(around.stdout, around.stderr, beforeTerminator.includes('--json'));
  const session: Session = { ...around, output };
  let code = 0;
  const program = createProgram(session, around.operations, (result) => {
    code = result;
  });
  try {
    // A bare call asks for help, and is not wrong.
    await program.parseAsync(argv.length === 0 ? ['--help'] : [...argv], { from: 'user' });
    return code;
  } catch (error) {
    const isHelp = error instanceof CommanderError && error.exitCode === 0;
    if (isHelp) return 0;
    const failure = error instanceof CommanderError ? new WrongUse(error) : error;
    reportFailure(output, failure);
    return exitCodeOf(failure);
  } finally {
    output.end();
  }
}
