import { basename } from 'node:path';
import type { ExportFormat, ExportOptions, Subject } from 'dreambooth';
import { required } from './failures';
import { runFileLines, runFiles } from './run-files';
import { type CommonOptions, nextPicture, quoted, type Session } from './session';

export async function listCommand({ loadSdk, output }: Session, options: CommonOptions): Promise<void> {
  const sdk = await loadSdk();
  const subjects = sdk.listSubjects(sdk.openHome(options.home), (error) => output.warning(error.message));
  for (const subject of subjects) output.row(subject, line(subject));
  if (subjects.length === 0) {
    output.say('There are no subjects yet: dreambooth personalize PHOTOS... --class NOUN learns one.');
  }
}

export async function showCommand(
  { loadSdk, output }: Session,
  name: string,
  options: CommonOptions,
): Promise<void> {
  const sdk = await loadSdk();
  const subject = sdk.readSubject(sdk.openHome(options.home), typedName(name));
  const files = runFiles(subject.folder);
  const kept = sdk.snapshotSteps(subject.folder);
  const settings = Object.entries(subject.settings).map(([key, value]) => `    ${key}: ${value}`);
  const lines = [
    line(subject),
    ...('importedFrom' in subject.settings
      ? [
          `  in prompts "${sdk.subjectWords(subject)}"`,
          `  ${subject.kind}, imported from ${subject.settings['importedFrom']}, ${subject.createdAt}`,
        ]
      : [
          `  in prompts "${sdk.subjectWords(subject)}", learned with "${subject.instancePrompt}"`,
          `  ${subject.kind}, ${subject.steps} steps, seed ${subject.seed}, ${subject.photos.length} photos, ${subject.createdAt}`,
        ]),
    `  base ${subject.base.path}`,
    `  ${subject.folder}`,
    ...runFileLines(files),
    ...(kept.length === 0 ? [] : [`  weights of steps ${kept.join(', ')}: dreambooth subjects choose`]),
    '  settings:',
    ...settings,
  ];
  output.row({ ...subject, ...files }, lines.join('\n'));
}

export async function exportCommand(
  { loadSdk, output, onInterrupt }: Session,
  typed: readonly string[],
  options: CommonOptions &
    Pick<ExportOptions, 'dtype' | 'overwrite'> & { readonly format?: ExportFormat; readonly out?: string },
): Promise<void> {
  const format = required(
    options.format,
    '--format',
    'kohya for ComfyUI and others, diffusers, checkpoint for the whole model, or subject for another dreambooth',
  );
  const out = required(options.out, '--out', 'name a .safetensors file, or a folder');
  const sdk = await loadSdk();
  output.started(null);
  const home = sdk.openHome(options.home);
  const names = typed.map(typedName);
  const controller = new AbortController();
  const stopListening = onInterrupt(() => controller.abort());
  try {
    const path = await sdk.exportLearned(home, names, format, out, {
      dtype: options.dtype,
      overwrite: options.overwrite,
      signal: controller.signal,
      onWarning: output.warning,
    });
    output.done({ files: [path] }, [path]);
    const words = names.map((name) => {
      const subject = sdk.readSubject(home, name.replace(/:.*/, ''));
      // The web interfaces call an embedding what its file is called.
      const isNamed = subject.kind === 'embedding' && format === 'kohya';
      const file = basename(path, '.safetensors');
      const said = isNamed ? `"embedding:${file}" (ComfyUI) or "${file}"` : `"${sdk.subjectWords(subject)}"`;
      return `${said} where you mean @${subject.name}`;
    });
    output.say(
      format === 'subject'
        ? `Next, where it is to be drawn: dreambooth subjects import ${quoted(path)}`
        : `Next: in the other program write ${words.join(', ')}.`,
    );
  } finally {
    stopListening();
  }
}

export async function importCommand(
  { loadSdk, output }: Session,
  file: string,
  options: CommonOptions & {
    readonly name?: string;
    readonly class?: string;
    readonly identifier?: string;
    readonly base?: string;
  },
): Promise<void> {
  const sdk = await loadSdk();
  output.started(null);
  const subject = sdk.importLearned(sdk.openHome(options.home), file, {
    name: options.name,
    className: options.class,
    identifier: options.identifier,
    base: options.base,
  });
  const { name } = subject;
  output.done({ files: [subject.folder], subject: name, id: subject.id }, [
    `There is a subject @${name} now.`,
    nextPicture(name, options),
  ]);
}

export async function renameCommand(
  { loadSdk, output }: Session,
  name: string,
  newName: string,
  options: CommonOptions,
): Promise<void> {
  const sdk = await loadSdk();
  output.started(null);
  const subject = sdk.renameSubject(sdk.openHome(options.home), typedName(name), typedName(newName));
  output.done({ files: [subject.folder], subject: subject.name, id: subject.id }, [
    `@${typedName(name)} is @${subject.name} now.`,
    nextPicture(subject.name, options),
  ]);
}

export async function chooseCommand(
  { loadSdk, output }: Session,
  name: string,
  options: CommonOptions & { readonly step?: number },
): Promise<void> {
  const step = required(options.step, '--step', 'say which of the kept steps, as --step 400');
  const sdk = await loadSdk();
  output.started(null);
  const subject = sdk.chooseSnapshot(sdk.openHome(options.home), typedName(name), step);
  const kept = sdk.snapshotSteps(subject.folder);
  output.done(
    { files: [subject.folder], subject: subject.name, id: subject.id, steps: subject.steps, kept },
    [
      `@${subject.name} is as it was after ${subject.steps} steps; kept, too: ${kept.join(', ')}.`,
      nextPicture(subject.name, options),
    ],
  );
}

export async function deleteCommand(
  { loadSdk, output }: Session,
  name: string,
  options: CommonOptions,
): Promise<void> {
  const sdk = await loadSdk();
  output.started(null);
  sdk.deleteSubject(sdk.openHome(options.home), typedName(name));
  output.done({ files: [], subject: typedName(name) }, [`@${typedName(name)} is gone.`]);
}

/** Prompts say @rex, so people type it here, too. */
const typedName = (name: string) => name.replace(/^@/, '');

const line = ({ name, className, kind, createdAt }: Subject) =>
  `@${name.padEnd(20)} ${className.padEnd(14)} ${kind.padEnd(9)} ${createdAt.slice(0, 10)}`;
