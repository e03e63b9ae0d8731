/**
 * The order in which waiting jobs run: fair between owners, whoever asks for how much.
 *
 * Start-time fair queueing (Goyal, Vin, Cheng 1996) with jobs of one cost: a job's turn is one after the last of its
 * owner's waiting jobs, and no earlier than the turn that is being served. So ten jobs of one owner alternate with
 * those of others who come later, and none waits for ever. A turn is fixed when the job is made: whoever looks sees the
 * same order.
 */
import { isOpen, type JobRecord } from './job-record';

type Waiting = Pick<JobRecord, 'owner' | 'turn' | 'state' | 'kind' | 'createdAt' | 'id'>;

/** The turn of a job that `owner` asks for now, beside all jobs that are there. */
export function nextTurn(jobs: readonly Waiting[], owner: string): number {
  const open = jobs.filter(isOpen);
  const served = open.length === 0 ? 0 : Math.min(...open.map(({ turn }) => turn));
  const own = open.filter((job) => job.owner === owner).map(({ turn }) => turn + 1);
  return Math.max(served, ...own);
}

/** Earlier turns first; within one, drawings, which take seconds, before trainings; then who came first. */
export function compareTurns(a: Waiting, b: Waiting): number {
  if (a.turn !== b.turn) return a.turn - b.turn;
  if (a.kind !== b.kind) return a.kind === 'generate' ? -1 : 1;
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

/** The jobs that wait for a host, in the order in which they will run. */
export function waitingLine(jobs: readonly JobRecord[]): JobRecord[] {
  return jobs.filter((job) => job.state === 'queued' && !job.attended).sort(compareTurns);
}
