import type { Home } from '../subjects/home';
import { type Log, wordsOf } from './host-log';
import { isOpen } from './job-record';
import { listJobs, removeJob } from './jobs';

/**
 * Removes finished jobs, and the pictures they drew, of which nothing was written for `days`. What was stopped can be
 * gone on with and stays. Subjects are no part of it. One that cannot be removed is told, and the next time tried again.
 */
export function pruneJobs(home: Home, days: number, log: Log): void {
  const since = new Date(Date.now() - days * 24 * 3600e3).toISOString();
  for (const job of listJobs(home)) {
    if (isOpen(job) || job.state === 'stopped' || job.updatedAt > since) continue;
    try {
      removeJob(home, job.id);
    } catch (error) {
      log(`Job ${job.id} is old and cannot be removed: ${wordsOf(error)}`);
    }
  }
}
