/** How good the pictures of a step are. */
export interface SampleScores {
  /** Mean cosine to the photos as a share of that of the photos among each other. */
  readonly identity: number;
  /** By the oracle the share of the pictures that show what was asked; by CLIP how much more they do than the photos. */
  readonly promptFollowing: number;
  /** The product, by which the steps of one training are compared. */
  readonly score: number;
}
