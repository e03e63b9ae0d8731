/** Options that several commands have, and what their values are read by. */
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Options of every command. */
export function common(command: Command): Command {
  return command
    .option('--json', 'one JSON object a line on stdout')
    .option('--home <dir>', 'where subjects and jobs are (default: $DREAMBOOTH_HOME)');
}

/** Options of what looks for models. */
export function findable(command: Command): Command {
  return command
    .option('--in <dir>', 'look here instead of the usual places; may be repeated', collect)
    .option('--all', 'what cannot be used, too, and why');
}

/** Options of what trains or draws on any base model. */
export function work(command: Command, otherwise = 'default: toybox'): Command {
  return computing(
    command
      .option(
        '--base <model>',
        `a diffusers folder, a .safetensors file, the id or name of a model that is found, or "toybox" (${otherwise})`,
      )
      .option('--vae <path>', 'an autoencoder in place of the base model\'s, or "base" for that one'),
  );
}

/** Options of what stays and runs jobs for others. */
export function host(command: Command): Command {
  return work(command)
    .option(
      '--keep-days <n>',
      'remove finished jobs and their pictures after so many days (default: never)',
      whole,
    )
    .option('--queue <url>', 'jobs for workers on other machines, as redis://HOST:6379 (default: run here)');
}

/** Options of what takes the processor for a while. */
export function computing(command: Command): Command {
  return command
    .addOption(
      new Option('--device <name>', 'where to compute (default: cpu)').choices(['cpu', 'cuda', 'webgpu']),
    )
    .option('--threads <n>', 'threads to use (default: one a core)', positive)
    .option('--no-memory-check', 'try even what needs more memory than there is');
}

const wholeFrom =
  (least: number) =>
  (text: string): number => {
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text)) || Number(text) < least) {
      throw new InvalidArgumentError(`Give a whole number from ${least} on.`);
    }
    return Number(text);
  };
export const whole = wholeFrom(0);
export const positive = wholeFrom(1);

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Give a number, as 7.5.');
  return value;
}

export const collect = (text: string, before: readonly string[] = []) => [...before, text];
