/** Subjects, prompts and figures to the letter, as published: google/dreambooth's prompts_and_classes.txt, Ruiz et al. 2023, tables 1 and 3. */
import { expect, test } from 'vitest';
import { paperPrompt, paperPrompts, paperSubjects } from '../../sdk/protocols/paper/paper-prompts';
import type { PaperEvaluation } from '../../sdk/protocols/paper/paper-protocol';
import { differences, paperReport } from '../../sdk/protocols/paper/paper-report';
import { markdownReport } from '../../sdk/reports/markdown';
import { effectiveSettings } from '../../sdk/training/presets';

const lines = (text: string) => text.trim().split('\n');

test('the thirty subjects: folder, class, how many pictures, whether it lives', () => {
  const listed = paperSubjects.map(({ name, className, pictures, live }) =>
    [name, className, pictures, ...(live ? ['live'] : [])].join(', '),
  );
  expect(listed).toEqual(
    lines(`
backpack, backpack, 6
backpack_dog, backpack, 5
bear_plushie, stuffed animal, 5
berry_bowl, bowl, 6
can, can, 6
candle, candle, 5
cat, cat, 5, live
cat2, cat, 5, live
clock, clock, 6
colorful_sneaker, sneaker, 5
dog, dog, 5, live
dog2, dog, 6, live
dog3, dog, 6, live
dog5, dog, 5, live
dog6, dog, 5, live
dog7, dog, 5, live
dog8, dog, 5, live
duck_toy, toy, 4
fancy_boot, boot, 6
grey_sloth_plushie, stuffed animal, 5
monster_toy, toy, 5
pink_sunglasses, glasses, 6
poop_emoji, toy, 5
rc_car, toy, 5
red_cartoon, cartoon, 4
robot_toy, toy, 5
shiny_sneaker, sneaker, 6
teapot, teapot, 5
vase, vase, 6
wolf_plushie, stuffed animal, 5
`),
  );
  expect(new Set(paperSubjects.map(({ className }) => className)).size).toBe(15);
  expect(paperSubjects.reduce((sum, { pictures }) => sum + pictures, 0)).toBe(158);
});

const shared = lines(`
a {} in the jungle
a {} in the snow
a {} on the beach
a {} on a cobblestone street
a {} on top of pink fabric
a {} on top of a wooden floor
a {} with a city in the background
a {} with a mountain in the background
a {} with a blue house in the background
a {} on top of a purple rug in a forest
`);
const ofObjects = lines(`
a {} with a wheat field in the background
a {} with a tree and autumn leaves in the background
a {} with the Eiffel Tower in the background
a {} floating on top of water
a {} floating in an ocean of milk
a {} on top of green grass with sunflowers around it
a {} on top of a mirror
a {} on top of the sidewalk in a crowded street
a {} on top of a dirt road
a {} on top of a white rug
`);
const ofAnimals = lines(`
a {} wearing a red hat
a {} wearing a santa hat
a {} wearing a rainbow scarf
a {} wearing a black top hat and a monocle
a {} in a chef outfit
a {} in a firefighter outfit
a {} in a police outfit
a {} wearing pink glasses
a {} wearing a yellow shirt
a {} in a purple wizard outfit
`);
const properties = lines(`
a red {}
a purple {}
a shiny {}
a wet {}
a cube shaped {}
`);

test.each([
  ['an object', false, ofObjects, 'recontextualisation'],
  ['an animal', true, ofAnimals, 'accessorisation'],
] as const)('the 25 prompts of %s', (_, live, own, kind) => {
  const prompts = paperPrompts({ live });
  expect(prompts.map(({ text }) => text)).toEqual([...shared, ...own, ...properties]);
  expect(prompts.map((prompt) => prompt.kind)).toEqual([
    ...Array(10).fill('recontextualisation'),
    ...Array(10).fill(kind),
    ...Array(5).fill('property'),
  ]);
});

test('a prompt is about its subject', () => {
  const [objects, live] = [paperPrompts({ live: false }), paperPrompts({ live: true })];
  expect(paperPrompt(live[10]!, 'olis dog')).toBe('a olis dog wearing a red hat');
  expect(paperPrompt(objects[24]!, 'olis toy')).toBe('a cube shaped olis toy');
});

/** Of which nothing was measured. */
const evaluation = (about: Partial<PaperEvaluation['about']> = {}): PaperEvaluation => ({
  about: {
    ...{ base: '/sd15', vae: null, preset: 'paper', settings: {}, arms: ['images', 'none'], seed: 0 },
    ...{ pictures: 4, classPictures: 100, drawing: {}, withIdentifier: false, identifiers: {} },
    ...{ subjects: [], versions: {}, recipe: effectiveSettings('paper', {}), drawn: null },
    ...about,
  },
  gaps: [],
  pictures: [],
  measures: [],
});

test('the published figures of tables 1 and 3', () => {
  const rows = markdownReport(paperReport(evaluation())).split('\n');
  expect(rows.filter((row) => row.startsWith('| published: '))).toEqual([
    '| published: real images | 30 | 0.774 | 0.885 |  |',
    '| published: DreamBooth, Imagen | 30 | 0.696 | 0.812 | 0.306 |',
    '| published: DreamBooth, Stable Diffusion | 30 | 0.668 | 0.803 | 0.305 |',
    '| published: Textual Inversion, Stable Diffusion | 30 | 0.569 | 0.780 | 0.255 |',
    '| published: with prior preservation | 15 | 0.493 | 0.391 | 0.684 | 0.815 | 0.308 |',
    '| published: without | 15 | 0.664 | 0.371 | 0.712 | 0.828 | 0.306 |',
  ]);
});

test('the sampler of class images is a difference of its own, where there are any', () => {
  const said = (about: Partial<PaperEvaluation['about']>) => differences(evaluation(about)).join('\n');
  expect(said({})).toMatch(
    /Class images are drawn by dpmpp_2m_karras, .*at guidance 7\.5; the paper: by an ancestral sampler/,
  );
  expect(said({ settings: { classGuidanceScale: 3 } })).toContain('at guidance 3;');
  expect(said({ arms: ['none'] })).not.toContain('Class images');
  expect(said({})).not.toContain('states no sampler, steps, guidance');
});
