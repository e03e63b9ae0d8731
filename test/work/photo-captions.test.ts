import { describe, expect, test } from 'vitest';
import { captionPrompt } from '../../sdk/work/photo-captions';

const rex = { name: 'rex', identifier: 'olis', className: 'dog', instancePrompt: 'a photo of olis dog' };

describe('a caption', () => {
  test.each([
    ['{subject} asleep on a sofa', 'olis dog asleep on a sofa', false],
    ['@rex, asleep', 'olis dog, asleep', false],
    ['a {class} like Olis', 'a dog like Olis', false],
    ['a dog asleep on a sofa', 'a photo of olis dog, a dog asleep on a sofa', true],
    ['a polish dog; mail a@rex.de', 'a photo of olis dog, a polish dog; mail a@rex.de', true],
  ])('"%s"', (caption, prompt, added) => {
    expect(captionPrompt(caption, rex)).toEqual({ prompt, added });
  });

  test('of a subject without a rare word speaks of it by its class', () => {
    const plain = { ...rex, identifier: '', instancePrompt: 'a photo of dog' };
    expect(captionPrompt('a dog on a sofa', plain)).toEqual({ prompt: 'a dog on a sofa', added: false });
    expect(captionPrompt('a sofa', plain)).toEqual({ prompt: 'a photo of dog, a sofa', added: true });
  });

  test('of an embedding speaks of it by its word', () => {
    const word = {
      ...rex,
      identifier: '<rex>',
      kind: 'embedding',
      instancePrompt: 'a photo of <rex>',
    } as const;
    expect(captionPrompt('a {subject} on grass', word)).toEqual({ prompt: 'a <rex> on grass', added: false });
    expect(captionPrompt('grass', word)).toEqual({ prompt: 'a photo of <rex>, grass', added: true });
  });

  test('about another subject is refused', () => {
    expect(() => captionPrompt('@mia asleep', rex)).toThrow(/captions mentions @mia.*@rex or \{subject\}/);
  });
});
