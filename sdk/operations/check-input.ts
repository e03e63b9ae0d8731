import type { z } from 'zod';
import { InvalidOptionError } from '../errors';
import { likelyMeant } from '../subjects/subject-name';
import { valueWords } from '../work/value-words';
import { type Field, fieldsOf } from './fields';
import type { Operation } from './operation';

/**
 * The input of an operation as it wants it. Throws InvalidOptionError, which says of every field what was found and
 * wanted, and gives an example: enough to ask again rightly.
 */
export function checkInput<Input extends z.ZodObject>(
  operation: Operation<Input, z.ZodObject>,
  given: unknown,
): z.output<Input> {
  const fields = fieldsOf(operation);
  const unknown = Object.keys(Object(given)).filter((name) => !fields.some((field) => field.name === name));
  const checked = operation.input.safeParse(given ?? {});
  if (checked.success && unknown.length === 0) return checked.data;
  const faults = [
    ...unknown.map((name) => unknownField(name, fields)),
    ...(checked.error?.issues ?? []).map(({ path }) => {
      const field = fields.find(({ name }) => name === path[0]);
      const value = (given as Readonly<Record<string, unknown>> | undefined)?.[String(path[0])];
      return field === undefined
        ? 'arguments are fields with values'
        : faultOf(field, operation.input.shape[field.name] as z.ZodType, value);
    }),
  ];
  const [first] = checked.error?.issues ?? [];
  throw new InvalidOptionError(
    String(unknown[0] ?? first?.path[0] ?? 'arguments'),
    `${[...new Set(faults)].join('. ')}. An example: ${JSON.stringify(operation.example)}`,
  );
}

function unknownField(name: string, fields: readonly Field[]): string {
  const names = fields.map((field) => field.name);
  const meant = likelyMeant(name, names);
  return `There is no ${name.slice(0, 60)}${meant === undefined ? `; there are ${names.join(', ') || 'no fields'}` : `; did you mean ${meant}?`}`;
}

function faultOf({ name, words }: Field, schema: z.ZodType, value: unknown): string {
  const text = JSON.stringify(value) ?? '';
  const found =
    value === undefined
      ? 'is missing'
      : `is ${text.length > 60 ? `${text.slice(0, 57)}… (${text.length} characters)` : text}`;
  return `${name} ${found}: give ${valueWords(schema)} (${words})`;
}
