/** What a process and its worker process say to each other, and how an error crosses over. */
import * as errors from '../errors';

export type ToWorker =
  | { readonly kind: 'call'; readonly id: number; readonly method: string; readonly argument: unknown }
  /** Stop at the next step and answer. */
  | { readonly kind: 'stop'; readonly id: number };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'event'; readonly id: number; readonly event: unknown }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: SentError };

/** An error as plain data: structured cloning keeps neither the class nor the fields of one. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function sendError(error: unknown): SentError {
  if (!(error instanceof Error))
    return { name: 'Error', message: String(error), stack: undefined, fields: {} };
  const fields = Object.entries(error).filter(([, value]) => isPlain(value));
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    fields: Object.fromEntries(fields),
  };
}

/** The error again, an instance of its class where that is one of this package's. */
export function receiveError({ name, message, stack, fields }: SentError): Error {
  const known = (errors as Readonly<Record<string, unknown>>)[name];
  const isOurs = typeof known === 'function' && known.prototype instanceof Error;
  const error = Object.create(isOurs ? known.prototype : Error.prototype) as Error;
  const own = { message, stack, ...(isOurs ? {} : { name }) };
  for (const [key, value] of Object.entries(own)) {
    Object.defineProperty(error, key, { value, configurable: true, writable: true });
  }
  return Object.assign(error, fields);
}

const isPlain = (value: unknown): boolean =>
  value === null ||
  ['string', 'number', 'boolean', 'undefined'].includes(typeof value) ||
  (Array.isArray(value) && value.every(isPlain));
