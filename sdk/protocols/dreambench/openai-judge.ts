/** A judge behind any endpoint that speaks OpenAI's chat completions, by OpenAI's own client. */
import { setMaxListeners } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import {
  InvalidOptionError,
  JudgeAccessError,
  JudgeUnreachableError,
  MissingPackageError,
  StoppedError,
} from '../../errors';
import { type Judge, type JudgeReply, type JudgeTokens, takesNone } from './judge';

export interface OpenAIJudgeOptions {
  /** Default: OpenAI's. */
  readonly endpoint?: string;
  /** Default: the published judge. */
  readonly model?: string;
  /** Default 1, the published. */
  readonly temperature?: number;
  /** Default: `OPENAI_API_KEY` of the environment. Never shown. */
  readonly key?: string | undefined;
  /** Times that a call is repeated when the endpoint is busy or does not answer; default 10. */
  readonly retries?: number;
  /** For an answer, ms; default 120,000. */
  readonly timeout?: number;
  /** Calls a minute at most, repeats of those that a busy endpoint did not answer apart; default: as many as there are. */
  readonly callsPerMinute?: number;
  /** Told each answer 429 or from 500 on, after which it is asked again, with its status; null: no answer for 20 s. */
  readonly onBusy?: (status: number | null) => void;
}

export const publishedJudge = 'gpt-4o-2024-05-13';
const openAI = 'https://api.openai.com/v1';
/** After so many ms without an answer the caller is told. */
const slow = 20_000;

/**
 * Rejects with MissingPackageError where `openai` is not installed, JudgeAccessError where OpenAI's endpoint has no key
 * or the key cannot be one, InvalidOptionError for what is no address. Asks nothing yet.
 */
export async function openJudge(options: OpenAIJudgeOptions = {}): Promise<Judge> {
  const { model = publishedJudge, temperature = 1, callsPerMinute, timeout = 120_000 } = options;
  // What was asked of one was asked of the other.
  const endpoint = (options.endpoint ?? openAI).replace(/\/+$/, '');
  checkEndpoint(endpoint);
  const key = (options.key ?? process.env['OPENAI_API_KEY'] ?? '').trim();
  if (key === '' && new URL(endpoint).hostname === new URL(openAI).hostname)
    throw new JudgeAccessError(
      `The judge at ${endpoint} wants a key, and OPENAI_API_KEY is not set: set it, or name another endpoint.`,
    );
  // A header cannot carry it, and what refuses such a header shows it.
  if (!/^[\x21-\x7e]*$/.test(key))
    throw new JudgeAccessError(
      'OPENAI_API_KEY has characters that no key has, as blanks, line breaks or curly quotes: copy the key again.',
    );
  const { default: OpenAI } = await import('openai').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new MissingPackageError('openai', 'A judge', { cause });
  });
  const { EnvHttpProxyAgent, fetch } = await import('undici');
  const dispatcher = new EnvHttpProxyAgent();
  const client = new OpenAI({
    // A server of one's own asks for none.
    apiKey: key || 'none',
    baseURL: endpoint,
    maxRetries: options.retries ?? 10,
    timeout,
    async fetch(url, init) {
      const patience = setTimeout(() => options.onBusy?.(null), Math.min(slow, timeout / 2));
      try {
        const response = await fetch(url as string, { ...(init as object), dispatcher });
        const { status, statusText, headers } = response;
        if (status === 429 || status >= 500) options.onBusy?.(status);
        // Read here, where a body that stalls or breaks off is a call that the client repeats.
        const body = await response.arrayBuffer();
        return new Response(body.byteLength === 0 ? null : body, {
          status,
          statusText,
          headers: [...headers],
        });
      } finally {
        clearTimeout(patience);
      }
    },
    // What goes to and fro, the key among it, is nobody's to read.
    logLevel: 'off',
  });
  const waitForTurn = paced(callsPerMinute);
  const judge: Judge = {
    endpoint,
    model,
    temperature,
    async check(signal) {
      try {
        const { data } = await client.models.list({
          maxRetries: 2,
          timeout: slow + 1000,
          ...(signal && { signal }),
        });
        // A name may stand for a model that is listed by another.
        if (Array.isArray(data) && data.some(({ id }) => id === model)) return;
      } catch (error) {
        if (error instanceof OpenAI.APIUserAbortError) throw new StoppedError(null, { cause: error });
        const { status } = error as ApiFailure;
        // A key may be allowed to ask and not to list (403), and not every endpoint lists.
        const nobody = error instanceof OpenAI.APIConnectionError;
        if (nobody || status === 401) throw failureOf(error, endpoint, model, key);
      }
      const { kind, text } = await judge.ask([{ role: 'user', content: 'Say yes.' }], signal);
      if (kind === 'rejection') throw takesNone(endpoint, text);
    },
    async ask(messages, signal): Promise<JudgeReply> {
      await waitForTurn(signal);
      try {
        const reply = await client.chat.completions.create(
          { model, temperature, messages: messages as never },
          // One of its own: the client leaves a listener on each that it is given.
          { ...(signal && { signal: ownSignal(signal) }) },
        );
        if (!Array.isArray(reply?.choices)) throw strangeAnswer(reply, endpoint, key);
        const [choice] = reply.choices;
        const refusal = choice?.message?.refusal || null;
        return {
          kind: refusal !== null || choice?.finish_reason === 'content_filter' ? 'refusal' : 'answer',
          text: refusal ?? textOf(choice?.message?.content),
          model: reply.model ?? null,
          tokens: tokensOf(reply.usage),
        };
      } catch (error) {
        if (error instanceof OpenAI.APIUserAbortError) throw new StoppedError(null, { cause: error });
        if (error instanceof OpenAI.APIConnectionTimeoutError) return unanswered('time-out');
        if (error instanceof OpenAI.APIError && isOfQuestion(error))
          return unanswered('rejection', inALine(error.message, key));
        if (error instanceof SyntaxError) throw strangeAnswer(null, endpoint, key);
        throw failureOf(error, endpoint, model, key);
      }
    },
  };
  return judge;
}

/** Node warns of a signal with more than ten listeners: every try leaves one. */
function ownSignal(signal: AbortSignal): AbortSignal {
  const own = AbortSignal.any([signal]);
  setMaxListeners(0, own);
  return own;
}

const unanswered = (kind: 'time-out' | 'rejection', text = ''): JudgeReply => ({
  kind,
  text,
  model: null,
  tokens: { input: 0, output: 0 },
});

/** Not every endpoint counts, and some count in part. */
function tokensOf(
  usage: { prompt_tokens?: unknown; completion_tokens?: unknown } | null | undefined,
): JudgeTokens | null {
  const { prompt_tokens: input, completion_tokens: output } = usage ?? {};
  return typeof input === 'number' && typeof output === 'number' ? { input, output } : null;
}

interface ApiFailure {
  readonly status?: number | undefined;
  readonly code?: string | null | undefined;
  readonly message: string;
}

/** Of what is in the question, or how long it is, and not of who asks: so it seems, until all are answered alike. */
const isOfQuestion = ({ status, code, message }: ApiFailure) =>
  ((status === 400 || status === 413 || status === 422) && code !== 'insufficient_quota') ||
  (status === 403 && /moderat|flagged|content[ _](policy|filter)/i.test(`${code} ${message}`));

/** What concerns every call. What the endpoint writes about a key is not repeated: it may have the key in it. */
function failureOf(error: unknown, endpoint: string, model: string, key: string): unknown {
  const { status, code, message } = error as ApiFailure;
  const isApi = error instanceof Error && 'status' in error;
  if (!isApi) return error;
  if (status === 401 && key === '')
    return new JudgeAccessError(
      `The judge at ${endpoint} wants a key (401), and OPENAI_API_KEY is not set: set it to one that may use ${model}.`,
    );
  if (status === 401 || status === 403)
    return new JudgeAccessError(
      `The judge at ${endpoint} refuses the key of OPENAI_API_KEY (${status}): set one that may use ${model}.`,
    );
  if (code === 'insufficient_quota' || status === 402)
    return new JudgeAccessError(
      `The judge at ${endpoint} says that nothing is left to pay for calls (${status}): repeat the command when there is, which goes on from the answers that are there.`,
    );
  if (status === 404)
    return new InvalidOptionError(
      'model',
      `The endpoint ${endpoint} has no model ${model}, or no chat/completions (404): correct --judge or --judge-model.`,
    );
  if (status === undefined || status === 408 || status === 409 || status === 429 || status >= 500) {
    const found = status === undefined ? 'does not answer' : `answers ${status}`;
    return new JudgeUnreachableError(
      `The judge at ${endpoint} ${found}, after several tries: repeat the command later, which goes on from the answers that are there.`,
    );
  }
  return takesNone(endpoint, inALine(message, key));
}

/** Of an answer with status 200 that is no completion: a page, or what a gateway says of the model behind it. */
function strangeAnswer(reply: unknown, endpoint: string, key: string): Error {
  const error = (reply as { error?: { message?: unknown } } | null)?.error;
  return error
    ? new JudgeUnreachableError(
        `The judge at ${endpoint} reports an error: ${inALine(String(error.message), key)} Repeat the command later, which goes on from the answers that are there.`,
      )
    : new InvalidOptionError(
        'judge',
        `What answers at ${endpoint} is no judge: chat/completions gives no completion there. Correct --judge, which mostly ends in /v1.`,
      );
}

/** What an endpoint writes, which may be a page, and may have the key in it. */
function inALine(text: string, key: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  // Before it is cut: a part of a key is a secret, too.
  return (key === '' ? line : line.replaceAll(key, '…')).slice(0, 300);
}

/** Some endpoints answer in parts. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return Array.isArray(content) ? content.map((part) => (part as { text?: string }).text ?? '').join('') : '';
}

/** Throws InvalidOptionError, which does not repeat what may be a secret. */
function checkEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new InvalidOptionError('judge', `"${endpoint}" is no address: give one as ${openAI}.`);
  if (url.username !== '' || url.password !== '' || url.search !== '')
    throw new InvalidOptionError(
      'judge',
      `The address of the judge at ${url.host} has a name, a password or a ? in it: give it without, and the key in OPENAI_API_KEY.`,
    );
}

/** Waits so that calls begin no more often. */
function paced(callsPerMinute: number | undefined) {
  if (callsPerMinute !== undefined && !(callsPerMinute > 0))
    throw new InvalidOptionError('callsPerMinute', `callsPerMinute is ${callsPerMinute}: give more than 0.`);
  let next = 0;
  return async (signal: AbortSignal | undefined): Promise<void> => {
    if (callsPerMinute === undefined) return;
    const now = performance.now();
    const turn = Math.max(now, next);
    next = turn + 60_000 / callsPerMinute;
    try {
      await wait(turn - now, undefined, signal ? { signal } : {});
    } catch (cause) {
      throw new StoppedError(null, { cause });
    }
  };
}
