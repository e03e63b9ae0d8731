/** The reference values of this repository, kind by kind, and how many checks of each there are. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { openCheckpoint } from './checkpoint';
import { checkLoraFiles } from './lora-files';
import { checkModules } from './modules';
import { checkPrompts } from './prompts';
import { openReference } from './reference';
import type { Finding } from './report';
import { defaultFolders } from './run';
import { checkSampling } from './sampling';
import { checkSchedulers } from './schedulers';
import { checkTraining } from './training';

export interface Kind {
  readonly name: string;
  readonly count: number;
  readonly absent: readonly string[];
  findings(): AsyncIterable<Finding>;
}

const golden = defaultFolders[0]!;
const of = (name: string) => openCheckpoint(join(golden, name));

/** The fast tests hold all but the trainings, which take minutes: test/slow/parity-training.test.ts. */
export const kinds: readonly Kind[] = [
  {
    name: 'schedulers',
    count: 52,
    absent: [],
    findings: () => checkSchedulers(openReference(golden, 'schedulers.safetensors')),
  },
  { name: 'sd15-tiny modules', count: 9, absent: [], findings: () => checkModules(of('sd15-tiny')) },
  { name: 'sd15-tiny prompts', count: 13, absent: [], findings: () => checkPrompts(of('sd15-tiny')) },
  { name: 'sd15-tiny sampling', count: 20, absent: [], findings: () => checkSampling(of('sd15-tiny')) },
  { name: 'sd15-tiny LoRA files', count: 26, absent: [], findings: () => checkLoraFiles(of('sd15-tiny')) },
  { name: 'sd15-tiny training', count: 54, absent: [], findings: () => checkTraining(of('sd15-tiny')) },
  { name: 'sd21-tiny modules', count: 9, absent: [], findings: () => checkModules(of('sd21-tiny')) },
  { name: 'sd21-tiny prompts', count: 13, absent: [], findings: () => checkPrompts(of('sd21-tiny')) },
  { name: 'sd21-tiny sampling', count: 20, absent: [], findings: () => checkSampling(of('sd21-tiny')) },
  {
    name: 'sd21-tiny training',
    count: 15,
    absent: ['train-lora-text-encoder', 'train-full', 'train-embedding'],
    findings: () => checkTraining(of('sd21-tiny')),
  },
  { name: 'sdxl-tiny modules', count: 12, absent: [], findings: () => checkModules(of('sdxl-tiny')) },
  { name: 'sdxl-tiny prompts', count: 19, absent: [], findings: () => checkPrompts(of('sdxl-tiny')) },
  { name: 'sdxl-tiny sampling', count: 20, absent: [], findings: () => checkSampling(of('sdxl-tiny')) },
  { name: 'sdxl-tiny LoRA files', count: 26, absent: [], findings: () => checkLoraFiles(of('sdxl-tiny')) },
  {
    name: 'sdxl-tiny training',
    count: 16,
    absent: ['train-full'],
    findings: () => checkTraining(of('sdxl-tiny')),
  },
];

/** Every check of the kind passes, and there are as many as there should be. */
export async function expectHeld({ name, count, absent, findings }: Kind): Promise<void> {
  const rows: Finding[] = [];
  for await (const finding of findings()) rows.push(finding);
  const left = rows.filter((row) => row.status === 'absent').map((row) => row.check);
  expect(left).toEqual(absent);
  const held = rows.filter((row) => row.status !== 'absent');
  expect(held.filter((row) => row.status !== 'pass')).toEqual([]);
  expect(held).toHaveLength(count);
  // What AdamW blows up is left out by name; in sdxl-tiny nothing is.
  for (const { check, note } of rows.filter((row) => /lora.* final weights/.test(row.check))) {
    expect(note, check).toMatch(
      name.startsWith('sdxl')
        ? /^\d+ tensors$/
        : /^\d+ tensors; left out, .*: (unet\.mid_block\.[\w.]+(, )?){4}$/,
    );
  }
}
