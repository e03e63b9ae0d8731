/** The data of DreamBench++ (Peng et al. 2025) in a folder of the user's: a picture a subject, and nine captions. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { InvalidOptionError, MissingFileError } from '../../errors';
import { isPicture, unreadable } from '../data-pictures';

/** With how many there are of each, as the published rows imply. */
export const dreamBenchCategories = { animal: 45, human: 20, object: 65, style: 20 } as const;
export type DreamBenchCategory = keyof typeof dreamBenchCategories;
export const dreamBenchReferences = 150;
export const dreamBenchCaptions = 9;

/** What the caption of that index asks for: a photograph, another style, something imagined. */
export const promptTypeOf = (index: number): DreamBenchPromptType =>
  index < 4 ? 'photorealistic' : index < 7 ? 'style' : 'imaginative';
export const dreamBenchPromptTypes = ['photorealistic', 'style', 'imaginative'] as const;
export type DreamBenchPromptType = (typeof dreamBenchPromptTypes)[number];

export interface DreamBenchReference {
  /** As in the published results: `live_subject_animal_03_red_panda`. */
  readonly id: string;
  readonly category: DreamBenchCategory;
  readonly number: string;
  readonly picture: string;
  /** The noun by which it is learned and asked for. */
  readonly subject: string;
  readonly captions: readonly string[];
}

export interface DreamBenchData {
  /** By id. */
  readonly references: readonly DreamBenchReference[];
  readonly gaps: readonly string[];
}

/**
 * `folder` holds `images` and `captions`, or `data` with them. Throws MissingFileError, and InvalidOptionError where
 * nothing in it can be used.
 */
export async function openDreamBench(folder: string): Promise<DreamBenchData> {
  const root = existsSync(join(folder, 'data', 'images')) ? join(folder, 'data') : folder;
  const images = join(root, 'images');
  if (!existsSync(images))
    throw new MissingFileError(
      images,
      `There is no ${images}: name the folder of DreamBench++ with data/images and data/captions, or that of these two.`,
    );
  const references: DreamBenchReference[] = [];
  const gaps: string[] = [];
  for (const picture of picturesBelow(images)) {
    const name = relative(images, picture);
    if (!existsSync(picture)) {
      gaps.push(`${name} is left out: it is a link to what is not there`);
      continue;
    }
    const found = await referenceOf(picture, name, join(root, 'captions', name.replace(/\.\w+$/, '.txt')));
    if (typeof found === 'string') gaps.push(`${name} is left out: ${found}`);
    else references.push(found);
  }
  if (references.length === 0)
    throw new InvalidOptionError('data', `Nothing in ${images} can be used: ${gaps[0] ?? 'it is empty'}.`);
  for (const [category, published] of Object.entries(dreamBenchCategories)) {
    const count = references.filter((one) => one.category === category).length;
    if (count !== published) gaps.push(`${count} references of ${category}; ${published} were published`);
  }
  return { references: references.sort((a, b) => (a.id < b.id ? -1 : 1)), gaps };
}

/** What is wrong with it where it cannot be used. */
async function referenceOf(
  picture: string,
  name: string,
  captionFile: string,
): Promise<DreamBenchReference | string> {
  const words = name.split(/[\\/.]/);
  const category = (Object.keys(dreamBenchCategories) as DreamBenchCategory[]).find((one) =>
    words.slice(0, -2).includes(one),
  );
  if (category === undefined)
    return `no folder above it is one of ${Object.keys(dreamBenchCategories).join(', ')}`;
  if (!existsSync(captionFile)) return `it has no captions (${captionFile})`;
  const [subject = '', ...captions] = readFileSync(captionFile, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (captions.length !== dreamBenchCaptions)
    return `${captionFile} has ${captions.length} captions after the noun, not ${dreamBenchCaptions}`;
  const problem = await unreadable(picture);
  if (problem !== undefined) return problem;
  const number = words.at(-2)!;
  const live = category === 'animal' || category === 'human' ? 'live_subject_' : '';
  const id = `${live}${category}_${number}_${subject.toLowerCase().replaceAll(' ', '_')}`;
  return { id, category, number, picture, subject, captions };
}

/** With links that lead nowhere, whatever they were to. */
const picturesBelow = (folder: string): string[] =>
  readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      if (!existsSync(path)) return [path];
      if (statSync(path).isDirectory()) return picturesBelow(path);
      return isPicture(name) ? [path] : [];
    });
