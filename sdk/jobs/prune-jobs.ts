import type { Home } from '../subjects/home';
import { isOpen } from './job-record';
import { listJobs, removeJob } from './jobs';

/**
 * Removes finished jobs, and the pictures they drew, of which nothing was written for `days`. What was stopped can be
 * gone on with and stays. Subjects are no part of it.
 */
export function pruneJobs(home: Home, days: number): void {
  const since = new Date(Date.now() - days * 24 * 3600e3).toISOString();
  for (const job of listJobs(home)) {
    if (isOpen(job) || job.state === 'stopped' || job.updatedAt > since) continue;
    removeJob(home, job.id);
  }
}
