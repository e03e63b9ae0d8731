/**
 * Work that learns nothing: a picture is one colour, whose red says how much it is the subject, whose green how well it
 * follows its prompt, whose blue which picture of the subject it is; encoders read them off it. What is drawn is for the test to say, in `globalThis.cardWork`.
 */
import { readFileSync } from 'node:fs';
import sharp from 'sharp';

export async function runGeneration({ text, subjects, seeds }, { onPicture }) {
  const [first] = subjects;
  const pictures = [];
  for (const seed of seeds) {
    const [red, green, blue = 170] = globalThis.cardWork.draws({ text, seed, step: first?.subject.steps, learned: subjects.length > 0 });
    const create = { width: 8, height: 8, channels: 3, background: { r: red, g: green, b: blue } };
    const png = await sharp({ create }).png().toBuffer();
    globalThis.cardWork.drawn.push(`${text} ${seed}`);
    const picture = { png, width: 8, height: 8, seed, prompt: text, settings: {} };
    onPicture(picture);
    pictures.push(picture);
  }
  return pictures;
}

export async function runEmbedding({ encoder, pictures, texts }) {
  const vectors = [];
  for (const file of pictures) {
    const { data } = await sharp(readFileSync(file)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const [red, green, blue] = data;
    const value = (encoder.kind === 'clip' ? green : red) / 255;
    const [rest, angle] = [Math.sqrt(1 - value ** 2), (2 * Math.PI * blue) / 255];
    vectors.push(Float32Array.of(value, rest * Math.cos(angle), rest * Math.sin(angle)));
  }
  return { encoder: `a stand-in for ${encoder.kind}`, pictures: vectors, texts: texts.map(() => Float32Array.of(1, 0, 0)) };
}
