import { expect, test } from 'vitest';
import type { JobRecord } from '../../sdk/jobs/job-record';
import { compareTurns, nextTurn, waitingLine } from '../../sdk/jobs/turns';

let made = 0;
const job = (owner: string, turn: number, more: Partial<JobRecord> = {}): JobRecord =>
  ({
    id: `j-${++made}`,
    owner,
    turn,
    kind: 'personalize',
    state: 'queued',
    attended: false,
    createdAt: new Date(made * 1000).toISOString(),
    ...more,
  }) as JobRecord;

/** Jobs asked for one after another by these owners, in the order in which they run. */
function orderOf(owners: string): string {
  const jobs: JobRecord[] = [];
  for (const owner of owners) jobs.push(job(owner, nextTurn(jobs, owner)));
  return waitingLine(jobs)
    .map(({ owner }) => owner)
    .join('');
}

test('owners alternate, whoever asked for how much first', () => {
  expect(orderOf('aaaa')).toBe('aaaa');
  expect(orderOf('aaaabc')).toBe('abcaaa');
  expect(orderOf('aaabbbcc')).toBe('abcabcab');
});

test('whoever comes later does not overtake those who waited', () => {
  const jobs = [job('a', 0, { state: 'running' }), job('a', 1), job('b', 0)];
  const later = job('c', nextTurn(jobs, 'c'));
  expect(later.turn).toBe(0);
  expect(waitingLine([...jobs, later]).map(({ owner }) => owner)).toEqual(['b', 'c', 'a']);
  // Once the turn is 5, a newcomer begins there.
  expect(nextTurn([job('a', 5, { state: 'running' }), job('b', 6)], 'c')).toBe(5);
});

test('within a turn drawings go first, then who came first', () => {
  const training = job('a', 0);
  const drawing = job('b', 0, { kind: 'generate' } as Partial<JobRecord>);
  expect([training, drawing].sort(compareTurns)).toEqual([drawing, training]);
  expect(compareTurns(job('a', 0), job('b', 0))).toBeLessThan(0);
});

test('finished jobs and attended ones are not in line', () => {
  const gone = (['done', 'failed', 'stopped', 'cancelled', 'running'] as const).map((state) =>
    job('a', 0, { state }),
  );
  expect(waitingLine([...gone, job('a', 0, { attended: true })])).toEqual([]);
  expect(nextTurn(gone.slice(0, 4), 'a')).toBe(0);
});
