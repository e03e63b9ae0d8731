/** What a caller gives a call by name: a misspelt name is told, or it would be as if nothing had been given. */
import { InvalidOptionError } from '../errors';
import { likelyMeant } from '../subjects/subject-name';

/** Throws InvalidOptionError for what is no object, and for the first name that `known` lacks, with the likeliest of those. */
export function refuseUnknownOptions(
  call: string,
  given: unknown,
  known: Readonly<Record<string, true>>,
): void {
  if (typeof given !== 'object' || given === null)
    throw new InvalidOptionError('options', `${call} was given ${given}: give an object of options.`);
  const names = Object.keys(known);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || Object.hasOwn(known, name)) continue;
    const meant = likelyMeant(name, names);
    throw new InvalidOptionError(
      name,
      `There is no option "${name}" of ${call}. ${meant === undefined ? `There are ${names.join(', ')}.` : `Did you mean "${meant}"?`}`,
    );
  }
}
