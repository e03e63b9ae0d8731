import type { JobIndex, Placement } from '../jobs/jobs';
import { nextTurn } from '../jobs/turns';
import type { OperationContext } from './operation';

/** The caller's place in line. */
export function placed(jobs: JobIndex, { caller, replyTo }: OperationContext): Placement {
  const { id: owner, scope, host } = caller;
  return { owner, scope, host, attended: false, turn: nextTurn(jobs.list(), owner), replyTo };
}
