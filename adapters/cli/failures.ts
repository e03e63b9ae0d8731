import type { CommanderError } from 'commander';
import type { Output } from './output';

/** Arguments that the command line does not understand. */
export class WrongUse extends Error {
  readonly code: string;

  constructor(cause: CommanderError | string) {
    const message = typeof cause === 'string' ? cause : cause.message.replace(/^error: /, '');
    super(message.charAt(0).toUpperCase() + message.slice(1));
    this.code = 'wrong-use';
  }
}

const wrongUse = ['wrong-use', 'invalid-option', 'invalid-name'];

/**
 * An option that a command cannot do without. Asked for here rather than by commander, which would complain of it
 * before it looks at a misspelt one.
 */
export function required<Value>(value: Value | undefined, option: string, why: string): Value {
  if (value === undefined) throw new WrongUse(`The option ${option} is missing: ${why}`);
  return value;
}

export function exitCodeOf(error: unknown): number {
  const code = codeOf(error);
  if (code === 'stopped') return 130;
  return wrongUse.includes(code) ? 2 : 1;
}

/** One sentence and a code; what is no failure of this package's own kind is a defect, and shows where. */
export function reportFailure(output: Output, error: unknown): void {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const job = (error as { job?: unknown } | null)?.job;
  output.failure({ code, message, ...(typeof job === 'string' ? { job } : {}) });
  if (code === 'unexpected' && error instanceof Error && error.stack) output.say(error.stack);
  if (code === 'wrong-use') output.say('See: dreambooth --help, dreambooth COMMAND --help');
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  // Codes of ours are lower-case words; EACCES and the like are the system's.
  return typeof code === 'string' && /^[a-z]+(-[a-z]+)*$/.test(code) ? code : 'unexpected';
}
