/** The fields of an operation's input as hosts ask for them: options of a command line, of a Discord command. */
import { z } from 'zod';
import type { Operation } from './operation';

export interface Field {
  readonly name: string;
  readonly words: string;
  readonly kind: 'text' | 'whole' | 'number' | 'flag' | 'texts';
  readonly required: boolean;
  /** Whether its texts are paths of pictures: where people send files, they send these. */
  readonly picture: boolean;
  /** Of a text: the only values there are. */
  readonly choices: readonly string[] | null;
  readonly least: number | null;
  readonly most: number | null;
}

/** Throws TypeError for a field that hosts could not ask for: that is a mistake of whoever wrote the operation. */
export function fieldsOf({ name: operation, input }: Pick<Operation, 'name' | 'input'>): Field[] {
  const { properties = {}, required = [] } = z.toJSONSchema(input, { io: 'input' }) as JsonSchema;
  return Object.entries(properties).map(([name, given]) => {
    const schema = given.anyOf?.find(({ type }) => type !== 'null') ?? given;
    const kind = kindOf(schema);
    const words = given.description ?? schema.description;
    if (kind === null || words === undefined) {
      throw new TypeError(
        `${operation}.${name}: a field is a described text, number, flag or list of texts, not ${JSON.stringify(given)}.`,
      );
    }
    return {
      name,
      words,
      kind,
      required: required.includes(name),
      picture: (given.picture ?? schema.picture ?? schema.items?.picture) === true,
      choices: schema.enum ?? null,
      least: schema.minimum ?? null,
      most: schema.maximum ?? null,
    };
  });
}

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly picture?: boolean;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
}

function kindOf({ type, items }: JsonSchema): Field['kind'] | null {
  if (type === 'string') return 'text';
  if (type === 'integer') return 'whole';
  if (type === 'number') return 'number';
  if (type === 'boolean') return 'flag';
  return type === 'array' && items?.type === 'string' ? 'texts' : null;
}
