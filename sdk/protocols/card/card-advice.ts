/**
 * What a card's figures advise, each with the command to type next. Thresholds are relative to what the subject's own
 * photos and its base reach, so that they hold for any encoder and any base.
 */
import type { Subject } from '../../subjects/subjects';
import type { CardFigures, CoursePoint } from './card-figures';

export interface Advice {
  readonly finding:
    | 'overfitted'
    | 'spoiled'
    | 'identity-weak'
    | 'class-leaks'
    | 'better-step'
    | 'well-learned';
  /** In a sentence. */
  readonly words: string;
  /** To type next. */
  readonly command: string;
}

/** Half-way from anyone of its class to the photos' own likeness: below, pictures are nearer to strangers than to it. */
const weakIdentity = 0.5;
/**
 * A quarter of what the base follows is lost: with sixteen pictures of which nine in ten are right, two standard
 * deviations (√(0.9 · 0.1 / 16) = 0.075) below.
 */
const lostPrompts = 0.75;
/** A quarter of the pictures lies nearer to a photo than a new scene can by chance. */
const manyCopies = 0.25;
/** A quarter of the way from anyone of the class to the subject. */
const leakyClass = 0.25;
/** Four pictures of a step say no more than this. */
const chance = 0.1;

interface Judged {
  readonly figures: CardFigures;
  readonly course: readonly CoursePoint[];
  readonly best: number | null;
}

/** `photos` are those of a subject that keeps none: what learns from them has to be given them. */
export function adviceOn(
  subject: Subject,
  { figures, course, best }: Judged,
  photos: readonly string[] = [],
): Advice[] {
  const { name, steps, settings } = subject;
  const learn = ['dreambooth personalize', ...photos.map(quotedWord)].join(' ');
  // By its settings, and from the captions and masks that are kept with it, too.
  const again = (how: string) => `${learn} --again ${name} ${how}`;
  const { identity, promptFollowing, leakage, copies } = figures;
  const scoreAt = (at: number | null) => course.find((point) => point.steps === at)?.score ?? null;
  const [top, own] = [scoreAt(best), scoreAt(steps)];
  const better = best !== null && best !== steps && top !== null && own !== null && top > own + chance;
  const ignores = promptFollowing.share !== null && promptFollowing.share < lostPrompts;
  const copied = copies !== null && copies >= manyCopies;
  const weak = identity.share !== null && identity.share < weakIdentity;
  const leaks = leakage.share !== null && leakage.share > leakyClass;

  const hasPrior = settings['prior'] === 'images';
  const prior = hasPrior
    ? `--set priorLossWeight=${2 * Number(settings['priorLossWeight'] ?? 1)}`
    : '--prior images';
  const more = Math.max(50, Math.round(steps / 3 / 50) * 50);
  // Both are mended by one training.
  const longer = weak && !copied && !better && !ignores && subject.kind !== 'embedding';

  const advice: Advice[] = [];
  // Strangers that ignore their prompt are neither too much of the subject nor too little: the base has suffered.
  if ((ignores && !weak) || copied) {
    const why = copied
      ? `${percent(copies!)} of the pictures are nearly a photo`
      : `the pictures show ${percent(promptFollowing.share!)} of what the base shows when asked`;
    advice.push(
      better && best < steps
        ? {
            finding: 'overfitted',
            words: `Overfitted: ${why}. Use the weights of step ${best}.`,
            command: choose(name, best),
          }
        : { finding: 'overfitted', ...lessOfIt(subject, why, course, again) },
    );
  } else if (better) {
    advice.push({
      finding: 'better-step',
      words: `The weights of step ${best} are better (${figure(top!)} against ${figure(own!)} of step ${steps}).`,
      command: choose(name, best!),
    });
  } else if (ignores && weak) {
    advice.push({
      finding: 'spoiled',
      words: `Neither itself (${percent(identity.share!)} of the way from anyone of its class to its photos) nor as asked (${percent(promptFollowing.share!)} of what the base shows): the weights have gone astray. Learn it again at half the rate.`,
      command: again(slower(settings)),
    });
  } else if (weak) {
    advice.push(
      subject.kind === 'embedding'
        ? {
            finding: 'identity-weak',
            words: 'Identity is weak, and an embedding is not gone on with: learn a LoRA from the photos.',
            command: again('--set kind=lora'),
          }
        : {
            finding: 'identity-weak',
            words: `Identity is weak (${percent(identity.share!)} of the way from anyone of its class to its photos): ${leaks ? 'more steps, in one training with what follows' : 'more steps'}.`,
            command: leaks
              ? again(`${prior} --steps ${steps + more}`)
              : `${learn} --continue ${name} --steps ${more}`,
          },
    );
  }
  if (leaks) {
    advice.push({
      finding: 'class-leaks',
      words: `The class leaks: "${subject.className}" alone has come ${percent(leakage.share!)} of the way to @${name}. ${hasPrior ? 'Weigh its prior more.' : 'Learn it with class images as the prior.'}`,
      command: again(longer ? `${prior} --steps ${steps + more}` : prior),
    });
  }
  if (advice.length > 0) return advice;
  // Nothing is praised that was not seen.
  if (identity.share === null || promptFollowing.share === null) return [];
  return [
    {
      finding: 'well-learned',
      words: 'Well learned: it is itself, goes where it is asked to, and leaves its class alone.',
      command: `dreambooth generate "a photo of @${name} in the snow"`,
    },
  ];
}

/** Of what was learned too long, and of which no step that was kept is better. */
function lessOfIt(
  subject: Subject,
  why: string,
  course: readonly CoursePoint[],
  again: (how: string) => string,
): Pick<Advice, 'words' | 'command'> {
  const half = Math.max(1, Math.round(subject.steps / 2));
  if (course.some(({ steps }) => steps < subject.steps))
    return {
      words: `Overfitted: ${why}, and the steps before it that were kept are no better. Learn it again at half the rate.`,
      command: again(slower(subject.settings)),
    };
  return {
    words: `Overfitted: ${why}. Learn it again with fewer steps, keeping the weights on the way.`,
    command: again(`--steps ${half} --keep every --set sampleEvery=${Math.max(1, Math.round(half / 5))}`),
  };
}

const choose = (name: string, step: number) => `dreambooth subjects choose ${name} --step ${step}`;

/** As a shell takes it for one word. */
const quotedWord = (text: string) =>
  /^[\w./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

const slower = (settings: Subject['settings']) =>
  ['learningRate', ...(settings['trainTextEncoder'] === true ? ['textEncoderLearningRate'] : [])]
    .map((setting) => `--set ${setting}=${Number((Number(settings[setting] ?? 1e-4) / 2).toPrecision(3))}`)
    .join(' ');

const percent = (share: number) => `${Math.round(100 * share)} %`;
const figure = (value: number) => value.toFixed(2);
