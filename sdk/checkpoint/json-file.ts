import { readFileSync } from 'node:fs';
import { BrokenFileError, MissingFileError } from '../errors';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is what `{…}` in JSON parses to. */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a text file. Throws MissingFileError; `whatFor` ends its message. */
export function readTextFile(path: string, whatFor: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new MissingFileError(path, `There is no file ${path}: ${whatFor}.`, { cause });
  }
}

/** Reads a file that holds one JSON object. Throws MissingFileError or BrokenFileError. */
export function readJsonFile(path: string, whatFor: string): JsonObject {
  const text = readTextFile(path, whatFor);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const found = text.trim() === '' ? 'it is empty' : (cause as Error).message;
    throw new BrokenFileError(path, `${path} is not valid JSON (${found}): fetch it again.`, { cause });
  }
  if (!isJsonObject(value))
    throw new BrokenFileError(path, `${path} does not hold a JSON object: fetch it again.`);
  return value;
}
