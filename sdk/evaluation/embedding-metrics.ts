/** The paper's metrics as functions of embeddings (Ruiz et al. 2023, §4.2), whatever encoder made them. */
import { InvalidOptionError } from '../errors';
import { dot, meanOverPairs } from './features';
import { mean } from './oracle-reading';

type Vector = ArrayLike<number>;

/** From −1 to 1; 0 where one of them has no length. Throws InvalidOptionError for vectors of different sizes. */
export function cosine(a: Vector, b: Vector): number {
  refuseOtherSizes(a, b);
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  return lengths === 0 ? 0 : dot(a, b) / lengths;
}

/**
 * Mean cosine over all pairs of one picture of each set. Of generated and real pictures of the subject it is DINO or
 * CLIP-I, by the encoder; of pictures of the bare class and real ones of the subject, with DINO, PRES. NaN where a set
 * is empty.
 */
export const meanPairCosine = (some: readonly Vector[], others: readonly Vector[]): number =>
  mean(some.map((one) => mean(others.map((other) => cosine(one, other)))));

/** CLIP-T: mean cosine of each picture with its own prompt. */
export const promptCosine = (
  pairs: readonly { readonly picture: Vector; readonly prompt: Vector }[],
): number => mean(pairs.map(({ picture, prompt }) => cosine(picture, prompt)));

/**
 * DIV: mean LPIPS between the pictures of one prompt, over the prompts; higher is more various. Embeddings are those of
 * `lpips`, whose squared distance it is. Throws InvalidOptionError for a prompt with fewer than two pictures.
 */
export const lpipsDiversity = (prompts: readonly (readonly Vector[])[]): number =>
  meanOverPairs(prompts, squaredDistance);

/** Throws InvalidOptionError for vectors of different sizes: of LPIPS, for pictures of different sizes. */
export function squaredDistance(a: Vector, b: Vector): number {
  refuseOtherSizes(a, b);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

function refuseOtherSizes(a: Vector, b: Vector): void {
  if (a.length === b.length) return;
  throw new InvalidOptionError(
    'embeddings',
    `An embedding of ${a.length} numbers and one of ${b.length} cannot be compared: take both from one encoder.`,
  );
}
