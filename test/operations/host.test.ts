import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  HostClosedError,
  InvalidOptionError,
  MissingFileError,
  UnknownJobError,
  UnknownSubjectError,
} from '../../sdk/errors';
import type { JobRecord } from '../../sdk/jobs/job-record';
import { listJobs, readJob } from '../../sdk/jobs/jobs';
import { createHost, type Host, type HostOptions } from '../../sdk/operations/host';
import { type JobView, viewJob } from '../../sdk/operations/job-view';
import type { Caller } from '../../sdk/operations/rights';

const workerModule = join(import.meta.dirname, '../jobs/fake-work.mjs');
const ann: Caller = { id: 'discord:ann', scope: 'guild', role: 'member', host: 'discord' };
const bob: Caller = { ...ann, id: 'discord:bob' };
const operator: Caller = { id: 'local', scope: null, role: 'operator', host: 'mcp' };

let folder: string;
let photo: string;
const hosts: Host[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  mkdirSync(join(folder, 'photos'));
  mkdirSync(join(folder, 'base'));
  photo = join(folder, 'photos', '1.png');
  await sharp({ create: { width: 64, height: 64, channels: 3, background: '#f00' } }).toFile(photo);
});
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.close();
  rmSync(folder, { recursive: true });
});

function hostWith(options: HostOptions = {}): Host {
  const host = createHost({
    home: join(folder, 'home'),
    base: join(folder, 'base'),
    allowFolders: [join(folder, 'photos')],
    workerModule,
    ...options,
  });
  hosts.push(host);
  return host;
}

const view = async (answer: Promise<{ result: object }>) => (await answer).result as JobView;
const learn = (host: Host, caller: Caller, more: object = {}) =>
  view(host.call('personalize', { photos: [photo], class: 'dog', ...more }, caller));

test('a subject is learned through the line and drawn', async () => {
  const host = hostWith();
  const job = await learn(host, operator, { name: 'rex' });
  expect(job).toMatchObject({ kind: 'personalize', subject: 'rex' });
  const done = await view(host.call('getJob', { job: job.job, waitSeconds: 30 }, operator));
  expect(done).toMatchObject({ state: 'done', error: null });
  const drawn = await view(
    host.call('generate', { prompt: '@rex in the snow', count: 2, seed: 5 }, operator),
  );
  expect(drawn.pictures.map(({ seed }) => seed)).toEqual([5, 6]);
  expect(readFileSync(drawn.pictures[0]!.path, 'utf8')).toBe('olis dog in the snow 5');
  const shown = await host.call('getPicture', { picture: drawn.pictures[1]!.picture }, operator);
  expect(shown.result).toMatchObject({ seed: 6, prompt: '@rex in the snow' });
});

test('a host that does not run jobs leaves them to one that does, also when that one dies over them', async () => {
  const asking = hostWith({ runsJobs: false });
  const first = hostWith({ stopPatience: 2_000 });
  const { job } = await learn(asking, operator, { class: 'slow', steps: 60 });
  for await (const now of asking.watch(job, operator)) if (now.state === 'running' && now.step! > 2) break;
  await first.close();
  expect(await view(asking.call('getJob', { job }, operator))).toMatchObject({ state: 'queued' });
  hostWith();
  const done = await view(asking.call('getJob', { job, waitSeconds: 40 }, operator));
  expect(done.state).toBe('done');
});

test('others see neither a job nor its pictures, and draw with the subjects of their community', async () => {
  const host = hostWith();
  const { job } = await learn(host, ann, { name: 'rex', consent: true });
  await host.call('getJob', { job, waitSeconds: 30 }, ann);
  await expect(host.call('getJob', { job }, bob)).rejects.toThrow(UnknownJobError);
  await expect(host.call('cancelJob', { job }, bob)).rejects.toThrow('There are no jobs');
  const drawn = await view(host.call('generate', { prompt: '@rex' }, bob));
  expect(drawn.state).toBe('done');
  await expect(host.call('deleteSubject', { subject: 'rex' }, bob)).rejects.toThrow(UnknownSubjectError);
  const stranger = { ...bob, id: 'discord:eve', scope: 'elsewhere' };
  await expect(host.call('generate', { prompt: '@rex' }, stranger)).rejects.toThrow(/There are none yet/);
  await host.call('deleteSubject', { subject: '@rex' }, { ...bob, role: 'moderator' });
  expect(existsSync(join(folder, 'home', 'subjects', 'rex'))).toBe(false);
});

test('a waiting job keeps its name, and one waits for another in fair order', async () => {
  const asking = hostWith({ runsJobs: false });
  await learn(asking, ann, { name: 'rex', consent: true });
  await expect(learn(asking, bob, { name: 'rex', consent: true })).rejects.toThrow(/about to be learned/);
  const anns = [await learn(asking, ann), await learn(asking, ann)];
  const bobs = await learn(asking, bob);
  const ahead = async (caller: Caller, job: JobView) =>
    (await view(asking.call('getJob', { job: job.job }, caller))).ahead;
  expect(await ahead(bob, bobs)).toBe(1);
  expect([await ahead(ann, anns[0]!), await ahead(ann, anns[1]!)]).toEqual([2, 3]);
});

test('calls at the same moment get no more than the limit, and a turn each', async () => {
  const host = hostWith({ runsJobs: false, limits: { openJobs: 2 } });
  const draw = () => view(host.call('generate', { prompt: 'a dog', waitSeconds: 0 }, ann));
  const drawn = await Promise.allSettled([draw(), draw(), draw(), draw()]);
  expect(drawn.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  const learned = await Promise.allSettled([learn(host, bob), learn(host, bob), learn(host, bob)]);
  expect(learned.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  const { jobs } = (await host.call('listJobs', {}, operator)).result as { jobs: JobView[] };
  const turnOf = ({ job }: JobView) =>
    JSON.parse(readFileSync(join(host.home.jobs, job, 'job.json'), 'utf8')).turn as number;
  expect(jobs.map(turnOf).sort()).toEqual([0, 0, 1, 1]);
});

test('a job that is gone on with waits after those who waited, and its end is told anew, where it is asked now', async () => {
  const runs = hostWith();
  const failed = await view(
    runs.call('personalize', { photos: [photo], class: 'diverge', consent: true }, ann, {
      replyTo: { channel: 'first' },
    }),
  );
  await runs.call('getJob', { job: failed.job, waitSeconds: 30 }, ann);
  runs.answered(failed.job);
  await runs.close();
  const host = hostWith({ runsJobs: false });
  for (let i = 0; i < 2; i++) await learn(host, ann, { consent: true });
  const waits = await learn(host, bob, { consent: true });
  await host.call('resumeJob', { job: failed.job }, ann, { replyTo: { channel: 'second' } });
  const ahead = async (job: string) => (await view(host.call('getJob', { job }, operator))).ahead!;
  expect(await ahead(failed.job)).toBeGreaterThan(await ahead(waits.job));
  expect(host.unanswered('discord')).toMatchObject([{ id: failed.job, replyTo: { channel: 'second' } }]);
});

test('a job that is gone on with counts against the limits of its owner and keeps its name; what it makes counts once', async () => {
  const runs = hostWith();
  const failing = { class: 'diverge', consent: true };
  const failed = [await learn(runs, ann, { ...failing, name: 'rex' }), await learn(runs, ann, failing)];
  for (const { job } of failed) await runs.call('getJob', { job, waitSeconds: 30 }, ann);
  await runs.close();
  const host = hostWith({ runsJobs: false, limits: { openJobs: 1, trainingsADay: 2 } });
  const [first, second] = failed.map(({ job }) => job) as [string, string];
  expect((await view(host.call('resumeJob', { job: first }, ann))).state).toBe('queued');
  const moderator: Caller = { ...bob, role: 'moderator' };
  for (const caller of [ann, moderator])
    await expect(host.call('resumeJob', { job: second }, caller)).rejects.toThrow(/1 may/);
  await expect(learn(host, bob, { name: 'rex', consent: true })).rejects.toThrow(/about to be learned/);
  expect((await view(host.call('resumeJob', { job: second }, operator))).state).toBe('queued');
});

test('a job whose name was taken meanwhile is not gone on with, and stays as it was', async () => {
  const runs = hostWith();
  const failed = await learn(runs, ann, { name: 'rex', class: 'diverge', consent: true });
  await runs.call('getJob', { job: failed.job, waitSeconds: 30 }, ann);
  await runs.close();
  const host = hostWith({ runsJobs: false });
  await learn(host, bob, { name: 'rex', consent: true });
  await expect(host.call('resumeJob', { job: failed.job }, ann)).rejects.toThrow(/@rex was taken while/);
  expect(await view(host.call('getJob', { job: failed.job }, ann))).toMatchObject({ state: 'failed' });
});

test('a subject gets no name that another waits for, and drawing again asks anew whose all subjects are', async () => {
  const host = hostWith();
  const { job } = await learn(host, ann, { name: 'rex', consent: true });
  await host.call('getJob', { job, waitSeconds: 30 }, ann);
  const prompts = { prompt: 'a cat', negativePrompt: '@rex' };
  const drawn = await view(host.call('generate', prompts, ann));
  await host.close();
  const asking = hostWith({ runsJobs: false });
  await learn(asking, bob, { name: 'max', consent: true });
  await expect(asking.call('renameSubject', { subject: 'rex', newName: 'max' }, ann)).rejects.toThrow(
    /about to be learned/,
  );
  await asking.call('renameSubject', { subject: 'rex', newName: 'rex' }, ann);
  const file = join(asking.home.subjects, 'rex', 'subject.json');
  const record = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...record, owner: 'discord:eve', scope: 'another' }));
  await expect(asking.call('drawAgain', { job: drawn.job }, ann)).rejects.toThrow(UnknownSubjectError);
});

test('a host tells how each of its jobs ended', async () => {
  const ended: string[] = [];
  const host = hostWith({ onJobEnd: ({ job, state }) => ended.push(`${job} ${state}`) });
  const good = await learn(host, operator, { name: 'rex' });
  const bad = await learn(host, operator, { name: 'max', class: 'diverge' });
  for (const { job } of [good, bad]) await host.call('getJob', { job, waitSeconds: 30 }, operator);
  await vi.waitFor(() => expect(ended).toHaveLength(2));
  expect(ended).toEqual([`${good.job} done`, `${bad.job} failed`]);
});

test('finished jobs are removed after the days that were said, with their pictures; what is open or stopped is not', async () => {
  const host = hostWith();
  const learned = await learn(host, operator, { name: 'rex' });
  await host.call('getJob', { job: learned.job, waitSeconds: 30 }, operator);
  const drawn = await view(host.call('generate', { prompt: '@rex in the snow' }, operator));
  const fresh = await view(host.call('generate', { prompt: '@rex at night' }, operator));
  await host.close();
  const aged = (job: string, state?: string) => {
    const file = join(host.home.folder, 'jobs', job, 'job.json');
    const record = JSON.parse(readFileSync(file, 'utf8'));
    const old = new Date(Date.now() - 8 * 24 * 3600e3).toISOString();
    writeFileSync(file, JSON.stringify({ ...record, updatedAt: old, ...(state && { state }) }));
  };
  aged(drawn.job);
  aged(learned.job, 'stopped');
  const later = hostWith({ keepDays: 7, runsJobs: false });
  expect(existsSync(drawn.pictures[0]!.path)).toBe(false);
  expect(existsSync(fresh.pictures[0]!.path)).toBe(true);
  await expect(later.call('getJob', { job: drawn.job }, operator)).rejects.toThrow(UnknownJobError);
  expect((await view(later.call('getJob', { job: learned.job }, operator))).state).toBe('stopped');
  const { subjects } = (await later.call('listSubjects', {}, operator)).result as { subjects: object[] };
  expect(subjects).toMatchObject([{ subject: 'rex' }]);
});

test('wrong arguments say which field, what was found and wanted, and give an example', async () => {
  const host = hostWith({ runsJobs: false });
  const bad = (input: object) => host.call('generate', input, operator);
  await expect(bad({ prompt: 'a dog', count: 99 })).rejects.toThrow(
    /count is 99: give a whole number from 1 to 8 .*An example: \{"prompt"/,
  );
  await expect(bad({ promt: 'a dog' })).rejects.toThrow(/did you mean prompt\?.*prompt is missing/s);
  await expect(bad({ prompt: 'x'.repeat(1e6) })).rejects.toThrow(/prompt is "x{56}… \(1000002 characters\)/);
});

test('a folder to allow that is not there is named', () => {
  const missing = join(folder, 'none');
  expect(() => hostWith({ allowFolders: [missing] })).toThrow(MissingFileError);
  expect(() => hostWith({ allowFolders: [missing] })).toThrow(`There is no folder ${missing}`);
});

test('of a folder of photos all are kept with the job, and told what was passed over', async () => {
  writeFileSync(join(folder, 'photos', 'notes.md'), 'no picture');
  const job = await learn(hostWith({ runsJobs: false }), operator, { photos: [join(folder, 'photos')] });
  expect(readdirSync(join(folder, 'home/jobs', job.job, 'photos'))).toEqual(['01']);
  expect(job.warnings.join()).toContain('notes.md');
});

test('a job that has just begun is not told that it waits for itself', async () => {
  const host = hostWith({ runsJobs: false });
  const { job } = await learn(host, operator);
  const record = readJob(host.home, job);
  const running: JobRecord = { ...record, state: 'running' };
  const other: JobRecord = { ...running, id: 'other-0001' };
  const ahead = (...all: JobRecord[]) =>
    viewJob(host.home, { list: () => all, get: () => undefined }, record).ahead;
  expect(ahead(running)).toBe(0);
  expect(ahead(running, other)).toBe(1);
  expect(ahead(other, record)).toBe(1);
});

test('a host that is closed takes no calls, which nobody would answer', async () => {
  const host = hostWith();
  await host.close();
  const asked = host.call('generate', { prompt: 'a dog', waitSeconds: 30 }, operator);
  await expect(asked).rejects.toThrow(HostClosedError);
  expect(listJobs(host.home)).toEqual([]);
});

test('an operation that there is not is answered with those there are', async () => {
  const asked = hostWith().call('genrate', {}, operator);
  await expect(asked).rejects.toThrow(InvalidOptionError);
  await expect(asked).rejects.toThrow(/no operation genrate; did you mean generate\?/);
  await expect(hostWith().call('sing', {}, operator)).rejects.toThrow(
    /there are personalize, getJob, .*deleteSubject/,
  );
});

test('whoever has no subject is told how one is learned where they ask', async () => {
  const host = hostWith({ runsJobs: false });
  const draw = (caller: Caller) => host.call('generate', { prompt: '@rex' }, caller);
  await expect(draw(operator)).rejects.toThrow(/none yet: learn one with personalize_subject\./);
  await expect(draw(ann)).rejects.toThrow(/none yet: learn one with \/dreambooth train\./);
  await expect(draw({ ...operator, host: 'library' })).rejects.toThrow(/learn one with personalize\./);
});
