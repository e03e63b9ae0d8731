/** An engine on stand-in work whose tasks can be looked at, and folders that end with the test. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach } from 'vitest';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import type { GenerationRequest } from '../../sdk/work/run-generation';

export interface Calls {
  learned: {
    name: string;
    className: string;
    identifier: string | null;
    vaePath: string | null;
    settings: Record<string, unknown>;
    photos: { name: string }[];
  }[];
  drawn: GenerationRequest[];
  embedded: { kind: string; pictures: string[]; texts: string[] }[];
  /** What trainings end with, by class. */
  failures: Record<string, Error>;
}

export interface Place {
  folder: string;
  base: string;
  engine: Engine;
  calls: Calls;
}

/** Anew for every test of a file. */
export function placeForTests(): Place {
  const place = {} as Place;
  beforeEach(() => {
    place.folder = mkdtempSync(join(tmpdir(), 'protocol-'));
    place.base = join(place.folder, 'base');
    mkdirSync(place.base);
    // As much of a checkpoint as its fingerprint asks for.
    writeFileSync(join(place.base, 'model_index.json'), '{"_class_name":"StableDiffusionPipeline"}');
    place.engine = createEngine({
      home: join(place.folder, 'home'),
      base: place.base,
      mode: 'in-process',
      workerModule: join(import.meta.dirname, 'protocol-work.mjs'),
    });
    place.calls = { learned: [], drawn: [], embedded: [], failures: {} };
    (globalThis as { protocolCalls?: Calls }).protocolCalls = place.calls;
  });
  afterEach(async () => {
    await place.engine.close();
    rmSync(place.folder, { recursive: true });
  });
  return place;
}

/** A picture of one colour. */
export async function paint(file: string, [r, g, b]: readonly [number, number, number]): Promise<void> {
  if (!existsSync(dirname(file))) mkdirSync(dirname(file), { recursive: true });
  const create = { width: 16, height: 16, channels: 3, background: { r, g, b } } as const;
  // Without loss, whatever the name says: kinds are told by their bytes.
  await sharp({ create }).png().toFile(`${file}.png`);
  renameSync(`${file}.png`, file);
}
