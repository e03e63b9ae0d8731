/**
 * What a card's figures advise, each with the command to type next. Thresholds are relative to what the subject's own
 * photos and its base reach, so that they hold for any encoder and any base.
 */
import { join } from 'node:path';
import type { Subject } from '../subjects/subjects';
import type { CardFigures, CoursePoint } from './card-figures';

export interface Advice {
  readonly finding: 'overfitted' | 'identity-weak' | 'class-leaks' | 'earlier-is-better' | 'well-learned';
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

export function adviceOn(subject: Subject, { figures, course, best }: Judged): Advice[] {
  const { name, steps, settings } = subject;
  const { identity, promptFollowing, leakage, copies } = figures;
  const scoreAt = (at: number | null) => course.find((point) => point.steps === at)?.score ?? null;
  const [top, own] = [scoreAt(best), scoreAt(steps)];
  const better = best !== null && best !== steps && top !== null && own !== null && top > own + chance;
  const ignores = promptFollowing.share !== null && promptFollowing.share < lostPrompts;
  const copied = copies !== null && copies >= manyCopies;
  const weak = identity.share !== null && identity.share < weakIdentity;
  const leaks = leakage.share !== null && leakage.share > leakyClass;
  const half = Math.max(1, Math.round(steps / 2));
  const every = Math.max(1, Math.round(half / 5));

  const advice: Advice[] = [];
  // Pictures of strangers that ignore their prompt are not too much of the subject; both are told.
  if ((ignores && !weak) || copied) {
    const why = copied
      ? `${percent(copies!)} of the pictures are nearly a photo`
      : `the pictures show ${percent(promptFollowing.share!)} of what the base shows when asked`;
    advice.push(
      best !== null && best < steps && better
        ? {
            finding: 'overfitted',
            words: `Overfitted: ${why}. Use the weights of step ${best}.`,
            command: choose(name, best),
          }
        : {
            finding: 'overfitted',
            words: `Overfitted: ${why}. Learn it again with fewer steps, keeping the weights on the way.`,
            command: again(
              subject,
              `${name}-2`,
              `--steps ${half} --set sampleEvery=${every} --set keep=every`,
            ),
          },
    );
  } else if (better) {
    advice.push({
      finding: 'earlier-is-better',
      words: `The weights of step ${best} are better (${figure(top!)} against ${figure(own!)} of step ${steps}).`,
      command: choose(name, best!),
    });
  }
  if (weak && !copied) {
    const more = Math.max(50, Math.round(steps / 3 / 50) * 50);
    advice.push(
      subject.kind === 'embedding'
        ? {
            finding: 'identity-weak',
            words: 'Identity is weak, and an embedding is not gone on with: learn a LoRA from the photos.',
            command: again(subject, `${name}-2`, '--set kind=lora'),
          }
        : {
            finding: 'identity-weak',
            words: `Identity is weak (${percent(identity.share!)} of the way from anyone of its class to its photos): more steps.`,
            command: `dreambooth personalize --continue ${name} --steps ${more}`,
          },
    );
  }
  if (leaks) {
    const hasPrior = settings['prior'] === 'images';
    advice.push({
      finding: 'class-leaks',
      words: `The class leaks: "${subject.className}" alone has come ${percent(leakage.share!)} of the way to @${name}. ${hasPrior ? 'Weigh its prior more.' : 'Learn it with class images as the prior.'}`,
      command: again(
        subject,
        `${name}-2`,
        hasPrior ? `--set priorLossWeight=${2 * Number(settings['priorLossWeight'] ?? 1)}` : '--prior images',
      ),
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

const choose = (name: string, step: number) => `dreambooth subjects choose ${name} --step ${step}`;

/** From the photos that are kept with it. */
const again = ({ folder, photos, className, base }: Subject, name: string, how: string) =>
  `dreambooth personalize ${photos.flatMap(({ file }) => (file === undefined ? [] : [quotedWord(join(folder, file))])).join(' ')} --class ${quotedWord(className)} --name ${name} --base ${quotedWord(base.path)} ${how}`;

/** As a shell takes it for one word. */
const quotedWord = (text: string) =>
  /^[\w./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

const percent = (share: number) => `${Math.round(100 * share)} %`;
const figure = (value: number) => value.toFixed(2);
