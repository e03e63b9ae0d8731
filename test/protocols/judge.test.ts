/** The judge's answers and what becomes of them, with the real client against a server of the test. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect, promisify } from 'node:util';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InvalidOptionError, JudgeAccessError, JudgeUnreachableError, StoppedError } from '../../sdk/errors';
import type { Judge } from '../../sdk/protocols/judge';
import { judgeScores } from '../../sdk/protocols/judge-scores';
import {
  type JudgedPicture,
  type JudgingEstimate,
  type JudgingLimits,
  judgeAll,
} from '../../sdk/protocols/judging';
import { type OpenAIJudgeOptions, openJudge } from '../../sdk/protocols/openai-judge';
import { type FakeOpenAI, startFakeOpenAI } from './fake-openai';
import { paint } from './protocol-engine';

let folder: string;
let server: FakeOpenAI;
let pictures: JudgedPicture[];
const key = 'sk-very-secret-0123456789';

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'judge-'));
  server = await startFakeOpenAI();
  pictures = [];
  for (const [i, category] of (['animal', 'style'] as const).entries()) {
    const reference = join(folder, `reference-${i}.jpg`);
    const picture = join(folder, `picture-${i}.png`);
    await paint(reference, [10 * i, 0, 200]);
    await paint(picture, [10 * i, 200, 0]);
    pictures.push({
      reference: { id: `r${i}`, category, number: '00', picture: reference, subject: 'dog', captions: [] },
      prompt: 0,
      caption: `a dog on the beach ${i}`,
      picture,
    });
  }
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const judge = (more: OpenAIJudgeOptions = {}) =>
  openJudge({ endpoint: server.url, key, retries: 1, ...more });
const ask = async (
  by: Judge,
  {
    runs = 1,
    onEstimate,
    signal,
    ...limits
  }: JudgingLimits & {
    runs?: number;
    onEstimate?: (estimate: JudgingEstimate) => void;
    signal?: AbortSignal;
  } = {},
) =>
  judgeAll(
    by,
    folder,
    pictures,
    runs,
    { concurrency: 1, ...limits },
    { ...(onEstimate && { onEstimate }) },
    signal,
  );
const rows = () =>
  readFileSync(join(folder, 'answers.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('rubric, restatement, then the pictures in 512 pixels; who is shown what', async () => {
  const { answers } = await ask(await judge());
  expect(answers.map(({ question, score }) => [question, score])).toEqual([
    ['CP', 3],
    ['PF', 3],
    ['CP', 3],
    ['PF', 3],
  ]);
  const [subject, text, style] = server.asked;
  expect(subject!.authorization).toBe(`Bearer ${key}`);
  expect(subject!.body).toMatchObject({ model: 'gpt-4o-2024-05-13', temperature: 1 });
  const { messages } = subject!.body;
  expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
  const shown = messages[2]!.content as { type: string; image_url: { url: string; detail: string } }[];
  expect(shown.map(({ type }) => type)).toEqual(['image_url', 'image_url']);
  // The picture is judged without its caption, and the caption without the reference.
  expect(JSON.stringify(messages)).not.toContain('beach');
  const colours: number[][] = [];
  for (const { image_url } of shown) {
    expect(image_url.detail).toBe('high');
    const jpeg = Buffer.from(image_url.url.replace('data:image/jpeg;base64,', ''), 'base64');
    expect(await sharp(jpeg).metadata()).toMatchObject({ format: 'jpeg', width: 512, height: 512 });
    colours.push((await sharp(jpeg).stats()).channels.map(({ mean }) => Math.round(mean / 50) * 50));
  }
  expect(colours).toEqual([
    [0, 0, 200],
    [0, 200, 0],
  ]);
  expect(text!.body.messages[2]!.content).toMatchObject([
    { type: 'text', text: 'a dog on the beach 0' },
    { type: 'image_url' },
  ]);
  expect(messages[0]!.content).toMatch(/Facial features/);
  expect(style!.body.messages[0]!.content).toMatch(/Brushwork/);
  for (const { body } of [subject!, text!, style!])
    expect(body.messages[0]!.content).toMatch(/0, very poor[\s\S]*4, excellent[\s\S]*Score: N/);
});

describe('no score, which is counted and never 0', () => {
  test('prose, three times', async () => {
    server.behave = ({ body }) => ({
      say: JSON.stringify(body).includes('Brushwork') ? 'It is rather good.' : 'Score: 4',
    });
    const { answers } = await ask(await judge());
    expect(answers[2]).toMatchObject({
      score: null,
      why: 'prose',
      said: 'It is rather good.',
      tries: 3,
      tokens: { input: 3000, output: 30 },
    });
    expect(server.asked).toHaveLength(3 + 3);
    expect(judgeScores(answers)).toMatchObject({
      CP: { mean: 1, rated: 1, noScore: 1 },
      noScore: { prose: 1, refusal: 0 },
    });
    // What was said stays said.
    await ask(await judge());
    expect(server.asked).toHaveLength(6);
  });

  test('prose, then a score', async () => {
    server.behave = (_, n) => ({ say: n < 2 ? 'Hm.' : 'Score: 1' });
    const { answers } = await ask(await judge());
    expect(answers[0]).toMatchObject({ score: 1, why: null, tries: 3 });
  });

  test('a refusal, in the answer or instead of one', async () => {
    server.behave = ({ body }, n) => {
      if (JSON.stringify(body).includes('Brushwork'))
        return { status: 400, error: { message: 'no', code: 'content_policy_violation' } };
      return n < 3 ? { refuse: "I can't help with that." } : { say: 'Score: 2' };
    };
    const { answers } = await ask(await judge());
    expect(answers.map(({ score, why }) => score ?? why)).toEqual(['refusal', 2, 'refusal', 2]);
    expect(answers[0]!.said).toBe("I can't help with that.");
  });

  test('silence; it is asked again at the next start', async () => {
    server.behave = ({ body }) =>
      JSON.stringify(body).includes('Brushwork') ? 'silence' : { say: 'Score: 2' };
    const { answers } = await ask(await judge({ timeout: 150, retries: 0 }));
    expect(answers.map(({ score, why }) => score ?? why)).toEqual([2, 2, 'time-out', 2]);
    server.behave = () => ({ say: 'Score: 4' });
    const before = server.asked.length;
    const again = await ask(await judge());
    expect(again.answers.map(({ score }) => score)).toEqual([2, 2, 4, 2]);
    expect(server.asked).toHaveLength(before + 1);
  });
});

test('busy: it waits as long as it is told and tries again', async () => {
  server.behave = (_, n) =>
    n === 0 ? { status: 429, headers: { 'retry-after-ms': '20' } } : { say: 'Score: 3' };
  const told: number[] = [];
  const { answers } = await ask(await judge({ onBusy: (status) => told.push(status) }));
  expect(answers.map(({ score }) => score)).toEqual([3, 3, 3, 3]);
  expect(server.asked).toHaveLength(5);
  expect(told).toEqual([429]);
});

test('of an endless silence it is told, and what was answered stays', async () => {
  server.behave = (_, n) => (n < 1 ? { say: 'Score: 3' } : 'silence');
  const failed = ask(await judge({ timeout: 50, retries: 0 }), { runs: 9 });
  await expect(failed).rejects.toThrow(JudgeUnreachableError);
  await expect(failed).rejects.toThrow(/let 4 questions in a row pass/);
  // Each was put once: the client has repeated it already, as often as it is told to.
  expect(server.asked).toHaveLength(1 + 4);
  server.behave = () => ({ say: 'Score: 2' });
  const { answers } = await ask(await judge());
  expect(answers.map(({ score }) => score)).toEqual([3, 2, 2, 2]);
});

test.each([
  ['a page', '<html>Welcome</html>', 'text/html', /is no judge: .*ends in \/v1/],
  ['half an answer', '{"choices":', undefined, /is no judge/],
  [
    'an error of a gateway',
    `{"error":{"message":"upstream ${key}\\nis down"}}`,
    undefined,
    /upstream … is down/,
  ],
])('%s with status 200 is one line', async (_, body, type, message) => {
  server.behave = () => ({ body, ...(type && { type }) });
  const error = await ask(await judge()).catch((cause: Error) => cause);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).not.toMatch(/\n|secret/);
});

test('an answer in parts is read as a whole', async () => {
  const message = {
    role: 'assistant',
    content: [
      { type: 'text', text: 'Score:' },
      { type: 'text', text: ' 2' },
    ],
  };
  server.behave = () => ({ body: JSON.stringify({ choices: [{ message }] }) });
  const { answers } = await ask(await judge());
  expect(answers.map(({ score }) => score)).toEqual([2, 2, 2, 2]);
});

test('down half-way, then gone on with: nothing is asked twice', async () => {
  server.behave = (_, n) => (n < 2 ? { say: 'Score: 3' } : 'hang-up');
  const failed = ask(await judge({ retries: 0 }), { runs: 3 });
  await expect(failed).rejects.toThrow(JudgeUnreachableError);
  await expect(failed).rejects.toThrow(/does not answer.*goes on from the answers that are there/s);
  expect(rows()).toHaveLength(2);
  server.asked.length = 0;
  server.behave = () => ({ say: 'Score: 1' });
  const { answers } = await ask(await judge(), { runs: 3, concurrency: 4 });
  expect(server.asked).toHaveLength(10);
  expect(answers.map(({ score }) => score)).toEqual([3, 3, ...Array.from({ length: 10 }, () => 1)]);
  expect(new Set(answers.map((answer) => answer.key)).size).toBe(12);
});

test('stopped: what was answered stays', async () => {
  const stop = new AbortController();
  server.behave = (_, n) => {
    if (n < 2) return { say: 'Score: 3' };
    stop.abort();
    return 'silence';
  };
  await expect(ask(await judge(), { signal: stop.signal })).rejects.toThrow(StoppedError);
  expect(rows()).toHaveLength(2);
});

test('another judge, picture or caption is another question', async () => {
  await ask(await judge());
  await ask(await judge({ model: 'other' }));
  expect(server.asked).toHaveLength(8);
  await paint(pictures[0]!.picture, [1, 2, 3]);
  await ask(await judge());
  // Both questions are about the picture.
  expect(server.asked).toHaveLength(10);
  pictures[0] = { ...pictures[0]!, caption: 'a dog at home' };
  await ask(await judge());
  expect(server.asked).toHaveLength(11);
});

describe('the key', () => {
  test.each([401, 403])('that is refused (%i) is one clear line without it', async (status) => {
    server.behave = () => ({
      status,
      error: { message: `Incorrect API key provided: ${key}`, code: 'invalid_api_key' },
    });
    const error = await ask(await judge()).then(
      () => expect.fail('it was taken'),
      (cause: unknown) => cause as JudgeAccessError,
    );
    expect(error).toBeInstanceOf(JudgeAccessError);
    expect(error.code).toBe('judge-access');
    expect(error.message).toMatch(/^The judge at http:\S+ refuses the key of OPENAI_API_KEY \(\d+\)/);
    expect(error.message).not.toContain('\n');
    expect(inspect(error, { depth: 9 })).not.toContain('secret');
    expect(server.asked).toHaveLength(1);
  });

  test('that is missing is told before anything is asked; a server of one’s own needs none', async () => {
    const before = process.env['OPENAI_API_KEY'];
    delete process.env['OPENAI_API_KEY'];
    try {
      await expect(openJudge()).rejects.toThrow(JudgeAccessError);
      await expect(openJudge()).rejects.toThrow(/OPENAI_API_KEY is not set/);
      await ask(await openJudge({ endpoint: server.url }));
      server.listing = 401;
      const wanting = await openJudge({ endpoint: server.url });
      await expect(wanting.check!(undefined)).rejects.toThrow(
        /wants a key \(401\), and OPENAI_API_KEY is not set/,
      );
      process.env['OPENAI_API_KEY'] = key;
      expect((await openJudge()).endpoint).toBe('https://api.openai.com/v1');
    } finally {
      if (before === undefined) delete process.env['OPENAI_API_KEY'];
      else process.env['OPENAI_API_KEY'] = before;
    }
    expect(JSON.stringify(rows())).not.toContain('secret');
  });

  test.each(['sk-very-secret”', 'sk-very\nsecret', 'sk very secret'])(
    'that no header can carry (%j) is not shown',
    async (odd) => {
      const error = await judge({ key: odd }).catch((cause: JudgeAccessError) => cause);
      expect(error).toBeInstanceOf(JudgeAccessError);
      expect(inspect(error)).not.toContain('secret');
    },
  );

  test('has a line break at its end cut off', async () => {
    await ask(await judge({ key: `${key}\n` }));
    expect(server.asked[0]!.authorization).toBe(`Bearer ${key}`);
  });

  test.each(['https://me:very-secret@host/v1', 'https://host/v1?key=very-secret', 'file:///x'])(
    'does not belong into the address: %s',
    async (endpoint) => {
      const error = await judge({ endpoint }).catch((cause: Error) => cause);
      expect(error).toBeInstanceOf(InvalidOptionError);
      expect((error as Error).message).not.toContain('secret');
    },
  );

  test('in what a server complains of is not repeated', async () => {
    server.behave = () => ({ status: 400, error: { message: `API key ${key} is not valid` } });
    await expect(ask(await judge())).rejects.toThrow(/takes no such call: 400 API key … is not valid/);
    // Where the line is cut it is in the midst of the key, were that not replaced before.
    server.behave = () => ({ status: 400, error: { message: `${'x'.repeat(285)} ${key}` } });
    await expect(ask(await judge())).rejects.toThrow(/x …$/);
  });

  test('is looked at before anything is asked, where that can be', async () => {
    const check = async () => (await judge()).check!(undefined);
    await check();
    expect(server.asked).toEqual([]);
    server.listing = 401;
    await expect(check()).rejects.toThrow(JudgeAccessError);
    // A key may be good for asking alone, and a server may list nothing: then a word is asked for.
    for (server.listing of [403, 404]) await check();
    expect(server.asked).toHaveLength(2);
    server.behave = () => ({ body: '<html>Welcome</html>', type: 'text/html' });
    await expect(check()).rejects.toThrow(/is no judge: .*ends in \/v1/);
    server.behave = () => ({ status: 404 });
    await expect(check()).rejects.toThrow(/has no model gpt-4o-2024-05-13, or no chat\/completions/);
    const gone = await judge({ endpoint: 'http://127.0.0.1:9/v1' });
    await expect(gone.check!(undefined)).rejects.toThrow(JudgeUnreachableError);
  });

  test('that nothing is left to pay with is no busy judge', async () => {
    server.behave = () => ({ status: 429, error: { message: 'quota', code: 'insufficient_quota' } });
    await expect(ask(await judge({ retries: 0 }))).rejects.toThrow(/nothing is left to pay/);
  });

  test('a model that is not there is a wrong option', async () => {
    server.behave = () => ({ status: 404, error: { message: 'no such model' } });
    await expect(ask(await judge({ model: 'gpt-none' }))).rejects.toThrow(/has no model gpt-none/);
    await expect(judge({ endpoint: 'nowhere' })).rejects.toThrow(InvalidOptionError);
  });
});

describe('what it costs', () => {
  test('is told beforehand, by what is open', async () => {
    const told: JudgingEstimate[] = [];
    const onEstimate = (estimate: JudgingEstimate) => told.push(estimate);
    await ask(await judge(), { runs: 2, onEstimate });
    expect(told[0]).toMatchObject({ calls: 8, answered: 0, spent: 0 });
    const { input, output } = told[0]!.tokens;
    // Pictures are 255 tokens, CP has two of them, PF one.
    expect(input).toBeGreaterThan(4 * 3 * 255);
    expect(output).toBe(4 * 10 + 4 * 200);
    expect(told[0]!.cost).toBeCloseTo((input * 5 + output * 15) / 1e6, 9);
    const { spent } = await ask(await judge(), { runs: 3, onEstimate });
    expect(told[1]).toMatchObject({ calls: 4, answered: 8 });
    // 1000 tokens in and 10 out, as the server says, for twelve.
    expect(told[1]!.spent).toBeCloseTo((8 * (1000 * 5 + 10 * 15)) / 1e6, 9);
    expect(spent).toBeCloseTo((12 * (1000 * 5 + 10 * 15)) / 1e6, 9);
    expect((await ask(await judge({ model: 'other' }))).spent).toBeNull();
    // What another judge was asked is not charged at the price of this one.
    expect((await ask(await judge(), { runs: 3 })).spent).toBeCloseTo(spent!, 9);
  });

  test('more than the limit is not begun', async () => {
    await expect(ask(await judge(), { maxCost: 0.001 })).rejects.toThrow(/cost about \$0\.0\d.*raise it/);
    await expect(ask(await judge({ model: 'other' }), { maxCost: 9 })).rejects.toThrow(/is not known here/);
    expect(server.asked).toHaveLength(0);
    await ask(await judge({ model: 'other' }), { maxCost: 9, price: { input: 1, output: 1 } });
    expect(server.asked).toHaveLength(4);
  });

  test('answers that are longer than foretold end it at the limit', async () => {
    server.behave = () => ({ say: 'Score: 3', tokens: [1000, 10_000] });
    const { answers, stopped, spent } = await ask(await judge(), { runs: 5, maxCost: 0.35 });
    // Each takes 0.155: after two there is no room for a third.
    expect(answers).toHaveLength(2);
    expect(spent).toBeCloseTo(0.31, 9);
    expect(stopped).toBe('$0.31 are spent, and the limit is $0.35');
  });

  test('as does a number of calls', async () => {
    const { answers, stopped } = await ask(await judge(), { maxCalls: 3 });
    expect(answers).toHaveLength(3);
    expect(stopped).toMatch(/3 questions were put/);
    expect((await ask(await judge(), { maxCalls: 3 })).stopped).toBeNull();
    expect(server.asked).toHaveLength(4);
  });

  test('what was paid for before the judge went down is counted, and asked again', async () => {
    server.behave = (_, n) => (n === 0 ? { say: 'hm', tokens: [1e6, 0] } : 'hang-up');
    const price = { input: 2, output: 0 };
    await expect(ask(await judge({ retries: 0 }), { price })).rejects.toThrow(JudgeUnreachableError);
    expect(rows()).toEqual([expect.objectContaining({ score: null, cost: 2 })]);
    server.behave = () => ({ say: 'Score: 3', tokens: [0, 0] });
    const { answers, spent } = await ask(await judge(), { price });
    expect(answers.map(({ score }) => score)).toEqual([3, 3, 3, 3]);
    expect(spent).toBe(2);
  });

  test('one endpoint with and without a slash at its end is one', async () => {
    await ask(await judge());
    await ask(await judge({ endpoint: `${server.url}/` }));
    expect(server.asked).toHaveLength(4);
  });

  test.each([
    [{ concurrency: 0 }, /concurrency is 0/],
    [{ maxCost: -1 }, /max-cost is -1/],
    [{ maxCalls: Number.NaN }, /max-calls is NaN/],
  ])('%j is refused', async (limits, message) => {
    await expect(ask(await judge(), limits)).rejects.toThrow(message);
    expect(server.asked).toEqual([]);
  });

  test('calls a minute are spread', async () => {
    const by = await judge({ callsPerMinute: 600 });
    const started = performance.now();
    await ask(by, { concurrency: 4 });
    // 100 ms each, the first at once: however slow the machine, the fourth is not before. A timer may be 1 ms early.
    expect(performance.now() - started).toBeGreaterThan(298);
    await expect(judge({ callsPerMinute: 0 })).rejects.toThrow(InvalidOptionError);
  });
});

test('without the package it says which', async () => {
  // In a process whose modules come from where there is no openai.
  const hook = `export async function resolve(name, context, next) {
    if (name !== 'openai') return next(name, context);
    throw Object.assign(new Error('Cannot find package openai'), { code: 'ERR_MODULE_NOT_FOUND' });
  }`;
  const script = `
    import { register } from 'node:module';
    import { openJudge } from ${JSON.stringify(join(import.meta.dirname, '../../sdk/protocols/openai-judge.ts'))};
    register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});
    const error = await openJudge({ endpoint: 'http://127.0.0.1:9', key: 'k' }).catch((cause) => cause);
    console.log(error.code, error.message);
  `;
  const file = join(folder, 'script.mts');
  writeFileSync(file, script);
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', tsx, file]);
  expect(stdout.trim()).toBe(
    'missing-package A judge needs the package openai, which is not installed: npm install openai',
  );
});
