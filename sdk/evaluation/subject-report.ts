import { reRender } from '../toybox/re-render';
import { direction, featureDiversity, meanCosine } from './features';
import { frechetDistance } from './frechet';
import { conceptScore, leak, type SubjectReference, ungatedConceptScore } from './identity';
import { believedScene, mean, type OracleReading } from './oracle-reading';
import { copySimilarity, pixelDiversity } from './pixels';
import { accuracy, backgroundLeak, type JudgedPicture, promptScore } from './prompt-following';

/** A generated picture with its pixels. */
export interface GeneratedPicture extends JudgedPicture {
  readonly pixels: Uint8Array;
}

/** Everything that is measured of one subject. */
export interface SubjectEvidence {
  readonly reference: SubjectReference;
  /** Pictures of the subject, one group a prompt, two or more of each. */
  readonly prompts: readonly (readonly GeneratedPicture[])[];
  /** Pictures of the bare class noun, by the fine-tuned model and by the untouched base. */
  readonly prior: readonly OracleReading[];
  readonly basePrior: readonly OracleReading[];
  /** Real pictures of the subject, passed through the autoencoder. */
  readonly real: readonly OracleReading[];
  /** The training photos and the indices of the contexts they show. */
  readonly photos: readonly Uint8Array[];
  readonly photoContexts: readonly number[];
  /** See `featureCentre`. */
  readonly centre: ArrayLike<number>;
}

/** The row of a results table, without units; what was not asked for is NaN. */
export interface SubjectReport {
  readonly CP: number;
  readonly PF: number;
  /** Product of the means, as DreamBench++ has it. */
  readonly CP·PF: number;
  /** Mean of the products: the same picture must be right in both. */
  readonly joint: number;
  readonly ungatedCP: number;
  readonly PRES: number;
  readonly LEAK: number;
  readonly 'PRIOR-FD': number;
  /** How much the pictures of the bare class differ. */
  readonly priorDIV: number;
  readonly DIV: number;
  readonly pixelDIV: number;
  readonly COPY: number;
  readonly backgroundLeak: number;
  readonly classAccuracy: number;
  readonly contextAccuracy: number;
  readonly accessoryAccuracy: number;
  /**
   * The check without weights: the first picture of each prompt drawn again from what the oracle believes, over the subject's pixels, in dB.
   * Readings of pictures that show no such thing are found out by it.
   */
  readonly redrawnPSNR: number;
}

/**
 * All metrics of one subject. CP·PF alone prefers a model that forgot its class, so the numbers about
 * the prior belong beside it wherever it is shown.
 */
export function reportSubject(evidence: SubjectEvidence): SubjectReport {
  const { reference, prompts, centre } = evidence;
  const pictures = prompts.flat();
  const concept = pictures.map(({ reading }) => conceptScore(reading, reference));
  const prompt = pictures.map(promptScore);
  const directions = (readings: readonly OracleReading[]) =>
    readings.map((reading) => direction(reading, centre));
  const [CP, PF] = [mean(concept), mean(prompt)];
  return {
    CP,
    PF,
    CP·PF: CP * PF,
    joint: mean(concept.map((score, i) => score * prompt[i]!)),
    ungatedCP: mean(pictures.map(({ reading }) => ungatedConceptScore(reading, reference))),
    PRES: meanCosine(evidence.prior, evidence.real, centre),
    LEAK: leak(evidence.prior, reference),
    'PRIOR-FD': frechetDistance(directions(evidence.prior), directions(evidence.basePrior)),
    priorDIV: featureDiversity([evidence.prior], centre),
    DIV: featureDiversity(
      prompts.map((group) => group.map(({ reading }) => reading)),
      centre,
    ),
    pixelDIV: pixelDiversity(prompts.map((group) => group.map(({ pixels }) => pixels))),
    COPY: Math.max(...pictures.map(({ pixels }) => copySimilarity(pixels, evidence.photos))),
    backgroundLeak: backgroundLeak(pictures, evidence.photoContexts),
    classAccuracy: mean(pictures.map(({ reading }) => (reading.class === reference.class ? 1 : 0))),
    contextAccuracy: accuracy(pictures, 'context'),
    accessoryAccuracy: accuracy(pictures, 'accessory'),
    redrawnPSNR: mean(prompts.map(([first]) => reRender(first!.pixels, believedScene(first!.reading)).psnr)),
  };
}
