/** The judge's answers and what becomes of them, with the real client against a server of the test. */
import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect, promisify } from 'node:util';
import sharp from 'sharp';
import { describe, expect, test, vi } from 'vitest';
import { InvalidOptionError, JudgeAccessError, JudgeUnreachableError, StoppedError } from '../../sdk/errors';
import { judgeScores } from '../../sdk/protocols/dreambench/judge-scores';
import { openJudge } from '../../sdk/protocols/dreambench/openai-judge';
import { startProxy } from '../library/proxy';
import { judgingIn, key, placeForJudging } from './judging-place';
import { paint } from './protocol-engine';

const place = placeForJudging();
const { judge, ask, rows } = judgingIn(place);

test('rubric, restatement, then the pictures in 512 pixels; who is shown what', async () => {
  const { answers } = await ask(await judge());
  expect(answers.map(({ question, score }) => [question, score])).toEqual([
    ['CP', 3],
    ['PF', 3],
    ['CP', 3],
    ['PF', 3],
  ]);
  const [subject, text, style] = place.server.asked;
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
    place.server.behave = ({ body }) => ({
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
    expect(place.server.asked).toHaveLength(3 + 3);
    expect(judgeScores(answers)).toMatchObject({
      CP: { mean: 1, rated: 1, noScore: 1 },
      noScore: { prose: 1, refusal: 0 },
    });
    // What was said stays said.
    await ask(await judge());
    expect(place.server.asked).toHaveLength(6);
  });

  test('prose, then a score', async () => {
    place.server.behave = (_, n) => ({ say: n < 2 ? 'Hm.' : 'Score: 1' });
    const { answers } = await ask(await judge());
    expect(answers[0]).toMatchObject({ score: 1, why: null, tries: 3 });
  });

  test('a refusal, in the answer or instead of one', async () => {
    place.server.behave = ({ body }, n) => {
      if (JSON.stringify(body).includes('Brushwork'))
        return { status: 400, error: { message: 'no', code: 'content_policy_violation' } };
      return n < 3 ? { refuse: "I can't help with that." } : { say: 'Score: 2' };
    };
    const { answers } = await ask(await judge());
    expect(answers.map(({ score, why }) => score ?? why)).toEqual(['refusal', 2, 'refusal', 2]);
    expect(answers[0]!.said).toBe("I can't help with that.");
  });

  test('a zero after an apology; a zero of what was seen is one', async () => {
    place.server.behave = ({ body }) => {
      const isStyle = JSON.stringify(body).includes('Brushwork');
      if (isStyle) return { say: "I'm sorry, but I can't compare these.\nScore: 0" };
      return { say: "I can't see a dog, only a cat.\nScore: 0" };
    };
    const { answers } = await ask(await judge());
    expect(answers.map(({ score, why }) => score ?? why)).toEqual([0, 0, 'refusal', 0]);
    expect(answers[2]).toMatchObject({ tries: 3, said: expect.stringContaining('sorry') });
    // One that says more than that it would not.
    place.server.behave = () => ({ say: "I'm sorry, I can't name people. Their clothes agree.\nScore: 3" });
    const others = await ask(await judge({ temperature: 0 }));
    expect(others.answers.map(({ score }) => score)).toEqual([3, 3, 3, 3]);
  });

  test.each([
    [400, 'Invalid image.'],
    [413, 'Payload too large.'],
    [422, 'Cannot process.'],
    [403, 'Your input was flagged by moderation.'],
  ])(
    'a question that is not taken (%i), wherever among the others, and put once',
    async (status, message) => {
      const n = { first: 0, style: 0 };
      place.server.behave = ({ body }, call) => {
        const isStyle = JSON.stringify(body).includes('Brushwork');
        if (call > 0 && !isStyle) return { say: 'Score: 2' };
        n[isStyle ? 'style' : 'first']++;
        return { status, error: { message: `${message} ${key}` } };
      };
      const { answers } = await ask(await judge());
      expect(answers.map(({ score, why }) => score ?? why)).toEqual(['refusal', 2, 'refusal', 2]);
      expect(n).toEqual({ first: 1, style: 1 });
      expect(answers[0]).toMatchObject({ said: `${status} ${message} …`, rejected: true });
      await ask(await judge());
      expect(place.server.asked).toHaveLength(4);
      // Of a judge that has answered before it is believed at once.
      place.pictures.push({ ...place.pictures[1]!, prompt: 3 });
      place.server.behave = () => ({ status, error: { message } });
      const more = await ask(await judge());
      expect(more.answers.slice(4).map(({ why }) => why)).toEqual(['refusal', 'refusal']);
    },
  );

  test('what is never taken is told, and asked again once it is mended', async () => {
    place.server.behave = () => ({ status: 400, error: { message: 'This model sees no pictures.' } });
    const failed = ask(await judge(), { runs: 30 });
    await expect(failed).rejects.toThrow(InvalidOptionError);
    await expect(failed).rejects.toThrow(/takes no such call: 400 This model sees no pictures\./);
    expect(place.server.asked.length).toBeLessThan(30);
    // As many as there are, and none was taken.
    await expect(ask(await judge())).rejects.toThrow(/takes no such call/);
    place.server.behave = () => ({ say: 'Score: 2' });
    expect((await ask(await judge())).answers.map(({ score }) => score)).toEqual([2, 2, 2, 2]);
    // In the midst, too, as where there is nothing left to pay and the endpoint has no status of its own for it.
    place.server.behave = () => ({ status: 400, error: { message: 'Your credit is too low.' } });
    place.server.asked.length = 0;
    await expect(ask(await judge(), { runs: 30 })).rejects.toThrow(/Your credit is too low/);
    expect(place.server.asked.length).toBeLessThan(30);
    expect(rows()).toHaveLength(4);
  });

  test('a whole category that is not taken is refused, and the others are rated', async () => {
    const [animal, style] = place.pictures;
    place.pictures = [style!, ...Array.from({ length: 20 }, (_, prompt) => ({ ...animal!, prompt }))];
    place.server.behave = ({ body }) =>
      /Brushwork|beach 1/.test(JSON.stringify(body)) ? { say: 'Score: 2' } : { status: 400 };
    for (const concurrency of [1, 8]) {
      rmSync(join(place.folder, 'answers.jsonl'), { force: true });
      const { answers } = await ask(await judge(), { concurrency });
      expect(answers.map(({ score, why }) => score ?? why)).toEqual([2, 2, ...Array(40).fill('refusal')]);
      expect(rows().filter(({ rejected }) => rejected)).toHaveLength(40);
    }
  });

  test.each([
    ['prose', { say: 'Hm.' }],
    ['silence', 'silence'],
  ] as const)(
    'one that was answered and is put again keeps its score, whatever comes: %s',
    async (_, then) => {
      const [animal, style] = place.pictures;
      place.pictures = [style!, ...Array.from({ length: 10 }, (_, prompt) => ({ ...animal!, prompt }))];
      const isSaid = ({ body }: { body: object }) => /Brushwork|beach 1/.test(JSON.stringify(body));
      place.server.behave = (asked, n) =>
        n < 2 ? { say: 'Score: 2' } : isSaid(asked) ? then : { status: 400 };
      const scoresOf = (answers: readonly { score: number | null }[]) =>
        answers.slice(0, 2).map(({ score }) => score);
      const asking = async () => ask(await judge({ timeout: 100, retries: 0 }), {});
      if (then === 'silence') await expect(asking()).rejects.toThrow(JudgeUnreachableError);
      else expect(scoresOf((await asking()).answers)).toEqual([2, 2]);
      expect(place.server.asked.length).toBeGreaterThan(22);
      place.server.behave = (asked) => (isSaid(asked) ? { say: 'Score: 4' } : { status: 400 });
      expect(scoresOf((await asking()).answers)).toEqual([2, 2]);
    },
  );

  test('after silence alone, what is not taken is no refusal', async () => {
    place.server.behave = (_, n) =>
      n === 0 ? 'silence' : { status: 400, error: { message: 'This model sees no pictures.' } };
    await expect(ask(await judge({ timeout: 100, retries: 0 }))).rejects.toThrow(/sees no pictures/);
    expect(rows()).toHaveLength(1);
  });

  test.each([
    [401, JudgeAccessError],
    [402, JudgeAccessError],
    [403, JudgeAccessError],
    [404, InvalidOptionError],
  ])('%i is none: it ends the run, whatever was answered before', async (status, kind) => {
    place.server.behave = (_, n) => (n < 1 ? { say: 'Score: 3' } : { status });
    await expect(ask(await judge())).rejects.toThrow(kind);
    expect(place.server.asked).toHaveLength(2);
  });

  test.each(['silence', 'stall'] as const)('%s; it is asked again at the next start', async (kind) => {
    place.server.behave = ({ body }) =>
      JSON.stringify(body).includes('Brushwork') ? kind : { say: 'Score: 2' };
    const told: (number | null)[] = [];
    const onBusy = (status: number | null) => told.push(status);
    const { answers } = await ask(await judge({ timeout: 150, retries: 0, onBusy }));
    expect(told).toEqual([null]);
    expect(answers.map(({ score, why }) => score ?? why)).toEqual([2, 2, 'time-out', 2]);
    place.server.behave = () => ({ say: 'Score: 4' });
    const before = place.server.asked.length;
    const again = await ask(await judge());
    expect(again.answers.map(({ score }) => score)).toEqual([2, 2, 4, 2]);
    expect(place.server.asked).toHaveLength(before + 1);
  });
});

test('busy: it waits as long as it is told and tries again', async () => {
  place.server.behave = (_, n) =>
    n === 0 ? { status: 429, headers: { 'retry-after-ms': '20' } } : { say: 'Score: 3' };
  const told: (number | null)[] = [];
  const { answers } = await ask(await judge({ onBusy: (status) => told.push(status) }));
  expect(answers.map(({ score }) => score)).toEqual([3, 3, 3, 3]);
  expect(place.server.asked).toHaveLength(5);
  expect(told).toEqual([429]);
});

test('of an endless silence it is told, and what was answered stays', async () => {
  place.server.behave = (_, n) => (n < 1 ? { say: 'Score: 3' } : 'silence');
  const failed = ask(await judge({ timeout: 50, retries: 0 }), { runs: 9 });
  await expect(failed).rejects.toThrow(JudgeUnreachableError);
  await expect(failed).rejects.toThrow(/let 4 questions in a row pass/);
  // Each was put once: the client has repeated it already, as often as it is told to.
  expect(place.server.asked).toHaveLength(1 + 4);
  place.server.behave = () => ({ say: 'Score: 2' });
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
  place.server.behave = () => ({ body, ...(type && { type }) });
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
  place.server.behave = () => ({ body: JSON.stringify({ choices: [{ message }] }) });
  const { answers } = await ask(await judge());
  expect(answers.map(({ score }) => score)).toEqual([2, 2, 2, 2]);
});

test('an answer that breaks off is asked for again', async () => {
  place.server.behave = (_, n) => (n === 0 ? 'break-off' : { say: 'Score: 3' });
  const { answers } = await ask(await judge());
  expect(answers.map(({ score, tries }) => [score, tries])).toEqual(Array(4).fill([3, 1]));
  expect(place.server.asked).toHaveLength(5);
});

test.each(['hang-up', 'break-off'] as const)(
  'down half-way by %s, then gone on with: nothing is asked twice',
  async (kind) => {
    place.server.behave = (_, n) => (n < 2 ? { say: 'Score: 3' } : kind);
    const failed = ask(await judge({ retries: 0 }), { runs: 3 });
    await expect(failed).rejects.toThrow(JudgeUnreachableError);
    await expect(failed).rejects.toThrow(/does not answer.*goes on from the answers that are there/s);
    expect(rows()).toHaveLength(2);
    place.server.asked.length = 0;
    place.server.behave = () => ({ say: 'Score: 1' });
    const { answers } = await ask(await judge(), { runs: 3, concurrency: 4 });
    expect(place.server.asked).toHaveLength(10);
    expect(answers.map(({ score }) => score)).toEqual([3, 3, ...Array.from({ length: 10 }, () => 1)]);
    expect(new Set(answers.map((answer) => answer.key)).size).toBe(12);
  },
);

test('through the proxy of the environment', async () => {
  const proxy = await startProxy();
  try {
    vi.stubEnv('no_proxy', '');
    vi.stubEnv('HTTP_PROXY', proxy.url);
    const { answers } = await ask(await judge());
    expect(answers).toHaveLength(4);
    expect(new Set(proxy.through)).toEqual(new Set([new URL(place.server.url).host]));
  } finally {
    vi.unstubAllEnvs();
    proxy.close();
  }
});

test('stopped: what was answered stays', async () => {
  const stop = new AbortController();
  place.server.behave = (_, n) => {
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
  expect(place.server.asked).toHaveLength(8);
  await paint(place.pictures[0]!.picture, [1, 2, 3]);
  await ask(await judge());
  // Both questions are about the picture.
  expect(place.server.asked).toHaveLength(10);
  place.pictures[0] = { ...place.pictures[0]!, caption: 'a dog at home' };
  await ask(await judge());
  expect(place.server.asked).toHaveLength(11);
});

describe('the key', () => {
  test.each([401, 403])('that is refused (%i) is one clear line without it', async (status) => {
    place.server.behave = () => ({
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
    expect(place.server.asked).toHaveLength(1);
  });

  test('that is missing is told before anything is asked; a server of one’s own needs none', async () => {
    const before = process.env['OPENAI_API_KEY'];
    delete process.env['OPENAI_API_KEY'];
    try {
      await expect(openJudge()).rejects.toThrow(JudgeAccessError);
      await expect(openJudge()).rejects.toThrow(/OPENAI_API_KEY is not set/);
      await ask(await openJudge({ endpoint: place.server.url }));
      place.server.listing = 401;
      const wanting = await openJudge({ endpoint: place.server.url });
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
    expect(place.server.asked[0]!.authorization).toBe(`Bearer ${key}`);
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
    place.server.behave = () => ({ status: 400, error: { message: `API key ${key} is not valid` } });
    await expect(ask(await judge())).rejects.toThrow(/takes no such call: 400 API key … is not valid/);
    // Where the line is cut it is in the midst of the key, were that not replaced before.
    place.server.behave = () => ({ status: 400, error: { message: `${'x'.repeat(285)} ${key}` } });
    await expect(ask(await judge())).rejects.toThrow(/x …$/);
  });

  test('is looked at before anything is asked, where that can be', async () => {
    const check = async () => (await judge()).check!(undefined);
    await check();
    expect(place.server.asked).toEqual([]);
    // A model that is not listed may be there by another name.
    place.server.models = ['gpt-4o'];
    await check();
    expect(place.server.asked.splice(0)).toHaveLength(1);
    place.server.behave = () => ({ status: 404 });
    await expect(check()).rejects.toThrow(/has no model gpt-4o-2024-05-13/);
    place.server.asked.length = 0;
    place.server.behave = () => ({ say: 'Yes.' });
    place.server.listing = 401;
    await expect(check()).rejects.toThrow(JudgeAccessError);
    // A key may be good for asking alone, and a server may list nothing: then a word is asked for.
    for (place.server.listing of [403, 404]) await check();
    expect(place.server.asked).toHaveLength(2);
    place.server.behave = () => ({ body: '<html>Welcome</html>', type: 'text/html' });
    await expect(check()).rejects.toThrow(/is no judge: .*ends in \/v1/);
    place.server.behave = () => ({ status: 404 });
    await expect(check()).rejects.toThrow(/has no model gpt-4o-2024-05-13, or no chat\/completions/);
    place.server.behave = () => ({ status: 400, error: { message: 'no such temperature' } });
    await expect(check()).rejects.toThrow(/takes no such call: 400 no such temperature/);
    const gone = await judge({ endpoint: 'http://127.0.0.1:9/v1' });
    await expect(gone.check!(undefined)).rejects.toThrow(JudgeUnreachableError);
  });

  test('that nothing is left to pay with is no busy judge', async () => {
    place.server.behave = () => ({ status: 429, error: { message: 'quota', code: 'insufficient_quota' } });
    await expect(ask(await judge({ retries: 0 }))).rejects.toThrow(/nothing is left to pay/);
  });

  test('a model that is not there is a wrong option', async () => {
    place.server.behave = () => ({ status: 404, error: { message: 'no such model' } });
    await expect(ask(await judge({ model: 'gpt-none' }))).rejects.toThrow(/has no model gpt-none/);
    await expect(judge({ endpoint: 'nowhere' })).rejects.toThrow(InvalidOptionError);
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
    import { openJudge } from ${JSON.stringify(join(import.meta.dirname, '../../sdk/protocols/dreambench/openai-judge.ts'))};
    register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});
    const error = await openJudge({ endpoint: 'http://127.0.0.1:9', key: 'k' }).catch((cause) => cause);
    console.log(error.code, error.message);
  `;
  const file = join(place.folder, 'script.mts');
  writeFileSync(file, script);
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', tsx, file]);
  expect(stdout.trim()).toBe(
    'missing-package A judge needs the package openai, which is not installed: npm install openai',
  );
});
