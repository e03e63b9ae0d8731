/** Commands for the operations that have none of their own here: arguments, help and answer from the table alone. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Field, Operation } from 'dreambooth';
import { fieldsOf, nameAt } from 'dreambooth/operations';
import type { CommonOptions, Session } from './session';

/** Adds what `program` does not know yet. `describe` makes a command with the options that all have. */
export function addOperations(
  program: Command,
  operations: Readonly<Record<string, Operation>>,
  session: Session,
  describe: (name: string, words: string, example: string, parent: Command) => Command,
): void {
  for (const [key, operation] of Object.entries(operations)) {
    const words = nameAt(operation, 'cli')?.split(' ');
    if (words === undefined) continue;
    const last = words.pop()!;
    let parent = program;
    for (const word of words) {
      const known = parent.commands.find((command) => command.name() === word);
      parent =
        known ??
        group(
          describe(
            word,
            groupWords([...words].slice(0, words.indexOf(word) + 1), operations),
            `dreambooth ${word} --help`,
            parent,
          ),
        );
    }
    if (parent.commands.some((command) => command.name() === last)) continue;
    const command = describe(last, operation.words, exampleOf(operation, [...words, last]), parent);
    const fields = fieldsOf(operation);
    const places = fields.filter(({ required }) => required);
    for (const field of places) command.argument(placeOf(field), field.words, parserOf(field));
    for (const field of fields.filter(({ required }) => !required)) command.addOption(optionOf(field));
    command.action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      const options = self.optsWithGlobals<CommonOptions>();
      const input = Object.fromEntries([
        ...places.map(({ name }, i) => [name, given[i]]),
        ...fields
          .filter(({ name }) => name in options)
          .map(({ name }) => [name, options[name as keyof CommonOptions]]),
      ]);
      await run(session, key, input, options, operations);
    });
  }
}

/** What the operations of a group do, as "get a picture, …". */
function groupWords(group: readonly string[], operations: Readonly<Record<string, Operation>>): string {
  const titles = Object.values(operations)
    .filter((operation) => nameAt(operation, 'cli')?.startsWith(`${group.join(' ')} `))
    .map(({ title }) => title[0]!.toLowerCase() + title.slice(1));
  return titles.join(', ');
}

async function run(
  { loadSdk, output, onInterrupt }: Session,
  name: string,
  input: object,
  options: CommonOptions,
  operations: Readonly<Record<string, Operation>>,
): Promise<void> {
  const sdk = await loadSdk();
  const host = sdk.createHost({ home: options.home, allowFolders: null, runsJobs: false, operations });
  const controller = new AbortController();
  const stopListening = onInterrupt(() => controller.abort());
  try {
    const caller = { id: 'local', scope: null, role: 'operator', host: 'cli' } as const;
    const { result, text } = await host.call(name, input, caller, { signal: controller.signal });
    output.row(result, text);
  } finally {
    stopListening();
    await host.close();
  }
}

/** By itself it says what there is in it. */
const group = (command: Command): Command => command.action(() => command.outputHelp());

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const placeOf = ({ name, kind }: Field) => `<${kebab(name)}${kind === 'texts' ? '...' : ''}>`;

function optionOf(field: Field): Option {
  const { name, words, kind, choices } = field;
  if (kind === 'flag') return new Option(`--${kebab(name)}`, words);
  const option = new Option(`--${kebab(name)} <value${kind === 'texts' ? '...' : ''}>`, words);
  return choices === null ? option.argParser(parserOf(field)) : option.choices(choices);
}

/** Numbers as numbers; what is wrong with them the operation says. */
function parserOf({ kind }: Field): (text: string, before: unknown) => unknown {
  if (kind === 'texts') return (text, before) => [...(Array.isArray(before) ? before : []), text];
  if (kind === 'text' || kind === 'flag') return (text) => text;
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Give a number.');
    return value;
  };
}

function exampleOf({ example, ...operation }: Operation, path: readonly string[]): string {
  const given = example as Readonly<Record<string, unknown>>;
  const words = fieldsOf({ ...operation }).flatMap(({ name, required, kind }) => {
    const value = given[name];
    if (value === undefined || value === false) return [];
    const text = (Array.isArray(value) ? value : [value]).map((one) =>
      /^[\w./:@-]+$/.test(String(one)) ? String(one) : JSON.stringify(one),
    );
    if (required) return text;
    return kind === 'flag' ? [`--${kebab(name)}`] : [`--${kebab(name)}`, ...text];
  });
  return ['dreambooth', ...path, ...words].join(' ');
}
