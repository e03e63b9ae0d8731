/** As fake-work, with pictures that are pictures: of one colour by the seed, 512 pixels a side where nothing is said. */
import sharp from 'sharp';
import { runGeneration as draw, runPersonalization } from '../jobs/fake-work.mjs';

export { runPersonalization };

export async function runGeneration(request, context) {
  const drawn = await draw(request, { ...context, onPicture() {} });
  const pictures = await Promise.all(
    drawn.map(async (picture) => {
      const [width, height] = [request.width ?? 512, request.height ?? 512];
      const background = { r: picture.seed % 256, g: 128, b: 64 };
      const png = await sharp({ create: { width, height, channels: 3, background } }).png().toBuffer();
      return { ...picture, png: new Uint8Array(png), width, height };
    }),
  );
  // As they are drawn in truth: in the order of their seeds.
  for (const picture of pictures) context.onPicture(picture);
  return pictures;
}
