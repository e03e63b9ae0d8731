/** A subject of the paper in one of the ways to learn it, and the pictures that are drawn of it. */
import type { KeptPicture } from '../draw-missing';
import type { PaperPhotos } from './paper-dataset';
import { classPrompt, paperPrompt, paperPrompts } from './paper-prompts';

/** With prior preservation by class images, and without. */
export const paperArms = ['images', 'none'] as const;
export type PaperArm = (typeof paperArms)[number];

/** A picture of a run, as `pictures.jsonl` has it. */
export interface PaperPicture extends KeptPicture {
  readonly subject: string;
  readonly arm: PaperArm;
  /** In the subject's list of 25; null: of the bare class. */
  readonly prompt: number | null;
  /** As the model was given it. */
  readonly text: string;
}

/** A subject in an arm. */
export interface PaperTrial {
  readonly subject: PaperPhotos;
  readonly arm: PaperArm;
  /** Folder of its pictures, from that of the run: says how they were made. */
  readonly files: string;
}

/** The pictures of a trial, those of the bare class last; `words` stand for the subject in their texts. */
export function wantedPictures(
  { pictures, classPictures }: { readonly pictures: number; readonly classPictures: number },
  { subject, arm, files }: PaperTrial,
  words: string,
): PaperPicture[] {
  const prompts = paperPrompts(subject);
  const row = (prompt: number | null, text: string, seed: number, name: string): PaperPicture => ({
    subject: subject.name,
    arm,
    prompt,
    text,
    seed,
    file: `${files}/${name}.png`,
  });
  const number = (value: number) => String(value).padStart(2, '0');
  return [
    ...prompts.flatMap((prompt, i) =>
      Array.from({ length: pictures }, (_, k) =>
        row(i, paperPrompt(prompt, words), i * pictures + k, `${number(i)}-${k}`),
      ),
    ),
    ...Array.from({ length: classPictures }, (_, k) =>
      row(null, classPrompt(subject.className), prompts.length * pictures + k, `class-${number(k)}`),
    ),
  ];
}
