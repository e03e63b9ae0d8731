import type { FoundModel, ModelOnHub, WeightVariant } from 'dreambooth';
import { bytesText } from './progress-view';
import { type CommonOptions, quoted, type Session, untilInterrupted } from './session';

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

interface PullCommandOptions extends CommonOptions {
  readonly variant?: WeightVariant;
  readonly include?: readonly string[];
}

export async function pullCommand(session: Session, id: string, options: PullCommandOptions): Promise<void> {
  const { output } = session;
  const sdk = await session.loadSdk();
  output.started(null);
  const show = ({ commit, licence, page, files, bytes, bytesToFetch, cache }: ModelOnHub) => {
    const [whole, rest] = [bytesText(bytes), bytesText(bytesToFetch)];
    const left = rest === whole ? '' : bytesToFetch === 0 ? ', all here' : `, ${rest} of it not here yet`;
    output.say(`${id} at ${commit.slice(0, 7)}: ${files.length} files, ${whole}${left}`);
    output.say(`Licence: ${licence ?? 'none is named'}; see ${page}`);
    output.say(`Into ${cache}`);
  };
  try {
    const { variant, include } = options;
    const { files: _, ...pulled } = await untilInterrupted(session, (run) =>
      sdk.pullModel(id, { variant, include, onFound: show, ...run }),
    );
    const { base, path, family, precision } = pulled;
    output.done({ files: [path], ...pulled, id: base }, [path]);
    output.say(
      `${family}, ${precision}. Next: dreambooth personalize PHOTOS... --class NOUN --base ${quoted(base)}`,
    );
  } catch (error) {
    const code = (error as { code?: unknown } | null)?.code;
    if (code === 'stopped')
      output.say(`What has arrived is kept. Go on with: dreambooth models pull ${quoted(id)}`);
    throw error;
  }
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
