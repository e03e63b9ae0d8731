/** Class nouns of people, for whom somebody has to have agreed. */
export const personWords: ReadonlySet<string> = new Set(
  'person people man men woman women human guy lady gentleman face actor actress celebrity politician model husband wife friend mother father mom mum dad grandmother grandfather boyfriend girlfriend couple family portrait selfie'.split(
    ' ',
  ),
);

/** Likewise of children, who cannot. */
export const childWords: ReadonlySet<string> = new Set(
  'child children kid kids boy boys girl girls baby babies toddler infant teen teens teenager son daughter schoolboy schoolgirl minor'.split(
    ' ',
  ),
);
