/**
 * Every failure a caller could act on, one class per thing the caller would do differently.
 * `code` is stable across releases; `message` says what was found, what was wanted and what to do.
 */
export class DreamBoothError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An option, argument or setting is outside what the call accepts: change the call. */
export class InvalidOptionError extends DreamBoothError {
  readonly option: string;

  constructor(option: string, message: string, options?: ErrorOptions) {
    super('invalid-option', message, options);
    this.option = option;
  }
}
