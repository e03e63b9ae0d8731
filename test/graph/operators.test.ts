/** Every operator of the table, run by onnxruntime as it is lowered and written, against the float64 interpreter. */
import { describe, expect, test } from 'vitest';
import { type OpType, operators } from '../../sdk/graph/operators';
import { createSession } from '../../sdk/runtime/session';
import { interpret } from '../interpreter';
import { fromTensor, type NumberArray, toTensor } from '../number-array';
import { buildCase, type OperatorCase } from './operator-case';
import { operatorCases } from './operator-cases';

const opTypes = Object.keys(operators) as OpType[];

function expectClose(found: NumberArray, wanted: NumberArray, name: string) {
  expect(found.dtype, name).toBe(wanted.dtype);
  expect(found.shape, name).toEqual(wanted.shape);
  // Half precision keeps eleven bits.
  const precision = wanted.dtype === 'float16' ? 2 ** -10 : 1e-5;
  wanted.data.forEach((number, i) => {
    const difference = Math.abs(found.data[i]! - number);
    expect(difference, `${name} at ${i}: ${found.data[i]} against ${number}`).toBeLessThanOrEqual(
      precision * Math.max(1, Math.abs(number)),
    );
  });
}

describe.each(opTypes)('%s', (opType) => {
  const cases = (operatorCases[opType] ?? []) as readonly OperatorCase<OpType>[];

  test('has cases with different titles', () => {
    expect(cases.length).toBeGreaterThan(0);
    expect(new Set(cases.map(({ title }) => title)).size).toBe(cases.length);
  });

  test.each(cases.map((each) => [each.title, each] as const))('%s', async (_, each) => {
    const { outputs, feeds } = buildCase(opType, each);
    const named = Object.fromEntries(outputs.map((output, i) => [`output ${i}`, output]));
    const wanted = interpret(named, feeds);
    for (const [name, value] of Object.entries(named)) {
      expect(value.shape, `inferred shape of ${name}`).toEqual(wanted[name]!.shape);
      expect(value.dtype, `inferred type of ${name}`).toBe(wanted[name]!.dtype);
    }
    const tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, numbers]) => [name, toTensor(numbers)]),
    );
    for (const optimization of ['disabled', 'all'] as const) {
      const session = await createSession(named, { optimization, threads: 1 });
      const results = await session.run(tensors);
      for (const name of Object.keys(named)) {
        expectClose(fromTensor(results[name]!), wanted[name]!, `${name}, optimization ${optimization}`);
      }
      await session.release();
    }
  });
});
