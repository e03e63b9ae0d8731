/** Somebody of the embedded world whom it has never met, learned from photos that are files. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../checkpoint/write-failure';
import { writePng } from '../images/png';
import type { Subject } from '../subjects/subjects';
import { PICTURE_SIZE } from '../toybox/renderer';
import { photoCaption, type ToySubject, toyPhotos } from '../toybox/toy-subject';
import type { PersonalizationSettings } from '../work/personalization-settings';
import { embeddedBase } from './base-path';
import type { Engine } from './engine';
import type { RunOptions } from './run-options';

export interface ToyTrialRequest {
  readonly toy: ToySubject;
  /** The subject's name in the engine's home. */
  readonly name: string;
  /** Where the photos are written, as `1.png` and so on, each with a sentence beside it, as `1.txt`, that says where it was taken. */
  readonly photosFolder: string;
  /** How many; default 4. */
  readonly photos?: number;
  /** What it is said to be; default: what it is. */
  readonly className?: string;
  readonly identifier?: string;
  /** What the sentences call it; default: identifier and class. */
  readonly mention?: string;
  /** Of the training; default 0. */
  readonly seed?: number;
  /** Over those of the base's preset. */
  readonly settings?: PersonalizationSettings;
}

export interface ToyTrial {
  readonly photos: readonly string[];
  readonly subject: Subject;
  /** Of the learning. */
  readonly seconds: number;
}

/** Rejects with what `personalize` of the engine does. */
export async function learnToy(
  engine: Engine,
  {
    toy,
    name,
    photosFolder,
    photos: count,
    className = toy.class,
    mention = '{subject}',
    ...request
  }: ToyTrialRequest,
  run: RunOptions,
): Promise<ToyTrial> {
  const started = performance.now();
  makeFolders(photosFolder);
  const photos: string[] = [];
  for (const [i, data] of toyPhotos(toy, count).entries()) {
    const file = join(photosFolder, `${i + 1}.png`);
    await writePng(file, { width: PICTURE_SIZE, height: PICTURE_SIZE, data });
    writeFileSync(join(photosFolder, `${i + 1}.txt`), photoCaption(i, mention));
    photos.push(file);
  }
  const subject = await engine.personalize(
    { images: photos, className, name, base: embeddedBase, ...request },
    run,
  );
  return { photos, subject, seconds: (performance.now() - started) / 1000 };
}
