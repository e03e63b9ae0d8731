import { meanOverPairs } from './features';

/** Root mean square difference of two pictures of bytes, in 0 … 1. */
export function rmsDifference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i]! - b[i]!) / 255) ** 2;
  return Math.sqrt(sum / a.length);
}

/** DIV over pixels: mean difference of the pairs within each group of one prompt, averaged over groups. */
export function pixelDiversity(groups: readonly (readonly Uint8Array[])[]): number {
  return meanOverPairs(groups, rmsDifference);
}

/**
 * COPY of one picture: 1 less its difference from the training photo most like it, so that 1 is a
 * photo come back byte for byte. All pictures have the photos' size.
 */
export function copySimilarity(picture: Uint8Array, photos: readonly Uint8Array[]): number {
  return Math.max(...photos.map((photo) => 1 - rmsDifference(picture, photo)));
}
