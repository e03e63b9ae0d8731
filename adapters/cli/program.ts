/** Commands, their arguments and their help. What they do is in the files beside, loaded when they run. */
import { createRequire } from 'node:module';
import { Command, Option } from 'commander';
import type { Operation } from 'dreambooth';
import { collect, common, computing, findable, host, number, positive, whole, work } from './command-options';
import { addEvaluation, type Describe } from './evaluation-commands';
import { addOperations } from './operation-commands';
import type { Session } from './session';

const photosExample = 'dreambooth personalize rex/*.jpg --class dog --name rex';
const drawExample = 'dreambooth generate "a photo of @rex in the snow"';
const intoPhotoExample = 'dreambooth generate "@rex on the sofa" --image room.jpg --mask sofa.png';

/**
 * Commands with a face of their own, then those of `operations` that have none. `onExitCode` gets the code of a command
 * that ends otherwise than with 0 and without throwing.
 */
export function createProgram(
  session: Session,
  operations: Readonly<Record<string, Operation>>,
  onExitCode: (code: number) => void,
): Command {
  const program = new Command('dreambooth')
    .description('Learn a subject from a few photos, then draw it anywhere.')
    .helpCommand('help [command]', 'help on a command')
    .exitOverride()
    // Failures are told by `main`, in words or as JSON.
    .configureOutput({
      writeOut: (text) => session.stdout.write(text),
      writeErr: () => {},
      outputError: () => {},
    })
    .showSuggestionAfterError()
    .addHelpText('after', `\nExample:\n  $ ${photosExample}\n  $ ${drawExample}`);
  common(program).version(packageVersion(), '-V, --version', 'the version');

  const command: Describe = (name, description, example, parent = program, options = {}) =>
    common(
      parent
        .command(name, options)
        .description(description)
        .addHelpText('after', `\nExample:\n  $ ${example}`),
    );

  work(command('personalize', 'learn a subject from 1 to 20 photos (3 to 6 are best)', photosExample))
    .argument('[photos...]', 'photos, or folders of photos; with --continue or --again, more of them or none')
    .option('--continue <name>', 'go on with a finished subject: --steps more, by its own settings')
    .option(
      '--again <name>',
      'learn a finished subject anew from its photos, by its own settings and what is said here',
    )
    .option('--class <noun>', 'the noun for what the subject is, as "dog"')
    .option('--name <name>', 'how prompts will call it, as @rex (default: the class and a number)')
    .option(
      '--identifier <word>',
      'the rare word that stands for it, "" for none (default: as the preset says)',
    )
    .option('--preset <name>', 'a named set of training settings (default: by the base model)')
    .option('--steps <n>', 'training steps', positive)
    .option('--seed <n>', 'what makes the training repeatable', whole)
    .addOption(
      new Option('--prior <kind>', 'what keeps the class as it is').choices([
        'images',
        'adapter-off',
        'none',
      ]),
    )
    .option('--checkpoint-every <n>', 'steps between checkpoints', positive)
    .addOption(
      new Option(
        '--keep <which>',
        'whose weights are kept: of the last step, every sample, the best',
      ).choices(['last', 'every', 'best']),
    )
    .addOption(
      new Option('--stop-when <when>', 'make all steps, or end when the samples grow no better').choices([
        'steps',
        'good',
      ]),
    )
    .option('--set <key=value>', 'any training setting; may be repeated', collect)
    .action(async (photos, _, self) =>
      (await import('./personalize')).personalizeCommand(session, photos, self.optsWithGlobals()),
    );

  work(command('resume', 'go on with a job that was stopped or broken off', 'dreambooth resume rex-1f3a'))
    .argument('<job>', 'its id, see: dreambooth jobs')
    .option('--name <name>', 'another name, where the first was taken meanwhile')
    .option('--set <key=value>', 'a setting that may change on the way, as learningRate', collect)
    .action(async (job, _, self) =>
      (await import('./personalize')).resumeCommand(session, job, self.optsWithGlobals()),
    );

  work(
    command(
      'generate',
      'draw a prompt in which @name stands for a subject',
      `${drawExample}\n  $ ${intoPhotoExample}`,
    ),
  )
    .argument('[prompt]', 'as "a photo of @rex in the snow"')
    .option('--like <picture>', 'prompt, seed and settings of this PNG, where nothing else is said')
    .option('-n, --count <n>', 'how many pictures', positive)
    .option('--seed <n>', 'of the first picture; the next has the next (default: random)', whole)
    .option('--steps <n>', 'sampling steps', positive)
    .option('--guidance <g>', 'how closely to follow the prompt', number)
    .option('--negative <text>', 'what the picture should not show')
    .option('--width <w>', 'in pixels', whole)
    .option('--height <h>', 'in pixels', whole)
    .option('--scheduler <name>', 'the sampler (default: dpmpp-2m-karras)')
    .option(
      '--guidance-rescale <share>',
      'how much of the contrast that guidance adds to take back, 0 to 1',
      number,
    )
    .option('--image <photo>', 'a photo to begin from')
    .option('--mask <picture>', 'draw only where it is white, and leave the rest of the photo as it is')
    .option(
      '--strength <share>',
      'how much of the photo changes, above 0 to 1 (default: 0.8, with --mask 1)',
      number,
    )
    .option('--batch <n>', 'pictures at a time (default: 1)', positive)
    .addOption(
      new Option(
        '--vae-tiling <when>',
        'whether to decode in tiles, which saves memory (default: on where pictures are large)',
      ).choices(['on', 'off']),
    )
    .option('--clip-skip <n>', 'last layers of the text encoder to skip (default: as learned, else 0)', whole)
    .option('--out <path>', 'a .png file, or a folder (default: this one)')
    .action(async (prompt, _, self) =>
      (await import('./generate')).generateCommand(session, prompt, self.optsWithGlobals()),
    );

  const presets = command(
    'presets',
    'list training recipes with their settings and sources',
    'dreambooth presets',
  );
  command('list', 'all presets (the default)', 'dreambooth presets list --json', presets).action(async () =>
    (await import('./presets')).listCommand(session),
  );
  command('show', 'one preset', 'dreambooth presets show dreambench-plus-sd15', presets)
    .argument('<name>')
    .action(async (name) => (await import('./presets')).showCommand(session, name));
  listByDefault(presets, async () => (await import('./presets')).listCommand(session));

  const jobs = command('jobs', 'list, show, cancel and delete jobs', 'dreambooth jobs');
  command('list', 'all jobs, oldest first (the default)', 'dreambooth jobs list --json', jobs).action(
    async (_, self) => (await import('./jobs')).listCommand(session, self.optsWithGlobals()),
  );
  command('show', 'one job', 'dreambooth jobs show rex-1f3a', jobs)
    .argument('<job>')
    .action(async (job, _, self) =>
      (await import('./jobs')).showCommand(session, job, self.optsWithGlobals()),
    );
  command('cancel', 'end a job and remove its checkpoint', 'dreambooth jobs cancel rex-1f3a', jobs)
    .argument('<job>')
    .action(async (job, _, self) =>
      (await import('./jobs')).cancelCommand(session, job, self.optsWithGlobals()),
    );
  listByDefault(jobs, async (self) => (await import('./jobs')).listCommand(session, self.optsWithGlobals()));

  const subjects = command(
    'subjects',
    'list, show, choose, export, import, rename and delete subjects',
    'dreambooth subjects',
  );
  command('list', 'all subjects, oldest first (the default)', 'dreambooth subjects list', subjects).action(
    async (_, self) => (await import('./subjects')).listCommand(session, self.optsWithGlobals()),
  );
  command('show', 'one subject', 'dreambooth subjects show rex', subjects)
    .argument('<name>')
    .action(async (name, _, self) =>
      (await import('./subjects')).showCommand(session, name, self.optsWithGlobals()),
    );
  command(
    'export',
    'write it for other programs',
    'dreambooth subjects export rex --format kohya --out rex.safetensors',
    subjects,
  )
    .argument('<names...>', 'a subject; into a checkpoint several, as rex mia:0.7')
    .addOption(
      new Option(
        '--format <format>',
        'a LoRA in the names of kohya (for ComfyUI and others) or diffusers; checkpoint: base and subject in one; subject: all of it but the photos, for another dreambooth',
      ).choices(['kohya', 'diffusers', 'checkpoint', 'subject']),
    )
    .option('--out <path>', 'a .safetensors file, or a folder')
    .option('--overwrite', 'write over a file that is there')
    .addOption(
      new Option(
        '--dtype <type>',
        'of the written numbers (default: float16; of a checkpoint as the base has them)',
      ).choices(['float16', 'float32']),
    )
    .action(async (names, _, self) =>
      (await import('./subjects')).exportCommand(session, names, self.optsWithGlobals()),
    );
  command(
    'import',
    'make a subject of a LoRA file, an embedding, or one that was exported whole',
    'dreambooth subjects import rex.safetensors --name rex --class dog --identifier sks --base ./sd15',
    subjects,
  )
    .argument('<file>')
    .option('--name <name>', 'how prompts will call it')
    .option('--class <noun>', 'what it is')
    .option('--identifier <word>', 'the word that a LoRA was trained with')
    .option('--base <model>', 'the base model it was trained on (default: toybox)')
    .action(async (file, _, self) =>
      (await import('./subjects')).importCommand(session, file, self.optsWithGlobals()),
    );
  command('rename', 'give it another name', 'dreambooth subjects rename rex max', subjects)
    .argument('<name>')
    .argument('<new-name>')
    .action(async (name, newName, _, self) =>
      (await import('./subjects')).renameCommand(session, name, newName, self.optsWithGlobals()),
    );
  command(
    'choose',
    'take the weights of an earlier step, where they were kept',
    'dreambooth subjects choose rex --step 400',
    subjects,
  )
    .argument('<name>')
    .option('--step <n>', 'one of those that were kept; the last ones stay beside them', whole)
    .action(async (name, _, self) =>
      (await import('./subjects')).chooseCommand(session, name, self.optsWithGlobals()),
    );
  command('delete', 'remove it for good', 'dreambooth subjects delete rex', subjects)
    .argument('<name>')
    .action(async (name, _, self) =>
      (await import('./subjects')).deleteCommand(session, name, self.optsWithGlobals()),
    );
  listByDefault(subjects, async (self) =>
    (await import('./subjects')).listCommand(session, self.optsWithGlobals()),
  );

  const models = command('models', 'find base models and fetch them', 'dreambooth models');
  findable(
    command(
      'list',
      'base models on this machine (the default)',
      'dreambooth models list --in D:/models',
      models,
    ),
  ).action(async (_, self) => (await import('./models')).listCommand(session, self.optsWithGlobals()));
  command(
    'pull',
    'fetch one from its hub into the Hugging Face cache; goes on where it was stopped',
    'dreambooth models pull stable-diffusion-v1-5/stable-diffusion-v1-5',
    models,
  )
    .argument('<id>', 'organisation/name, or organisation/name@revision')
    .addOption(
      new Option(
        '--variant <name>',
        'weights in half or in full precision (default: fp16 where it is published)',
      ).choices(['fp16', 'full']),
    )
    .option('--include <file>', 'this file of it, in place of what is needed; may be repeated', collect)
    .action(async (id, _, self) =>
      (await import('./models')).pullCommand(session, id, self.optsWithGlobals()),
    );
  listByDefault(findable(models), async (self) =>
    (await import('./models')).listCommand(session, self.optsWithGlobals()),
  );

  computing(
    command('demo', 'see it work: a subject learned, drawn and measured in a few minutes', 'dreambooth demo'),
  )
    .option('--out <dir>', 'where the contact sheet and the photos go (default: demo)')
    .option('--seed <n>', 'of the training', whole)
    .action(async (_, self) => (await import('./demo')).demoCommand(session, self.optsWithGlobals()));

  addEvaluation(program, session, command);

  command('doctor', 'what works on this machine, and how to get the rest', 'dreambooth doctor')
    .option('--base <model>', 'look for this base model (default: toybox)')
    .action(async (_, self) =>
      onExitCode(await (await import('./doctor')).doctorCommand(session, self.optsWithGlobals())),
    );

  host(
    command(
      'mcp',
      'serve AI assistants over the Model Context Protocol',
      'dreambooth mcp --allow-dir ~/Pictures\n  $ dreambooth mcp --http 7331',
    ),
  )
    .option(
      '--allow-dir <dir>',
      'a folder whose files clients may name; may be repeated (default: none)',
      collect,
    )
    .option('--http [address]', 'over HTTP, at a port or ADDRESS:PORT (default: 127.0.0.1:7331)')
    .option('--allow-host <name>', 'a name by which clients call it over HTTP; may be repeated', collect)
    .action(async (_, self) =>
      (await import('./mcp')).mcpCommand(session, self.optsWithGlobals(), packageVersion()),
    );

  host(
    command(
      'discord',
      'run the Discord bot, /dreambooth; its token is in DISCORD_TOKEN',
      'dreambooth discord --base ./stable-diffusion-v1-5',
    ),
  )
    .option('--guild <id>', 'register the command in this server alone, where it is there at once')
    .option('--trainings-per-day <n>', 'of one person (default: 3)', whole)
    .option('--pictures-per-hour <n>', 'of one person (default: 60)', whole)
    .option('--open-jobs <n>', 'of one person that wait or run (default: 3)', whole)
    .option('--open-jobs-per-server <n>', 'likewise of a whole server (default: 50)', whole)
    .action(async (_, self) => (await import('./discord')).discordCommand(session, self.optsWithGlobals()));

  host(
    command(
      'worker',
      'run the jobs that hosts put in line',
      'dreambooth worker --queue redis://localhost:6379',
    ),
  ).action(async (_, self) => (await import('./worker')).workerCommand(session, self.optsWithGlobals()));

  host(
    command(
      'serve',
      "serve pictures to OpenAI's clients: /v1/images/generations and edits",
      'dreambooth serve --port 7332',
    ),
  )
    .option('--port <n>', 'where to listen (default: 7332)', whole)
    .option('--address <ip>', 'likewise (default: 127.0.0.1; others need DREAMBOOTH_API_KEY)')
    .option('--allow-host <name>', 'a name by which clients call it; may be repeated', collect)
    .action(async (_, self) => (await import('./serve')).serveCommand(session, self.optsWithGlobals()));

  addOperations(program, operations, session, command);
  return program;
}

/** Without a subcommand a group lists; with a word that is none, it says which there are. */
function listByDefault(group: Command, list: (self: Command) => Promise<void>): void {
  group
    .usage('[command] [options]')
    .argument('[command]')
    .action(async (word: string | undefined, _, self: Command) => {
      if (word !== undefined)
        self.error(`error: unknown command '${word}'${suggestion(word, group)}`, {
          code: 'commander.unknownCommand',
        });
      await list(self);
    });
}

function suggestion(word: string, group: Command): string {
  const names = group.commands.map((command) => command.name());
  const meant = names.find((name) => name.startsWith(word.slice(0, 2)));
  return meant === undefined ? `; there are ${names.join(', ')}` : `; did you mean ${meant}?`;
}

const packageVersion = (): string => createRequire(import.meta.url)('dreambooth/package.json').version;
