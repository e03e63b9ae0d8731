/** A judge of pictures: conversations put to a model that sees, and the rating in its answer. */
import { InvalidOptionError } from '../../errors';
import { type JudgeRubric, judgeRubrics } from './judge-rubrics';

export type JudgePart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image_url'; readonly image_url: { readonly url: string; readonly detail: 'high' } };

export type JudgeMessage =
  | { readonly role: 'user'; readonly content: string | readonly JudgePart[] }
  | { readonly role: 'assistant'; readonly content: string };

/** What a model said to a conversation. */
export interface JudgeReply {
  /** `rejection`: the endpoint takes no such question, for what is in it or for what is in all of them. */
  readonly kind: 'answer' | 'refusal' | 'rejection' | 'time-out';
  readonly text: string;
  /** As the endpoint names the model that answered. */
  readonly model: string | null;
  /** null where the endpoint does not say. */
  readonly tokens: JudgeTokens | null;
}

export interface JudgeTokens {
  readonly input: number;
  readonly output: number;
}

export interface Judge {
  readonly endpoint: string;
  readonly model: string;
  readonly temperature: number;
  /** Costs nothing, or a word where the endpoint does not list the model: rejects with JudgeAccessError, JudgeUnreachableError or StoppedError where `ask` surely would. */
  check?(signal: AbortSignal | undefined): Promise<void>;
  /**
   * Rejects with JudgeAccessError, JudgeUnreachableError, InvalidOptionError (the model is not there), StoppedError:
   * what concerns every call. A refusal, a rejection or a time-out is an answer.
   */
  ask(conversation: readonly JudgeMessage[], signal: AbortSignal | undefined): Promise<JudgeReply>;
}

/** Why there is no score: the judge would not, wrote something else, or did not answer in time. */
export type NoScore = 'refusal' | 'prose' | 'time-out';

export interface Judgement {
  readonly score: number | null;
  readonly why: NoScore | null;
  /** The last answer. */
  readonly said: string;
  readonly model: string | null;
  /** Of all tries; those of which the endpoint does not say are taken for what was foretold. */
  readonly tokens: JudgeTokens;
  readonly tries: number;
  /** The endpoint did not take the question: a refusal of which the model knows nothing. */
  readonly rejected?: true;
}

/** Where no question is taken: something is wrong with all of them. */
export const takesNone = (endpoint: string, said: string): Error =>
  new InvalidOptionError('judge', `The judge at ${endpoint} takes no such call: ${said}`);

const noScores: Readonly<Record<JudgeReply['kind'], NoScore>> = {
  answer: 'prose',
  refusal: 'refusal',
  rejection: 'refusal',
  'time-out': 'time-out',
};

/** How who will not look begins: a zero after it is of nothing that was seen. */
const apology =
  /^\W*(i['’]?m|i am)\s+(\w+\s+)?(sorry|unable)\b|^\W*(sorry\b|i\s+apologi[sz]e\b)|^\W*i\s+(can['’]?t|can\s?not)\s+(\w+\s+)?(assist|help|comply|provide|identify|compare|rate|evaluate)\b/i;

/** Answers that are looked at before a question counts as unanswered. */
const mostTries = 3;

/** Of `jpeg` bytes; both pictures for `subject` and `style`, text and picture for `prompt`. */
export function conversation(
  rubric: JudgeRubric,
  first: Uint8Array | string,
  generated: Uint8Array,
): JudgeMessage[] {
  const { task, restated } = judgeRubrics[rubric];
  const shown: JudgePart = typeof first === 'string' ? { type: 'text', text: first } : picture(first);
  return [
    { role: 'user', content: task },
    { role: 'assistant', content: restated },
    { role: 'user', content: [shown, picture(generated)] },
  ];
}

const picture = (jpeg: Uint8Array): JudgePart => ({
  type: 'image_url',
  image_url: { url: `data:image/jpeg;base64,${Buffer.from(jpeg).toString('base64')}`, detail: 'high' },
});

/** The one `Score: N` of an answer, 0 to 4; null where there is none, several, a range, another number or another scale. */
export function readScore(answer: string): number | null {
  const found = [...answer.matchAll(scores)];
  const [, digits, range, rest = ''] = found[0] ?? [];
  const score = Number(digits?.replace(',', '.'));
  const scaleEnds = scales.flatMap((scale) => scale.exec(rest)?.[1] ?? []);
  const isOfFour = scaleEnds.every((end) => Number(end) === 4);
  const isScore =
    found.length === 1 && range === undefined && isOfFour && Number.isInteger(score) && score <= 4;
  return isScore ? score : null;
}

/** "Score: 3", with what may stand around it: a word, a range's other end, the rest of the line. */
const scores = /\bscore[*_]*:[*_\s]*[a-z]*\s*(\d+(?:[.,]\d+)?)(\s*(?:[-–—]|to|or)\s*\d)?(?=([^\n]*))/gi;

/** What says in the rest of the line how far the scale goes: "/4", "(out of 4)"; "(0-4)"; "(scale: 0 to 4)"; "4-point". */
const scales = [
  /^[\s*_,([]*(?:points?\s+)?(?:\/|(?:out\s+)?of\b)\D{0,20}?(\d+)/i,
  /^[\s*_]*[([]\s*\d+\s*(?:[-–—]|to)\s*(\d+)/i,
  /\bscale\b\D*(?:\d+\s*(?:[-–—]|to)\s*)?(\d+)/i,
  /(\d+)[-\s]points?\b/i,
];

/**
 * Asks until there is a score, three times at most; whoever is silent or takes no such question has been asked often
 * enough. `onReply` is told each that is not the last, which costs as much. A reply takes the tokens that are `foretold`
 * where the endpoint does not say. Rejects with what the judge does.
 */
export async function judged(
  judge: Judge,
  messages: readonly JudgeMessage[],
  foretold: JudgeTokens,
  signal: AbortSignal | undefined,
  onReply: (sofar: Judgement) => void,
): Promise<Judgement> {
  let tokens: JudgeTokens = { input: 0, output: 0 };
  for (let tries = 1; ; tries++) {
    const { kind, text, model, tokens: told } = await judge.ask(messages, signal);
    const more = told ?? foretold;
    tokens = { input: tokens.input + more.input, output: tokens.output + more.output };
    const read = kind === 'answer' ? readScore(text) : null;
    const isRefusal = read === 0 && apology.test(text);
    const score = isRefusal ? null : read;
    const judgement: Judgement = {
      score,
      why: score !== null ? null : isRefusal ? 'refusal' : noScores[kind],
      said: text,
      model,
      tokens,
      tries,
      ...(kind === 'rejection' && { rejected: true }),
    };
    const isLast = kind === 'time-out' || kind === 'rejection' || tries === mostTries;
    if (score !== null || isLast) return judgement;
    onReply(judgement);
  }
}
