/** Two workers on Redis draw what a third process asks for. Run with: npx tsx examples/two-workers.ts redis://localhost:6379 */
import { createHost, openRedisQueue } from 'dreambooth';

const queue = await openRedisQueue(process.argv[2] ?? 'redis://localhost:6379');
// On other machines: dreambooth worker --queue redis://… --home /the/shared/folder
const workers = [createHost({ queue }), createHost({ queue })];
const host = createHost({ queue, runsJobs: false });
const caller = { id: 'me', scope: null, role: 'operator', host: 'example' } as const;
const asked = [];
for (const prompt of ['a red dog', 'a blue dog', 'a green dog', 'a yellow dog'])
  asked.push((await host.call('generate', { prompt, steps: 10, waitSeconds: 0 }, caller)).result['job']);
for (const job of asked) {
  let answer = await host.call('getJob', { job, waitSeconds: 45 }, caller);
  while (['queued', 'running'].includes(String(answer.result['state'])))
    answer = await host.call('getJob', { job, waitSeconds: 45 }, caller);
  console.log(answer.text);
}
for (const one of [...workers, host]) await one.close();
