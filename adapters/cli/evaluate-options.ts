import type { InvalidOptionError } from 'dreambooth';
import type { Sdk } from './surroundings';

/** As they are typed. */
const card = '--subject NAME';
const published = ['paper', 'dreambench-plus'];
const worlds = ['toybox', ...published];

/** Whose each option is that not all of `evaluate` have. */
const owners: Readonly<Record<string, readonly string[]>> = {
  subject: [card, 'applications'],
  pictures: [card, 'applications'],
  photos: [card],
  subjects: worlds,
  set: worlds,
  seeds: ['toybox'],
  arms: ['toybox'],
  sweeps: ['toybox'],
  development: ['toybox'],
  base: published,
  vae: published,
  data: published,
  preset: published,
  encoder: ['paper', card],
  prior: ['paper'],
  judge: ['dreambench-plus'],
  judgeModel: ['dreambench-plus'],
  runs: ['dreambench-plus'],
  maxCost: ['dreambench-plus'],
  price: ['dreambench-plus'],
  maxCalls: ['dreambench-plus'],
  callsPerMinute: ['dreambench-plus'],
};

/** An option of another protocol, which would do nothing, as the error to throw; undefined: there is none. */
export function optionOfAnother(
  protocol: string | undefined,
  options: object,
  sdk: Pick<Sdk, 'InvalidOptionError'>,
): InvalidOptionError | undefined {
  const name = protocol ?? card;
  for (const [option, value] of Object.entries(options)) {
    const own = owners[option];
    if (own === undefined || own.includes(name)) continue;
    // The embedded world is learned on the embedded base, whether that is said or not.
    if (name === 'toybox' && option === 'base' && value === 'toybox') continue;
    const flag = `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return new sdk.InvalidOptionError(
      flag.slice(2),
      `${flag} is an option of evaluate ${own.join(' and ')}, and does nothing in evaluate ${name}: leave it out.`,
    );
  }
  return undefined;
}
