import { z } from 'zod';

/** What a value may be, in words, as "a whole number from 1 to 256": of numbers, texts, flags, lists and choices. */
export function valueWords(schema: z.ZodType): string {
  return words(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema);
}

interface JsonSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

const kinds: Readonly<Record<string, string>> = {
  integer: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  null: 'null',
};

function words(schema: JsonSchema): string {
  if (schema.anyOf) return schema.anyOf.map(words).join(' or ');
  if (schema.enum) return `one of ${schema.enum.join(', ')}`;
  if (schema.type === 'array') return `${count(schema)} of ${words(schema.items ?? {}).replace(/^an? /, '')}`;
  const kind = kinds[schema.type ?? ''] ?? 'a value';
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  // Of whole numbers zod says the largest that there are.
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  const least = minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum;
  return [
    kind,
    ...(least === undefined ? [] : [`from ${least}`]),
    ...(exclusiveMinimum === undefined ? [] : [`above ${exclusiveMinimum}`]),
    ...(most === undefined
      ? least === undefined || exclusiveMaximum !== undefined
        ? []
        : ['on']
      : [`to ${most}`]),
    ...(exclusiveMaximum === undefined ? [] : [`below ${exclusiveMaximum}`]),
    ...(schema.maxLength === undefined ? [] : [`of at most ${schema.maxLength} characters`]),
  ].join(' ');
}

const count = ({ minItems = 0, maxItems }: JsonSchema): string =>
  maxItems === undefined ? 'a list' : `a list of ${minItems} to ${maxItems}`;
