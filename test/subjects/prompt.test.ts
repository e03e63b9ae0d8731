import { describe, expect, test } from 'vitest';
import { UnknownSubjectError } from '../../sdk/errors';
import { fillPrompt, mentionedNames, resolvePrompt } from '../../sdk/subjects/prompt';

const subjects: Record<string, { identifier: string; className: string }> = {
  rex: { identifier: 'olis', className: 'dog' },
  mia: { identifier: 'ohwx', className: 'toy cat' },
  nobody: { identifier: '', className: 'dog' },
  'dog-1': { identifier: 'zwx', className: 'dog' },
};
const find = (name: string) => {
  const subject = subjects[name];
  if (!subject) throw new UnknownSubjectError(name, Object.keys(subjects));
  return subject;
};
const text = (prompt: string) => resolvePrompt(prompt, find).text;

describe('mentions in a prompt', () => {
  test.each([
    ['a photo of @rex in the snow', 'a photo of olis dog in the snow'],
    ['@rex', 'olis dog'],
    ['@Rex', 'olis dog'],
    ["@rex's hat, and @mia.", "olis dog's hat, and ohwx toy cat."],
    ['(@rex)', '(olis dog)'],
    ['@dog-1 beside @rex-', 'zwx dog beside olis dog-'],
    ['@rex: sleeping', 'olis dog: sleeping'],
    ['@rex:0.8 asleep', 'olis dog asleep'],
    ['"@rex",@mia', '"olis dog",ohwx toy cat'],
    ['a photo of @nobody, @nobody:0.5', 'a photo of dog, dog'],
    ['two  spaces,\n@rex', 'two  spaces,\nolis dog'],
  ])('%j becomes %j', (prompt, expected) => expect(text(prompt)).toBe(expected));

  test.each(['write to a@b.c', 'x.y@rex', '@ 5 pm', '@@rex', 'no mention', '', 'me+you@rex'])(
    '%j is left as it is',
    (prompt) => expect(resolvePrompt(prompt, find)).toEqual({ text: prompt, mentions: [] }),
  );

  test('lists each subject once, with its weight', () => {
    expect(resolvePrompt('@rex:0.8 chases @mia and @rex', find).mentions).toEqual([
      { name: 'rex', weight: 0.8 },
      { name: 'mia', weight: 1 },
    ]);
    expect(resolvePrompt('@rex and @rex:.5', find).mentions).toEqual([{ name: 'rex', weight: 0.5 }]);
    expect(mentionedNames('@Rex, @mia:2, a@b.c, @rex')).toEqual(['rex', 'mia']);
  });

  test('refuses two weights for one subject', () => {
    expect(() => text('@rex:0.5 and @rex:1')).toThrow('@rex has two weights, 0.5 and 1');
  });

  test('refuses what stands for a weight and is none, and leaves a sentence alone', () => {
    expect(() => text('@rex:x on a hill')).toThrow(
      '@rex:x has no weight that can be read: write a number, as @rex:0.8',
    );
    expect(() => text('(@rex:-1)')).toThrow('@rex:-1 has no weight');
    expect(text('@rex: a dog')).toBe(`${text('@rex')}: a dog`);
  });

  test('a recipe’s prompt takes the subject in', () => {
    const filled = (name: string) => fillPrompt('a {subject}, the {class} {it}', subjects[name]!);
    expect(filled('mia')).toBe('a ohwx toy cat, the toy cat {it}');
    expect(filled('nobody')).toBe('a dog, the dog {it}');
  });

  test('an unknown name throws what the finder throws', () => {
    expect(() => text('@rax')).toThrow(UnknownSubjectError);
  });
});
