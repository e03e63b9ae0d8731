/** `/dreambooth` from the table of operations: a subcommand for each, with an option for each field. */
import { type Field, fieldsOf, nameAt, type Operation } from 'dreambooth';

/** Discord's numbers for the kinds of options. */
const kinds = { subcommand: 1, text: 3, whole: 4, flag: 5, number: 10, attachment: 11 } as const;
/** A subcommand has at most so many, and a choice likewise. */
const mostOptions = 25;
const mostChoices = 25;
/** As many files as a form takes. */
export const mostPhotos = 10;
/** Whose values are looked up while people type. */
const completed = ['subject', 'class', 'job'];
/** What whoever runs the bot decides, or the bot itself. */
const notAsked = ['waitSeconds', 'base'];

export interface Subcommand {
  readonly name: string;
  /** In the table. */
  readonly key: string;
  readonly operation: Operation;
  readonly fields: readonly Field[];
}

export function subcommandsOf(operations: Readonly<Record<string, Operation>>): Map<string, Subcommand> {
  const found = Object.entries(operations).flatMap(([key, operation]) => {
    const name = nameAt(operation, 'discord');
    if (name === null) return [];
    const fields = fieldsOf(operation).filter((field) => !notAsked.includes(field.name));
    return [[name, { name, key, operation, fields }] as const];
  });
  return new Map(found);
}

/** The names of the options of a field that takes pictures, as `photo1` to `photo10`. */
export const pictureOptions = ({ name, kind }: Field): string[] =>
  kind === 'texts'
    ? Array.from({ length: mostPhotos }, (_, i) => `${name.replace(/s$/, '')}${i + 1}`)
    : [optionName(name)];

/** Discord wants small letters. */
export const optionName = (field: string): string =>
  field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The command as Discord registers it. */
export function commandJson(subcommands: ReadonlyMap<string, Subcommand>): object {
  return {
    name: 'dreambooth',
    type: 1,
    description: 'Learn a subject from photos, and draw it anywhere',
    // In servers and with the bot alone.
    contexts: [0, 1],
    integration_types: [0],
    options: [...subcommands.values()].map(({ name, operation, fields }) => ({
      type: kinds.subcommand,
      name,
      description: shortened(operation.words),
      // Required ones have to come first.
      options: [...fields.filter(isRequired), ...fields.filter((field) => !isRequired(field))]
        .flatMap(optionsOf)
        .slice(0, mostOptions),
    })),
  };
}

/** Photos may also be given in a form, which is shown where there are none. */
const isRequired = ({ required, picture, kind }: Field) => required && !(picture && kind === 'texts');

function optionsOf(field: Field): object[] {
  const { name, words, kind, choices, least, most, picture } = field;
  const description = shortened(words);
  if (picture) {
    return pictureOptions(field).map((option) => ({
      type: kinds.attachment,
      name: option,
      description:
        kind === 'texts'
          ? 'A photo of the subject; without any a form asks for them'
          : shortened(words.replace(/^Absolute path of a/, 'A')),
      required: isRequired(field),
    }));
  }
  if (kind === 'texts') return [];
  const range = {
    ...(least === null ? {} : { min_value: least }),
    ...(most === null ? {} : { max_value: most }),
  };
  return [
    {
      type: kinds[kind],
      name: optionName(name),
      description,
      required: isRequired(field),
      ...(kind === 'whole' || kind === 'number' ? range : {}),
      ...(choices !== null && choices.length <= mostChoices
        ? { choices: choices.map((value) => ({ name: value, value })) }
        : completed.includes(name)
          ? { autocomplete: true }
          : {}),
    },
  ];
}

function shortened(words: string): string {
  return words.length <= 100 ? words : `${words.slice(0, 99)}…`;
}
