/** The evaluation that README speaks of: whole, of the recipe there is, and told as it came out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mean } from '../../sdk/evaluation/oracle-reading';
import { toyArmNames, toyArms } from '../../sdk/protocols/toybox/toybox-arms';
import { type ToyRow, toyControls, toyTestSubjects } from '../../sdk/protocols/toybox/toybox-evaluation';
import {
  type Finding,
  findings,
  type Measure,
  ofArm,
  photoCourse,
} from '../../sdk/protocols/toybox/toybox-summary';
import { presets } from '../../sdk/training/presets';

const root = join(import.meta.dirname, '../..');
const {
  oracle,
  recipe,
  rows,
  findings: told,
} = JSON.parse(readFileSync(join(root, 'test/bench/toybox-evaluation.json'), 'utf8')) as {
  oracle: Record<string, number>;
  recipe: object;
  rows: ToyRow[];
  findings: Finding[];
};
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const subjects = toyTestSubjects.slice(0, 5);

test('the recipe that was evaluated is the one there is', () => {
  expect(recipe).toEqual(presets.toybox.settings);
});

test('every arm was run on five subjects, the main ones with three seeds', () => {
  for (const arm of [...toyControls, ...toyArmNames]) {
    const isMain = arm in toyArms && toyArms[arm as keyof typeof toyArms].main;
    const own = ofArm(rows, arm).map(({ toy, seed }) => `${toy.class} ${seed}`);
    const seeds = isMain ? [0, 1, 2] : [0];
    expect(own.sort(), arm).toEqual(
      subjects.flatMap((toy) => seeds.map((seed) => `${toy.class} ${seed}`)).sort(),
    );
  }
  expect(new Set(photoCourse(rows).map(({ photos }) => photos))).toEqual(new Set([1, 2, 3, 4, 5]));
});

test('the directions that are told are those that the rows show', () => {
  expect(findings(rows)).toEqual(told);
  // README leaves out in how many subjects a measure went up and down.
  for (const { name, verdict, seen } of told) {
    const line = readme.split('\n').find((one) => one.startsWith(`| ${name} |`));
    expect(line).toContain(`| ${verdict} | ${seen.replaceAll(/, (up|down|=) in \d+/g, '')} |`);
  }
  for (const [name, value] of Object.entries(oracle)) expect(readme).toContain(`${name} ${value}`);
});

test.each([...toyControls, ...toyArmNames])('the line of %s in README', (arm) => {
  const of = (measure: Measure) => mean(ofArm(rows, arm).map(({ report }) => report[measure]));
  const measures = ['CP', 'PF', 'CP·PF', 'PRES', 'LEAK', 'PRIOR-FD', 'DIV'] as const;
  const figures = measures.map((measure) => of(measure).toFixed(2));
  expect(readme).toContain(`| \`${arm}\` | ${figures.join(' | ')} |`);
});
