/** What judging costs, and the limits to it. */
import { expect, test } from 'vitest';
import { InvalidOptionError, JudgeUnreachableError } from '../../sdk/errors';
import type { JudgingEstimate } from '../../sdk/protocols/dreambench/judging';
import { judgingIn, placeForJudging } from './judging-place';

const place = placeForJudging();
const { judge, ask, rows } = judgingIn(place);

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
  expect(place.server.asked).toHaveLength(0);
  await ask(await judge({ model: 'other' }), { maxCost: 9, price: { input: 1, output: 1 } });
  expect(place.server.asked).toHaveLength(4);
});

test('answers that are longer than foretold end it at the limit', async () => {
  place.server.behave = () => ({ say: 'Score: 3', tokens: [1000, 10_000] });
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
  expect(place.server.asked).toHaveLength(4);
});

test('what was paid for before the judge went down is counted, and asked again', async () => {
  place.server.behave = (_, n) => (n === 0 ? { say: 'hm', tokens: [1e6, 0] } : 'hang-up');
  const price = { input: 2, output: 0 };
  await expect(ask(await judge({ retries: 0 }), { price })).rejects.toThrow(JudgeUnreachableError);
  expect(rows()).toEqual([expect.objectContaining({ score: null, cost: 2 })]);
  place.server.behave = () => ({ say: 'Score: 3', tokens: [0, 0] });
  const { answers, spent } = await ask(await judge(), { price });
  expect(answers.map(({ score }) => score)).toEqual([3, 3, 3, 3]);
  expect(spent).toBe(2);
});

test('where the judge says nothing of tokens is what was foretold', async () => {
  place.server.behave = () => ({ say: 'Score: 3', tokens: null });
  const told: JudgingEstimate[] = [];
  const { spent } = await ask(await judge(), { onEstimate: (estimate) => told.push(estimate) });
  const [{ cost } = { cost: null }] = told;
  expect(cost).toBeGreaterThan(0.01);
  expect(spent).toBeCloseTo(cost!, 9);
  // Each is asked three times, of which the limit has foretold one.
  place.server.behave = () => ({ say: 'Hm.', tokens: null });
  const { stopped } = await ask(await judge({ temperature: 0 }), { maxCost: spent! + 1.5 * cost! });
  expect(stopped).toMatch(/are spent, and the limit is/);
});

test('one endpoint with and without a slash at its end is one', async () => {
  await ask(await judge());
  await ask(await judge({ endpoint: `${place.server.url}/` }));
  expect(place.server.asked).toHaveLength(4);
});

test.each([
  [{ concurrency: 0 }, /concurrency is 0/],
  [{ maxCost: -1 }, /maxCost is -1/],
  [{ maxCalls: Number.NaN }, /maxCalls is NaN/],
])('%j is refused by its name', async (limits, message) => {
  const refused = ask(await judge(), limits);
  await expect(refused).rejects.toThrow(message);
  await expect(refused).rejects.toMatchObject({ option: Object.keys(limits)[0] });
  expect(place.server.asked).toEqual([]);
});

test('calls a minute are spread', async () => {
  const by = await judge({ callsPerMinute: 600 });
  const started = performance.now();
  await ask(by, { concurrency: 4 });
  // 100 ms each, the first at once: however slow the machine, the fourth is not before. A timer may be 1 ms early.
  expect(performance.now() - started).toBeGreaterThan(298);
  await expect(judge({ callsPerMinute: 0 })).rejects.toThrow(InvalidOptionError);
});
