import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEngine, type Engine } from '../../sdk/jobs/engine';
import type { GenerateRequest } from '../../sdk/jobs/generation';
import { applicationNames, applications } from '../../sdk/protocols/applications';
import { type ApplicationsRequest, drawApplications } from '../../sdk/protocols/draw-applications';
import { openHome } from '../../sdk/subjects/home';
import { createSubject, deleteSubject, type Subject } from '../../sdk/subjects/subjects';
import { callIn, events } from '../cli/command-line';

const workerModule = join(import.meta.dirname, '../operations/drawing-work.mjs');
let folder: string;
let out: string;
let engine: Engine;
let asked: GenerateRequest[];
/** The n-th call from here on throws. */
let left: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-applications-'));
  out = join(folder, 'out');
  mkdirSync(join(folder, 'base'));
  asked = [];
  left = Number.POSITIVE_INFINITY;
  const real = createEngine({ home: join(folder, 'home'), mode: 'in-process', workerModule });
  engine = {
    ...real,
    async generate(request, run) {
      left -= 1;
      if (left === 0) throw new Error('the power went');
      asked.push(request);
      return real.generate(request, run);
    },
    // An oracle that sees snow on everything.
    embed: async ({ pictures }) => ({
      encoder: 'stand-in',
      pictures: pictures.map(() => Float32Array.of(1)),
      texts: [],
      clauses: pictures.map(() => ({ context: 'snow' })),
    }),
  };
});
afterEach(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

function subjectOn(base: string, id = 'id-of-rex'): Subject {
  const draft = mkdtempSync(join(folder, 'draft-'));
  return createSubject(
    openHome(join(folder, 'home')),
    'rex',
    {
      id,
      className: 'dog',
      identifier: 'olis',
      instancePrompt: 'a photo of {subject}',
      kind: 'lora',
      base: { path: base, fingerprint: 'none' },
      settings: {},
      seed: 0,
      steps: 10,
      createdAt: new Date().toISOString(),
      photos: [],
      versions: {},
    },
    draft,
  );
}
const draw = (more: Partial<ApplicationsRequest> = {}) => {
  const told: string[] = [];
  return drawApplications(engine, { subject: 'rex', folder: out, ...more }, ({ application }) =>
    told.push(application),
  ).then((result) => ({ ...result, told }));
};
const few = { applications: ['view-synthesis', 'art-rendition'], pictures: 2 } as const;

describe('the prompts', () => {
  const all = applicationNames.flatMap((name) => applications[name].prompts);

  test('each has the subject once, after an article, and no other like it', () => {
    for (const { text } of all) expect(text.match(/\b(a|an) ([a-z]+ )*\{subject\}/g), text).toHaveLength(1);
    expect(new Set(all.map(({ text }) => text)).size).toBe(all.length);
  });

  test('the embedded world has places, accessories, colours and patterns, no art and no sides', () => {
    const counts = applicationNames.map((name) => {
      const { prompts } = applications[name];
      return [name, prompts.filter(({ embedded }) => embedded).length, prompts.length];
    });
    expect(counts).toEqual([
      ['recontextualisation', 8, 14],
      ['accessorisation', 4, 10],
      ['property-modification', 7, 14],
      ['art-rendition', 0, 6],
      ['view-synthesis', 0, 4],
    ]);
    const embedded = (text: string) => all.find((one) => one.text === text)!.embedded;
    expect(embedded('a {subject} wearing a blue scarf on the beach')).toBe(true);
    expect(embedded('a striped {subject}')).toBe(true);
    expect(embedded('a wet {subject}')).toBe(false);
    expect(embedded('a {subject} wearing a chef outfit')).toBe(false);
  });
});

test('a sheet each, every prompt by the subject with the same seeds, and all of it in a report', async () => {
  subjectOn(join(folder, 'base'));
  const { drawn, leftOut, files, told } = await draw({ ...few, seed: 5 });
  expect(told).toEqual(['view-synthesis', 'art-rendition']);
  expect(leftOut).toEqual([]);
  expect(asked).toHaveLength(10);
  for (const request of asked) expect(request).toMatchObject({ seed: 5, count: 2 });
  expect(asked[0]!.prompt).toBe('a @rex seen from the top');
  expect(drawn[0]!.prompts[3]).toEqual({
    prompt: 'a @rex seen from the back',
    pictures: [5, 6].map((seed) => ({
      seed,
      file: join(out, 'view-synthesis', `a-seen-from-the-back-${seed}.png`),
    })),
  });
  expect(readdirSync(join(out, 'view-synthesis'))).toHaveLength(8);
  for (const { sheet } of drawn) expect(statSync(sheet).size).toBeGreaterThan(1000);
  const [html, markdown, json] = files.map((file) => readFileSync(file, 'utf8'));
  expect(html!.match(/<img /g)).toHaveLength(2);
  expect(markdown).toContain('(<art-rendition.png>)');
  const result = JSON.parse(json!);
  expect(result).toMatchObject({ subject: { name: 'rex', steps: 10 }, leftOut: [] });
  // From the folder, which may be moved.
  expect(result.drawn[1].sheet).toBe('art-rendition.png');
  expect(result.drawn[0].prompts[3].pictures[0]).toEqual({
    seed: 5,
    file: 'view-synthesis/a-seen-from-the-back-5.png',
  });
});

test('on the embedded base what its world cannot express is left out, and said to be', async () => {
  subjectOn('toybox');
  const { drawn, leftOut, files } = await draw({ pictures: 1 });
  expect(drawn.map(({ application, prompts }) => [application, prompts.length])).toEqual([
    ['recontextualisation', 8],
    ['accessorisation', 4],
    ['property-modification', 7],
  ]);
  expect(leftOut).toEqual(['art-rendition', 'view-synthesis']);
  expect(readFileSync(files[1]!, 'utf8')).toContain(
    'neither pictures nor words for art-rendition and view-synthesis',
  );
  // The snow alone is as it was asked for.
  const [first] = drawn;
  expect(first!.prompts.map(({ pictures }) => pictures[0]!.asAsked)).toEqual([
    true,
    ...Array.from({ length: 7 }, () => false),
  ]);
  const report = readFileSync(files[1]!, 'utf8');
  expect(report).toContain('1 of 8 pictures show what was asked for');
  expect(report).toContain('| view-synthesis | `a @rex seen from the top` |');
});

describe('broken off', () => {
  test('it goes on with the pictures that are missing, and draws none again', async () => {
    subjectOn(join(folder, 'base'));
    left = 4;
    await expect(draw(few)).rejects.toThrow('the power went');
    expect(asked).toHaveLength(3);
    left = Number.POSITIVE_INFINITY;
    rmSync(join(out, 'view-synthesis', 'a-seen-from-the-side-1.png'), { force: true });
    rmSync(join(out, 'view-synthesis', 'a-seen-from-the-top-1.png'));
    const { drawn } = await draw(few);
    expect(asked).toHaveLength(3 + 1 + 1 + 1 + 6);
    expect(asked[3]).toMatchObject({ prompt: 'a @rex seen from the top', seed: 1, count: 1 });
    expect(asked[4]).toMatchObject({ prompt: 'a @rex seen from the side', seed: 1, count: 1 });
    for (const { file } of drawn.flatMap(({ prompts }) => prompts.flatMap(({ pictures }) => pictures)))
      expect(existsSync(file), file).toBe(true);
    await draw(few);
    expect(asked).toHaveLength(12);
    await draw({ ...few, pictures: 3 });
    expect(asked.slice(12).every(({ seed, count }) => seed === 2 && count === 1)).toBe(true);
  });

  test("a folder of another subject's pictures is refused, and left as it is", async () => {
    const { name } = subjectOn(join(folder, 'base'));
    await draw(few);
    const before = readdirSync(out, { recursive: true });
    deleteSubject(engine.home, name);
    subjectOn(join(folder, 'base'), 'another');
    await expect(draw(few)).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringMatching(
        /holds pictures of another subject or other weights, @rex.*another folder/,
      ),
    });
    expect(readdirSync(out, { recursive: true })).toEqual(before);
  });
});

test('nobody, and numbers that are none, are refused before anything is drawn', async () => {
  await expect(draw()).rejects.toMatchObject({ code: 'unknown-subject' });
  subjectOn(join(folder, 'base'));
  for (const bad of [{ pictures: 0 }, { pictures: 17 }, { pictures: 1.5 }, { seed: -1 }])
    await expect(draw(bad)).rejects.toMatchObject({ code: 'invalid-option' });
  expect([asked.length, existsSync(out)]).toEqual([0, false]);
});

describe('dreambooth evaluate applications', () => {
  const run = (...parameters: string[]) =>
    callIn(
      {
        loadSdk: (async () => ({
          ...(await import('../../sdk/index')),
          createEngine: () => engine,
        })) as never,
      },
      'evaluate',
      'applications',
      '--home',
      join(folder, 'home'),
      ...parameters,
    );

  test('draws, and says where to look and what was left out', async () => {
    subjectOn('toybox');
    const { code, out: said, err } = await run('--subject', '@rex', '--pictures', '1', '--out', out);
    expect(code, err).toBe(0);
    expect(err).toMatch(/recontextualisation\.png\n.*accessorisation\.png\n/s);
    expect(said).toContain('Left out, since the base has no words for it: art-rendition, view-synthesis');
    expect(said).toContain(`Look at ${join(out, 'report.html')}`);
    const json = await run('--subject', 'rex', '--pictures', '1', '--out', out, '--json');
    expect(events(json.out).at(-1)).toMatchObject({
      event: 'done',
      subject: 'rex',
      leftOut: ['art-rendition', 'view-synthesis'],
    });
  });

  test('needs a subject', async () => {
    const { code, err } = await run();
    expect(code).toBe(2);
    expect(err).toMatch(/--subject is missing: say whose pictures, as --subject rex/);
  });
});
