/** Pictures read back: what made one, and the request that makes it again. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { MissingFileError } from '../errors';
import { readPngText } from '../images/png';
import { mentionedNames } from '../subjects/prompt';
import { type MadePicture, readPictureTexts } from '../work/picture-record';
import { embeddedBase } from './base-path';
import type { GenerateRequest } from './generation';

/**
 * Prompt, seed and settings of a PNG that this package made, else of one with the `parameters` of AUTOMATIC1111's web
 * UI or a program that writes like it. Null where the file says nothing of it. Throws MissingFileError.
 */
export function readPicture(path: string): MadePicture | null {
  const file = resolve(path);
  if (!existsSync(file) || !statSync(file).isFile())
    throw new MissingFileError(file, `There is no picture ${file}.`);
  return readPictureTexts(readPngText(readFileSync(file)));
}

/** Of the recorded settings those that a request can be given. How many were drawn at a time is not among them. */
const asked = z
  .object({
    steps: z.number(),
    guidanceScale: z.number(),
    negativePrompt: z.string(),
    width: z.number(),
    height: z.number(),
    scheduler: z.string(),
    clipSkip: z.number(),
    guidanceRescale: z.number(),
    strength: z.number(),
    vaeTiling: z.boolean(),
  })
  .partial();

const askedOf = (settings: MadePicture['settings']): Partial<GenerateRequest> =>
  JSON.parse(JSON.stringify(asked.safeParse(settings).data ?? {}));

/**
 * The request that makes a picture again, to the bit with the same base, subjects, versions and device; a photo that it
 * began from is to be given again. Where the base's contents are others, the generation warns.
 */
export function requestLike(made: MadePicture): GenerateRequest {
  const { prompt, negativePrompt, seed, settings, base } = made;
  const { width, height, ...others } = askedOf(settings);
  const mentioned = [...mentionedNames(prompt), ...mentionedNames(negativePrompt)];
  const learned =
    made.source === 'dreambooth' ? made.subjects.find(({ name }) => !mentioned.includes(name)) : undefined;
  const size = { ...(width === undefined ? {} : { width }), ...(height === undefined ? {} : { height }) };
  return {
    prompt,
    ...(seed === null ? {} : { seed }),
    ...others,
    // Asked for, the size that was drawn in would be the picture's; the photo's own was.
    ...(settings['photoSize'] === true ? {} : size),
    ...(base?.name === embeddedBase ? { base: embeddedBase } : {}),
    ...(base?.fingerprint ? { baseFingerprint: base.fingerprint } : {}),
    ...(learned === undefined ? {} : { learned: { name: learned.name } }),
  };
}
