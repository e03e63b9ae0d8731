/**
 * Every picture put to the judge, in every run: what it takes beforehand, a limit to what it costs, and answers kept
 * under what they were asked of, so that none is paid for twice.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { InvalidOptionError, JudgeUnreachableError, StoppedError, UnreadableImageError } from '../../errors';
import { readImage } from '../../images/read-image';
import { squashedJpeg } from '../../images/squashed-jpeg';
import { fileHash } from '../fingerprint';
import { type JsonLines, openJsonLines } from '../json-lines';
import type { DreamBenchReference } from './dreambench-data';
import {
  conversation,
  type Judge,
  type JudgeMessage,
  type Judgement,
  type JudgeTokens,
  judged,
  takesNone,
} from './judge';
import { type JudgeRubric, judgeRubrics } from './judge-rubrics';
import { type JudgeQuestion, judgeQuestions, type Rating } from './judge-scores';

/** USD for a million tokens. */
export interface JudgePrice {
  readonly input: number;
  readonly output: number;
}

export interface JudgingLimits {
  /** Default: that of the published judge, where it is that one. */
  readonly price?: JudgePrice;
  /** USD, all starts in this folder together. What would cost more is not begun. */
  readonly maxCost?: number;
  /** Questions put at this start; one whose answer has no score is repeated, and counts once. */
  readonly maxCalls?: number;
  /** Calls at a time; default 8. */
  readonly concurrency?: number;
}

/** Told before anything is learned, with what is not drawn yet, and again before the first call. */
export interface JudgingEstimate {
  /** Questions that have no answer yet. */
  readonly calls: number;
  readonly answered: number;
  readonly tokens: JudgeTokens;
  /** USD; null where no price is known. */
  readonly cost: number | null;
  /** Of what was asked before. */
  readonly spent: number | null;
}

/** As `answers.jsonl` has it. */
export interface Answer extends Judgement, Rating {
  /** Of the judge, the rubric, both contents and the run. */
  readonly key: string;
  readonly reference: string;
  /** USD, at the price of the time; null where none was known. */
  readonly cost: number | null;
  /** Paid for, and not the question's answer: that came before, or is still to come. */
  readonly paidOnly?: true;
}

export interface JudgedPicture {
  readonly reference: DreamBenchReference;
  readonly prompt: number;
  readonly caption: string;
  /** Its path. */
  readonly picture: string;
}

export interface Judging {
  readonly answers: readonly Answer[];
  readonly spent: number | null;
  /** Why not all were asked; null: all were. */
  readonly stopped: string | null;
  /** Paths of drawn pictures that cannot be read, of which nothing was asked. */
  readonly unreadable: readonly string[];
}

/** Pictures go to the judge in so many pixels a side. */
const judgedSide = 512;
/** What such a picture counts as, in detail: one tile and the whole. */
const pictureTokens = 255;
const answerTokens: Readonly<Record<JudgeQuestion, number>> = { CP: 10, PF: 200 };
/** List prices of models whose figures are published. */
const knownPrices: Readonly<Record<string, JudgePrice>> = { 'gpt-4o-2024-05-13': { input: 5, output: 15 } };

/** So many questions in a row without an answer, and at least as many as are asked at a time: nobody is there. */
const mostSilence = 4;
/** So many in a row that were not taken, more than there are of one reference: is it these, or all? */
const mostRejections = 20;

interface Item extends Pick<Rating, 'question' | 'run' | 'category' | 'prompt'> {
  readonly key: string;
  readonly judged: JudgedPicture;
  readonly rubric: JudgeRubric;
}

interface Account {
  readonly kept: JsonLines<Answer>;
  readonly hasPrice: boolean;
  /** Of all starts, whoever was asked. */
  readonly spent: number;
  /** 0 where no price is known. */
  cost(tokens: JudgeTokens): number;
}

/** Throws InvalidOptionError for limits that cannot be held. */
function openAccount(judge: Judge, folder: string, limits: JudgingLimits): Account {
  const { maxCost, maxCalls, concurrency = 8 } = limits;
  if (!Number.isSafeInteger(concurrency) || concurrency < 1)
    throw new InvalidOptionError('concurrency', `concurrency is ${concurrency}: give one or more.`);
  for (const [name, value] of Object.entries({ maxCost, maxCalls })) {
    if (value !== undefined && !(value >= 0))
      throw new InvalidOptionError(name, `${name} is ${value}: give 0 or more.`);
  }
  const price = limits.price ?? knownPrices[judge.model];
  if (maxCost !== undefined && price === undefined)
    throw new InvalidOptionError(
      'maxCost',
      `What ${judge.model} costs is not known here: give its price, too, USD for a million tokens in and out.`,
    );
  const kept = openJsonLines<Answer>(join(folder, 'answers.jsonl'));
  return {
    kept,
    hasPrice: price !== undefined,
    spent: kept.rows.reduce((sum, row) => sum + (row.cost ?? 0), 0),
    cost: ({ input, output }) =>
      price === undefined ? 0 : (input * price.input + output * price.output) / 1e6,
  };
}

/**
 * Before pictures are drawn: what it takes to judge those that are there, so far as they are not judged, and `undrawn` more.
 * Throws InvalidOptionError for limits that cannot be held, or are too low for all of these.
 */
export function foretell(
  judge: Judge,
  folder: string,
  drawn: readonly JudgedPicture[],
  undrawn: number,
  runs: number,
  limits: JudgingLimits,
): JudgingEstimate {
  const account = openAccount(judge, folder, limits);
  const items = itemsOf(judge, drawn, runs);
  const answers = answersIn(account);
  const open = items.filter(({ key }) => !answers.has(key)).map(({ question }) => question);
  const unasked = Array.from({ length: undrawn * runs }, () => judgeQuestions).flat();
  const estimate = estimateOf(account, [...open, ...unasked], items.length - open.length);
  refuseAbove(limits.maxCost, judge, estimate);
  return estimate;
}

/** A judge that was too slow is asked again; what it would not or could not say stays said. */
const answersIn = ({ kept }: Account): Map<string, Answer> =>
  new Map(kept.rows.flatMap((row) => (row.why === 'time-out' || row.paidOnly ? [] : [[row.key, row]])));

function estimateOf(
  { hasPrice, spent, cost }: Account,
  open: readonly JudgeQuestion[],
  answered: number,
): JudgingEstimate {
  const tokens = sumOf(open.map(tokensOf));
  const dear = hasPrice ? { cost: cost(tokens), spent } : { cost: null, spent: null };
  return { calls: open.length, answered, tokens, ...dear };
}

function refuseAbove(
  maxCost: number | undefined,
  { model }: Judge,
  { calls, cost, spent }: JudgingEstimate,
): void {
  if (maxCost === undefined || cost === null || spent === null) return;
  if (calls === 0 || spent + cost <= maxCost) return;
  throw new InvalidOptionError(
    'maxCost',
    `${calls} calls of ${model} cost about ${dollars(cost)}, ${dollars(spent)} are spent, and the limit is ${dollars(maxCost)}: raise it, or judge fewer subjects or runs.`,
  );
}

/**
 * Rejects with InvalidOptionError for limits that cannot be held or are too low from the start, StoppedError,
 * JudgeUnreachableError where nothing but silence comes back, InvalidOptionError where no question is taken any more, and
 * what `ask` of the judge does; what was answered by then is kept.
 */
export async function judgeAll(
  judge: Judge,
  folder: string,
  pictures: readonly JudgedPicture[],
  runs: number,
  limits: JudgingLimits,
  told: {
    readonly onEstimate?: (estimate: JudgingEstimate) => void;
    readonly onAnswer?: (done: number, of: number) => void;
  },
  signal?: AbortSignal,
): Promise<Judging> {
  const { maxCost, maxCalls = Number.POSITIVE_INFINITY, concurrency = 8 } = limits;
  const account = openAccount(judge, folder, limits);
  const { kept, hasPrice, cost } = account;
  const items = itemsOf(judge, pictures, runs);
  const answers = answersIn(account);
  const open = items.filter(({ key }) => !answers.has(key));
  let [asked, paid] = [0, 0];
  // Answers that turn out longer than foretold are expected to go on so.
  const expectedCost = (question: JudgeQuestion) =>
    Math.max(cost(tokensOf(question)), asked === 0 ? 0 : paid / asked);
  let { spent } = account;
  const estimate = estimateOf(
    account,
    open.map(({ question }) => question),
    items.length - open.length,
  );
  told.onEstimate?.(estimate);
  refuseAbove(maxCost, judge, estimate);

  const queue = [...open];
  let [begun, done, underway, silence] = [0, estimate.answered, 0, 0];
  let stopped: string | null = null;
  let failure: unknown;
  const unreadable = new Set<string>();
  const wasTaken = ({ key }: Item) => {
    const answer = answers.get(key);
    return answer !== undefined && !answer.rejected && answer.why !== 'time-out';
  };
  // Not taken since the last answer: refused, once any other is answered.
  const rejections: { readonly said: string; keep(): void }[] = [];
  /** One that was answered, put again: it shows whether all are refused by now. */
  const probe = () =>
    rejections.length > 0 && rejections.length % mostRejections === 0 ? items.find(wasTaken) : undefined;
  const next = (): Item | undefined => {
    const item = probe() ?? queue[0];
    if (item === undefined || failure !== undefined || stopped !== null) return undefined;
    if (begun >= maxCalls) stopped = `${maxCalls} questions were put, as many as were allowed`;
    else if (maxCost !== undefined && spent + underway + expectedCost(item.question) > maxCost)
      stopped = `${dollars(spent)} are spent, and the limit is ${dollars(maxCost)}`;
    if (stopped !== null) return undefined;
    begun++;
    if (item === queue[0]) queue.shift();
    return item;
  };
  const work = async () => {
    for (let item = next(); item !== undefined; item = next()) {
      const expected = expectedCost(item.question);
      underway += expected;
      let paidFor: Judgement | null = null;
      const keep = (judgement: Judgement, as: Pick<Answer, 'paidOnly'> = {}): Answer => {
        const price = cost(judgement.tokens);
        const answer = { ...placeOf(item), ...judgement, ...as, cost: hasPrice ? price : null };
        spent += price;
        paid += price;
        // What costs nothing says nothing of the others.
        if (price > 0) asked++;
        kept.append(answer);
        return answer;
      };
      const settle = (judgement: Judgement) => {
        const answer = keep(judgement);
        if (!answers.has(answer.key)) done++;
        answers.set(answer.key, answer);
        told.onAnswer?.(done, items.length);
      };
      try {
        signal?.throwIfAborted();
        const messages = await messagesOf(item);
        if (messages === null) {
          unreadable.add(item.judged.picture);
          begun--;
          continue;
        }
        const judgement = await judged(judge, messages, tokensOf(item.question), signal, (sofar) => {
          paidFor = sofar;
        });
        const isSilence = judgement.why === 'time-out';
        silence = isSilence ? silence + 1 : 0;
        if (judgement.rejected && paidFor === null) {
          const isNever = rejections.length + 1 === mostRejections && !items.some(wasTaken);
          if (isNever || wasTaken(item)) throw takesNone(judge.endpoint, judgement.said);
          rejections.push({ said: judgement.said, keep: () => settle(judgement) });
          continue;
        }
        paidFor = null;
        // What was said before stays said.
        if (wasTaken(item)) keep(judgement, { paidOnly: true });
        else settle(judgement);
        if (!isSilence) for (const rejection of rejections.splice(0)) rejection.keep();
        if (silence >= Math.max(mostSilence, concurrency)) throw silent(judge, silence);
      } catch (error) {
        // Replies that came before are paid for; the question is put again at the next start.
        if (paidFor !== null) keep(paidFor, { paidOnly: true });
        failure ??= signal?.aborted ? new StoppedError(null, { cause: error }) : error;
      } finally {
        underway -= expected;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, queue.length) }, work));
  if (failure !== undefined) throw failure;
  if (rejections[0] !== undefined && !items.some(wasTaken))
    throw takesNone(judge.endpoint, rejections[0].said);
  for (const rejection of rejections) rejection.keep();
  return {
    answers: items.flatMap(({ key }) => answers.get(key) ?? []),
    spent: hasPrice ? spent : null,
    stopped,
    unreadable: [...unreadable],
  };
}

const silent = ({ endpoint }: Judge, questions: number) =>
  new JudgeUnreachableError(
    `The judge at ${endpoint} let ${questions} questions in a row pass without an answer: repeat the command later, which goes on from the answers that are there.`,
  );

/** One run after another, so that what is broken off has whole runs. */
function itemsOf(judge: Judge, pictures: readonly JudgedPicture[], runs: number): Item[] {
  const hashes = new Map<string, string>();
  const hashOf = (path: string) => {
    const known = hashes.get(path) ?? fileHash(path);
    hashes.set(path, known);
    return known;
  };
  return Array.from({ length: runs }, (_, run) =>
    pictures.flatMap((one) =>
      judgeQuestions.map((question): Item => {
        const { reference, prompt, caption, picture } = one;
        const { category } = reference;
        const rubric = question === 'PF' ? 'prompt' : category === 'style' ? 'style' : 'subject';
        const first = question === 'PF' ? caption : hashOf(reference.picture);
        const { endpoint, model, temperature } = judge;
        const contents = [judgeRubrics[rubric], first, hashOf(picture)];
        const asked = [endpoint, model, temperature, contents, reference.id, prompt, run];
        const key = createHash('sha256').update(JSON.stringify(asked)).digest('hex').slice(0, 24);
        return { key, judged: one, rubric, question, run, category, prompt };
      }),
    ),
  ).flat();
}

/** null where the drawn picture cannot be read. */
async function messagesOf({ question, rubric, judged: one }: Item): Promise<JudgeMessage[] | null> {
  const { reference, caption, picture } = one;
  const shown = async (path: string) => squashedJpeg(await readImage(path), judgedSide);
  const drawn = await shown(picture).catch((error: unknown) => {
    if (error instanceof UnreadableImageError) return null;
    throw error;
  });
  if (drawn === null) return null;
  return conversation(rubric, question === 'PF' ? caption : await shown(reference.picture), drawn);
}

/** What an answer says of its question. */
const placeOf = ({ key, question, run, category, prompt, judged: { reference } }: Item) => ({
  key,
  reference: reference.id,
  category,
  prompt,
  question,
  run,
});

/** What a call takes, about. */
function tokensOf(question: JudgeQuestion): JudgeTokens {
  const { task, restated } = judgeRubrics[question === 'PF' ? 'prompt' : 'subject'];
  const words = Math.ceil((task.length + restated.length) / 4);
  const pictures = question === 'PF' ? 1 : 2;
  return { input: words + pictures * pictureTokens + 40, output: answerTokens[question] };
}

const sumOf = (tokens: readonly JudgeTokens[]): JudgeTokens => ({
  input: tokens.reduce((sum, { input }) => sum + input, 0),
  output: tokens.reduce((sum, { output }) => sum + output, 0),
});

const dollars = (value: number) => `$${value.toFixed(2)}`;
