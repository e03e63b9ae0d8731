import type { FoundModel } from 'dreambooth';
import type { CommonOptions, Session } from './session';

interface ListOptions extends CommonOptions {
  readonly in?: readonly string[];
  readonly all?: boolean;
}

/** What is broken is shown, since it can be mended; what is something else than a base, only when asked for. */
export async function listCommand({ loadSdk, output }: Session, options: ListOptions): Promise<void> {
  const sdk = await loadSdk();
  const { models, places } = sdk.listModels(sdk.openHome(options.home), {
    in: options.in,
    onWarning: output.warning,
  });
  const shown = models.filter(({ state }) => options.all || state !== 'unsupported');
  const width = Math.min(48, Math.max(0, ...shown.map(({ id }) => id.length)));
  for (const model of shown) output.row(model, line(model, width));
  const others = models.length - shown.length;
  if (shown.length === 0) {
    output.say(
      `No base models were found. Looked in:\n${places.map(({ folder }) => `  ${folder}`).join('\n')}`,
    );
    output.say('Name a folder with --in DIR, give a path to --base, or fetch one: dreambooth models pull ID');
  }
  if (others > 0) output.say(`${others} more cannot be a base here: dreambooth models list --all says why.`);
  if (shown.some(({ state }) => state === 'usable'))
    output.say('Next: dreambooth personalize PHOTOS... --class NOUN --base MODEL');
}

function line(
  { id, family, layout, precision, bytes, place, state, problem }: FoundModel,
  width: number,
): string {
  const name = id.padEnd(width);
  if (state !== 'usable') return `${name}  ${state}: ${firstSentence(problem!)}`;
  const size = `${bytesText(bytes!)}`.padStart(8);
  return `${name}  ${family!.padEnd(8)}  ${layout!.padEnd(11)}  ${precision!.padEnd(8)} ${size}  ${place}`;
}

/** Within a listing; programs get the whole of it. */
function firstSentence(text: string): string {
  const sentence = text.split(/\. (?=[A-Z])/)[0]!;
  return sentence.length > 160 ? `${sentence.slice(0, 159)}…` : sentence;
}

/** `830 kB`, `2.1 GB`; decimal, as the hub and most systems count. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** unit;
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toPrecision(2)} ${units[unit]}`;
}
