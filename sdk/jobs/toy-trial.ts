/** One trial on the embedded world: photos of somebody it has never met, as files, learned from and measured. */
import { join } from 'node:path';
import { makeFolders } from '../checkpoint/write-failure';
import type { ToyMeasurement } from '../evaluation/toybox-protocol';
import { writePng } from '../images/png';
import type { Subject } from '../subjects/subjects';
import { PICTURE_SIZE } from '../toybox/renderer';
import { type ToySubject, toyPhotos } from '../toybox/toy-subject';
import type { PersonalizationSettings } from '../work/personalization-settings';
import { embeddedBase } from './base-path';
import type { Engine } from './engine';
import type { RunOptions } from './run-options';

export interface ToyTrialRequest {
  readonly toy: ToySubject;
  /** The subject's name in the engine's home. */
  readonly name: string;
  /** Where the photos are written, as `1.png` and so on. */
  readonly photosFolder: string;
  /** Of the training; default 0. */
  readonly seed?: number;
  /** Over those of the base's preset. */
  readonly settings?: PersonalizationSettings;
}

export interface ToyTrial {
  readonly photos: readonly string[];
  readonly subject: Subject;
  readonly measurement: ToyMeasurement;
  readonly seconds: { readonly learning: number; readonly measuring: number };
}

/** Rejects with what `personalize` and `measure` of the engine do. */
export async function runToyTrial(
  engine: Engine,
  { toy, name, photosFolder, seed = 0, settings = {} }: ToyTrialRequest,
  run: RunOptions,
): Promise<ToyTrial> {
  const started = performance.now();
  makeFolders(photosFolder);
  const photos: string[] = [];
  for (const [i, data] of toyPhotos(toy).entries()) {
    const file = join(photosFolder, `${i + 1}.png`);
    await writePng(file, { width: PICTURE_SIZE, height: PICTURE_SIZE, data });
    photos.push(file);
  }
  const request = { images: photos, className: toy.class, name, base: embeddedBase, seed, settings };
  const subject = await engine.personalize(request, run);
  const learned = performance.now();
  const measurement = await engine.measure(name, toy, run);
  const seconds = {
    learning: (learned - started) / 1000,
    measuring: (performance.now() - learned) / 1000,
  };
  return { photos, subject, measurement, seconds };
}
