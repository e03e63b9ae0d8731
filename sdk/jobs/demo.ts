/** The main job on the embedded base model, from photos to a sheet of pictures: what a newcomer sees first. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { makeFolders } from '../checkpoint/write-failure';
import { NameTakenError } from '../errors';
import type { MeasuredPicture, ToyMeasurement } from '../evaluation/toybox-protocol';
import { type ContactSheetRow, contactSheet } from '../images/contact-sheet';
import { writePng } from '../images/png';
import { readImage } from '../images/read-image';
import type { RgbImage } from '../images/rgb-image';
import type { Home } from '../subjects/home';
import { deleteSubject, listSubjects, type Subject } from '../subjects/subjects';
import { ACCESSORY_PHRASES, CONTEXT_PHRASES } from '../toybox/captions';
import { PICTURE_SIZE } from '../toybox/renderer';
import type { ToySubject } from '../toybox/toy-subject';
import { embeddedBase } from './base-path';
import type { Engine } from './engine';
import type { RunOptions } from './run-options';
import { writeToyPhotos } from './toy-photos';

/** Neither one of those that settings were chosen on nor of those that they are judged by. */
const demoToy: ToySubject = { class: 'dog', seed: 87 };
const demoName = 'biscuit';

export interface Demo {
  readonly photos: readonly string[];
  readonly subject: Subject;
  /** Of the learning. */
  readonly seconds: number;
  readonly measured: { readonly base: ToyMeasurement; readonly subject: ToyMeasurement };
  /** The sheet's path: photos, base model, the subject in scenes and with accessories, the bare class. */
  readonly sheet: string;
}

/**
 * Learns a subject from four rendered photos, measures it and writes `contact-sheet.png` and `photos/` into `folder`.
 * A subject of an earlier demo in the engine's home gives way. Rejects with NameTakenError where its name is that of
 * another one, and with what the engine's calls do.
 */
export async function runDemo(
  engine: Engine,
  { folder, seed = 0 }: { readonly folder: string; readonly seed?: number },
  run: RunOptions = {},
): Promise<Demo> {
  const target = resolve(folder);
  makeFolders(target);
  const photos = await writeToyPhotos(join(target, 'photos'), demoToy);
  giveWay(engine.home, photos);
  const started = performance.now();
  const learned = await engine.personalize(
    { images: photos, className: demoToy.class, name: demoName, base: embeddedBase, seed },
    run,
  );
  const seconds = (performance.now() - started) / 1000;
  const [base, subject] = await engine.measure(
    demoToy,
    [
      { kind: 'base', identifier: learned.identifier, settings: learned.settings },
      { kind: 'subject', name: demoName },
    ],
    run,
  );
  const measured = { base: base!, subject: subject! };
  const sheet = join(target, 'contact-sheet.png');
  await writePng(sheet, await demoSheet(photos, learned, measured));
  return { photos, subject: learned, seconds, measured, sheet };
}

/** What was learned from other photos is not the demo's to delete. */
function giveWay(home: Home, photos: readonly string[]): void {
  const there = listSubjects(home).find(({ name }) => name === demoName);
  if (there === undefined) return;
  const hashes = photos.map((file) => createHash('sha256').update(readFileSync(file)).digest('hex'));
  if (there.photos.length === 0 || there.photos.some(({ sha256 }) => !hashes.includes(sha256))) {
    throw new NameTakenError(
      demoName,
      `@${demoName} in ${home.subjects} was not learned by a demo, which would take its name: rename it, or give the demo another --home.`,
    );
  }
  deleteSubject(home, demoName);
}

async function demoSheet(
  photos: readonly string[],
  subject: Subject,
  measured: Demo['measured'],
): Promise<RgbImage> {
  const { identifier, className } = subject;
  const { pictures, prior } = measured.subject;
  const basePictures = measured.base.pictures;
  const scenes = pictures.filter(([first]) => first!.clauses.accessory === undefined);
  const dressed = pictures.filter(([first]) => first!.clauses.accessory !== undefined);
  const one = (groups: readonly (readonly MeasuredPicture[])[], index: number) =>
    groups.map((group) => picture(group[index]!.pixels));
  const captions = scenes.map(([first]) => CONTEXT_PHRASES[first!.clauses.context!]);
  const rows: ContactSheetRow[] = [
    { label: `${photos.length} photos`, images: await Promise.all(photos.map((file) => readImage(file))) },
    {
      label: `before: "a ${identifier} ${className}" by the base`,
      images: one(basePictures.slice(0, scenes.length), 0),
      captions,
    },
    { label: `after: @${subject.name}`, images: one(scenes, 0), captions },
    { label: 'again, other seeds', images: one(scenes, 1) },
    {
      label: 'with what it never wore',
      images: [...one(dressed, 0), ...one(dressed, 1)],
      captions: [...dressed, ...dressed].map(([first]) => {
        const { accessory, context } = first!.clauses;
        return `${ACCESSORY_PHRASES[accessory as 'hat' | 'scarf']} ${CONTEXT_PHRASES[context!]}`;
      }),
    },
    { label: `after: "a ${className}"`, images: prior.slice(0, scenes.length).map(picture) },
  ];
  return contactSheet(rows, {
    scaling: 'nearest',
    title: `A ${className} that the model had never seen, learned from ${photos.length} photos`,
  });
}

const picture = (data: Uint8Array): RgbImage => ({ width: PICTURE_SIZE, height: PICTURE_SIZE, data });
