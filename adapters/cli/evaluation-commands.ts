/** `evaluate`, a command for each of its ways. */
import { type Command, type CommandOptions, Option } from 'commander';
import { collect, computing, number, whole, work } from './command-options';
import { WrongUse } from './failures';
import type { Session } from './session';

/** Makes a command with the options that all have. */
export type Describe = (
  name: string,
  description: string,
  example: string,
  parent?: Command,
  options?: CommandOptions,
) => Command;

const paperExample =
  'dreambooth evaluate paper --data ./google-dreambooth --base ./sd15 --encoder dino=./dino-vits16';
const judgedExample =
  'dreambooth evaluate dreambench-plus --data ./dreambench_plus --base ./sd15 --judge-model gpt-4o-2024-05-13';

/** Without a word of which it is the card, since that is what most people ask for. */
export function addEvaluation(program: Command, around: Session, describe: Describe): void {
  const session = { ...around, goesOn: true };
  const group = describe(
    'evaluate',
    'measure how well subjects are learned',
    'dreambooth evaluate --subject rex\n  $ dreambooth evaluate card --help\n  $ dreambooth evaluate toybox --help',
    program,
  );
  const way = (name: string, description: string, example: string) =>
    describe(name, description, example, group, { isDefault: name === 'card' });

  const encoder = '--encoder <kind=path>';
  computing(
    way('card', 'of a subject of your own, with advice (the default)', 'dreambooth evaluate --subject rex'),
  )
    .usage('--subject NAME [options]')
    .allowExcessArguments()
    .option('--subject <name>', 'whose card')
    .option('--photos <path...>', 'what it is measured by (default: the photos kept with it)')
    .option('--pictures <n>', 'of each prompt, to 100 (default: 2)', whole)
    .option(
      encoder,
      'a network that compares: clip, dino, dreamsim or lpips; may be repeated (the embedded world has its own)',
      collect,
    )
    .option('--out <folder>', 'where pictures and reports are kept (default: evaluation/NAME)')
    .action(
      evaluating(session, async (options, word) => {
        if (word !== undefined) {
          const names = group.commands.map((command) => command.name()).join(', ');
          throw new WrongUse(
            `There is no way "${word}" to evaluate; there are ${names}. For a subject: evaluate --subject ${word}`,
          );
        }
        await (await import('./evaluate-subject')).evaluateSubjectCommand(session, options);
      }),
    );

  computing(
    way(
      'applications',
      'what the paper does with a subject, drawn, a contact sheet each',
      'dreambooth evaluate applications --subject rex',
    ),
  )
    .option('--subject <name>', 'a subject of your own')
    .option('--pictures <n>', 'of each prompt, to 16 (default: 4)', whole)
    .option('--out <folder>', 'where pictures and sheets are kept (default: evaluation/NAME-applications)')
    .action(
      evaluating(session, async (options) =>
        (await import('./evaluate-applications')).evaluateApplicationsCommand(session, options),
      ),
    );

  computing(
    way(
      'toybox',
      'every way to learn, on new subjects of the embedded world, by the truth',
      'dreambooth evaluate toybox --seeds 2\n  $ dreambooth evaluate toybox --subjects 1 --arms class-images no-prior',
    ),
  )
    .option('--subjects <n>', 'how many (default: 5)', whole)
    .option('--seeds <n>', 'how many trainings of each in the main arms (default: 3)', whole)
    .option(
      '--arms <name...>',
      'which ways to learn: class-images, adapter-off, no-prior, wrong-noun, no-noun, no-captions, bare-prior, common-word, textual-inversion, full (default: all)',
    )
    .option('--sweeps <n>', 'on how many subjects steps and numbers of photos are tried (default: 2)', whole)
    .option('--development', 'the subjects that settings may be chosen on, not those they are judged by')
    .option('--set <key=value>', 'any training setting, in every arm; may be repeated', collect)
    .option('--out <folder>', 'where rows and reports are kept, and gone on with (default: evaluation)')
    .action(
      evaluating(session, async (options) =>
        (await import('./evaluate-toybox')).evaluateToyboxCommand(session, options),
      ),
    );

  published(way('paper', "the paper's protocol, on its data", paperExample))
    .option('--data <dir>', 'a checkout of google/dreambooth')
    .option('--preset <name>', 'how subjects are learned (default: paper)')
    .option(encoder, 'a network that compares: dino, clip or lpips; may be repeated', collect)
    .addOption(
      new Option('--prior <kind>', 'with class images (default), without, or both').choices([
        'images',
        'none',
        'both',
      ]),
    )
    .option('--out <folder>', 'where pictures are kept, and gone on with (default: evaluation-paper)')
    .action(
      evaluating(session, async (options) =>
        (await import('./evaluate-paper')).evaluatePaperCommand(session, options),
      ),
    );

  published(way('dreambench-plus', 'DreamBench++, on its data, judged by a model', judgedExample))
    .option('--data <dir>', 'its folder with data/images and data/captions')
    .option('--preset <name>', 'how subjects are learned (default: by the base)')
    .option('--judge <url>', 'an OpenAI-compatible endpoint; its key is in OPENAI_API_KEY')
    .option('--judge-model <name>', 'the model that judges (default: gpt-4o-2024-05-13)')
    .option('--runs <n>', 'how often each picture is judged (default: 3)', whole)
    .option('--max-cost <usd>', 'what judging may cost; it stops before', number)
    .option(
      '--price <in/out>',
      "the judge's price, USD for a million tokens (default: that of gpt-4o-2024-05-13 is known)",
    )
    .option('--max-calls <n>', 'how many questions the judge may be asked', whole)
    .option('--calls-per-minute <n>', 'how often the judge may be asked (default: as it answers)', number)
    .option(
      '--out <folder>',
      'where pictures and answers are kept, and gone on with (default: evaluation-dreambench-plus)',
    )
    .action(
      evaluating(session, async (options) =>
        (await import('./evaluate-dreambench')).evaluateDreamBenchCommand(session, options),
      ),
    );
}

/** Options of the published protocols. */
function published(command: Command): Command {
  return work(command, 'to be named')
    .option('--subjects <n>', 'how many, from the first (default: all)', whole)
    .option('--set <key=value>', 'any training setting; may be repeated', collect);
}

/** Whatever stopped it, the same command takes it up: a training within, too. */
function evaluating(session: Session, evaluate: (options: object, word?: string) => Promise<void>) {
  return async (...given: unknown[]): Promise<void> => {
    const self = given.at(-1) as Command;
    try {
      await evaluate(self.optsWithGlobals(), self.args[0]);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'stopped') throw error;
      session.output.say('Go on with the same command: what is there is not made again.');
      // The job within is not to be resumed by itself.
      const { StoppedError } = await session.loadSdk();
      throw new StoppedError(null, { cause: error });
    }
  };
}
