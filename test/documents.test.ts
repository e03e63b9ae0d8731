/** The maps agree with the land: folders, layers, files that are named, dependencies. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const architecture = read('ARCHITECTURE.md');
const contributing = read('CONTRIBUTING.md');
const section = (title: string) => architecture.split(`\n## ${title}\n`)[1]!.split('\n## ')[0]!;
const manifest = JSON.parse(read('package.json'));

test('every folder and file of sdk has its line in the map', () => {
  const lines = section('The rooms')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  const named = lines.flatMap((line) => line.split(' | ')[0]!.match(/[\w./-]+/g) ?? []);
  for (const entry of readdirSync(join(root, 'sdk'), { withFileTypes: true })) {
    const name = entry.isDirectory() ? `sdk/${entry.name}/` : entry.name;
    expect(
      named.some((one) => one === name || one === `sdk/${name}`),
      name,
    ).toBe(true);
  }
});

test('the layers are those that the import rule holds', () => {
  const { forbidden } = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as {
    forbidden: { name: string; comment?: string }[];
  };
  const held = forbidden
    .filter(({ name }) => name.startsWith('layer-of-'))
    .map(({ comment }) => comment!.replace(/ import only.*$/, '').replaceAll(', ', ' '));
  expect(held.length).toBeGreaterThan(5);
  const drawn = [...section('The rooms').matchAll(/^ {4}([a-z ]+)$/gm)].map(([, line]) => line!);
  expect(drawn.toReversed()).toEqual(held);
});

test.each([
  ['ARCHITECTURE.md', architecture],
  ['CONTRIBUTING.md', contributing],
  ['README.md', read('README.md')],
])('every file that %s names is there', (_, text) => {
  const paths = [...text.matchAll(/`((?:sdk|test|adapters|fixtures|examples)\/[\w./-]*)`/g)].map(
    ([, p]) => p!,
  );
  const short = [...text.matchAll(/`([a-z]+\/[\w./-]+\.ts)`/g)].map(([, path]) => path!);
  const inSdk = short.filter((path) => existsSync(join(root, 'sdk', path.split('/')[0]!)));
  const links = [...text.matchAll(/(?<!!)\[[^\]]*\]\(([\w./-]+)\)/g)].map(([, path]) => path!);
  const wanted = [...paths, ...inSdk.map((path) => `sdk/${path}`), ...links];
  expect(wanted.length).toBeGreaterThan(1);
  for (const path of wanted) expect(existsSync(join(root, path)), path).toBe(true);
});

test('the two tables of what to touch name the same files', () => {
  const rows = (text: string) =>
    new Map(
      [...text.matchAll(/^\| (an? [a-z ]+) \| (.*?) \|/gm)].map(([, what, touch]) => [
        what!,
        [...touch!.matchAll(/`(sdk\/[^`]*)`/g)].map(([, path]) => path!),
      ]),
    );
  const long = rows(section('To add something'));
  const short = rows(contributing);
  expect(short.size).toBeGreaterThan(5);
  for (const [what, paths] of short) if (long.has(what)) expect(paths, what).toEqual(long.get(what));
  for (const what of ['an operator', 'a gradient', 'a scheduler', 'a family of base models']) {
    expect(short, what).toContainEqual([what, long.get(what)]);
  }
});

test('every dependency says what it is for, and none is listed that is not there', () => {
  const rows = [...section('Dependencies').matchAll(/^\| ([@\w/., -]+?) \| .+ \|$/gm)].flatMap(([, names]) =>
    names!.split(', '),
  );
  const listed = rows.filter((name) => name !== 'package').sort();
  const installed = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)].sort();
  expect(listed).toEqual(installed);
});

test('npm scripts that are named exist', () => {
  for (const text of [architecture, contributing]) {
    for (const [, script] of text.matchAll(/npm run ([\w:]+)/g))
      expect(manifest.scripts).toHaveProperty([script!]);
  }
});
