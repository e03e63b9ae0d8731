import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Bot, type BotOptions, startBot } from '../../adapters/discord/index';
import { DiscordUnreachableError } from '../../sdk/errors';
import { createHost, type Host, type HostOptions } from '../../sdk/operations/host';
import { operations } from '../../sdk/operations/index';
import { defineOperation } from '../../sdk/operations/operation';
import { channel, type FakeDiscord, type SentMessage, startFakeDiscord, userId } from './fake-discord';

const workerModule = join(import.meta.dirname, '../operations/drawing-work.mjs');
let folder: string;
let discord: FakeDiscord;
let photo: Buffer;
const endings: (() => Promise<unknown>)[] = [];
const logged: string[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  mkdirSync(join(folder, 'base'));
  discord = await startFakeDiscord();
  photo = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#f00' } })
    .png()
    .toBuffer();
  logged.length = 0;
});
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
  await discord.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  expect(discord.failures).toEqual([]);
});

function hostWith(options: HostOptions = {}): Host {
  const host = createHost({
    home: join(folder, 'home'),
    base: join(folder, 'base'),
    workerModule,
    stopPatience: 1_000,
    ...options,
  });
  endings.push(() => host.close());
  return host;
}
async function botWith(host: Host, options: Partial<BotOptions> = {}): Promise<Bot> {
  const bot = await startBot(host, {
    token: 'good-token',
    api: discord.api,
    attachmentOrigins: [discord.origin],
    now: discord.now,
    editInterval: 200,
    log: (line) => logged.push(line),
    ...options,
  });
  endings.push(() => bot.close());
  return bot;
}
const start = async (options: HostOptions = {}) => {
  const host = hostWith(options);
  await botWith(host);
  return host;
};
const picture = () => discord.attachment(photo);
const train = (user: string, more: object = {}) =>
  discord.command(user, 'train', { class: 'dog', photo1: picture(), consent: true, ...more });
const labels = ({ components }: SentMessage) =>
  components.flatMap((row) => row.components.map(({ label }) => label));
async function until<Value>(find: () => Value | undefined | false): Promise<Value> {
  for (;;) {
    const found = find();
    if (found) return found;
    await sleep(20);
  }
}

describe('a subject is learned and drawn', () => {
  test('from attachments, with progress in one message, and by buttons again', async () => {
    await start();
    const training = train('ann', { name: 'rex', class: 'slow', steps: 60 });
    expect((await training.answered).type).toBe(5);
    await training.shows(/Learning \*\*@rex\*\*: train \d+\/60/);
    expect(labels(training.message()!)).toEqual(['Cancel']);
    const learned = await training.shows(/@rex\*\* is learned/);
    expect(learned.edits.length).toBeGreaterThan(2);
    expect(discord.messages).toHaveLength(1);
    // They go when the answer has been given.
    await until(() => readdirSync(join(folder, 'home/inbox')).length === 0);

    const found = await discord.complete('bob', 'imagine', 'subject', 're').answered;
    expect(found.data['choices']).toEqual([{ name: 'rex', value: 'rex' }]);
    const drawing = discord.command('ann', 'imagine', { prompt: '@rex in the snow', seed: 7, count: 2 });
    const drawn = await drawing.shows(/rex in the snow\*\*\n-# drawn by a computer · seed 7, 8/);
    expect(drawn.files).toHaveLength(2);
    expect(labels(drawn)).toEqual(['Again', 'Variations', 'Delete']);

    const again = await discord.press('ann', drawn, 'Again').shows(/seed \d+, \d+/);
    expect(again.content).not.toContain('seed 7,');
    const variations = await discord.press('ann', drawn, 'Variations').shows(/seed \d+, \d+, \d+, \d+/);
    expect(variations.files).toHaveLength(4);
    await discord.press('bob', again, 'Delete').shows(/There is no job/);
    await discord.press('ann', again, 'Delete').shows(/is gone/);
    expect(discord.messages).not.toContain(again);
  });

  test('from a form, where a command brings no photos', async () => {
    await start();
    const asked = await discord.command('ann', 'train', { class: 'dog' }).answered;
    expect(asked.type).toBe(9);
    const parts = (
      asked.data['components'] as {
        label: string;
        component: { custom_id: string; type: number; value?: string };
      }[]
    ).map(({ component }) => [component.custom_id, component.type]);
    expect(parts).toEqual([
      ['photos', 19],
      ['class', 4],
      ['name', 4],
      ['consent', 23],
    ]);
    const values = { photos: [picture(), picture()], class: 'dog', name: 'rex', consent: true };
    await discord.fillForm('ann', asked.data, values).shows(/@rex\*\* is learned/);
    const listed = await discord.command('ann', 'subjects').shows(/@rex: dog/);
    expect(listed.ephemeral).toBe(true);
    await discord.command('ann', 'forget', { subject: 'rex' }).shows(/@rex is forgotten/);
  });

  test('a job is cancelled by its button, by its owner or a moderator alone', async () => {
    await start();
    const training = train('ann', { name: 'rex', class: 'slow', steps: 1000 });
    const shown = await training.shows(/train \d+\/1000/);
    await discord.press('bob', shown, 'Cancel').shows(/There is no job/);
    await discord.press('mod', shown, 'Cancel').shows(/was cancelled/);
    await training.shows(/was cancelled/);
  });
});

describe('time and restarts', () => {
  test('after the fifteen minutes of an interaction the result comes as a message that mentions its asker', async () => {
    await start();
    const training = train('ann', { name: 'rex', class: 'slow', steps: 100 });
    await training.shows(/train \d+\/100/);
    discord.clock.ahead = 20 * 60_000;
    const own = await until(() => discord.messages.find(({ content }) => /is learned/.test(content)));
    expect(own).toMatchObject({ channel, mentions: [userId('ann')] });
    expect(own.content).toContain(`<@${userId('ann')}>`);
    expect(discord.messages).toHaveLength(2);
  });

  test('where the bot may not write it tells its asker, and where they take no messages it keeps what was made', async () => {
    const host = await start();
    discord.rules.channelClosed = true;
    const drawing = discord.command('ann', 'imagine', { prompt: 'a slow dog', steps: 60 });
    await drawing.shows(/sample \d+\/60/);
    discord.clock.ahead = 20 * 60_000;
    const direct = await until(() =>
      discord.messages.find((message) => message.channel === 'dm' && message.files.length > 0),
    );
    expect(direct.content).toContain('a slow dog');
    expect(logged.join('\n')).toMatch(
      /may not write there, it lacks Send Messages; the answer goes to its asker alone/,
    );

    discord.rules.messagesClosed = true;
    const other = discord.command('ann', 'imagine', { prompt: 'a slow cat', steps: 60 });
    await other.shows(/sample \d+\/60/);
    discord.clock.ahead = 40 * 60_000;
    await until(() => host.unanswered('discord').length === 0);
    const shown = await discord.command('ann', 'jobs').shows(/draw-/);
    expect(shown.content).toMatch(/draw-\w+\.1 /);
  });

  test("where the bot's own message was deleted a new one follows, and where its channel was, its asker is told", async () => {
    const host = await start();
    const training = train('ann', { name: 'rex', class: 'slow', steps: 200 });
    await training.shows(/train \d+\/200/);
    discord.clock.ahead = 20 * 60_000;
    const own = await until(() => discord.messages.find(({ content }) => content.startsWith('<@')));
    discord.messages.splice(discord.messages.indexOf(own), 1);
    const next = await until(() =>
      discord.messages.find(({ id, content }) => id !== own.id && content.startsWith('<@')),
    );
    expect(next.channel).toBe(channel);
    discord.rules.channelGone = true;
    const direct = await until(() => discord.messages.find((message) => message.channel === 'dm'));
    await until(() => /@rex\*\* is learned/.test(direct.content));
    await until(() => host.unanswered('discord').length === 0);
  });

  test('what Discord refuses whenever it is sent is given up after some starts, and the log says so', async () => {
    const first = hostWith();
    const bot = await botWith(first);
    const training = train('ann', { name: 'rex', class: 'slow', steps: 60 });
    await training.shows(/train \d+\/60/);
    discord.rules.messagesBroken = true;
    discord.clock.ahead = 20 * 60_000;
    await until(() => logged.some((line) => line.includes('it is tried again at the next start')));
    const [open] = first.unanswered('discord');
    await bot.close();
    const counted = join(folder, 'home/discord', `${open!.id}.starts`);
    expect(readFileSync(counted, 'utf8')).toBe('1');
    writeFileSync(counted, '3');
    for (const _ of ['the fourth', 'the fifth']) {
      expect(first.unanswered('discord')).toHaveLength(1);
      logged.length = 0;
      const again = await botWith(first);
      await until(() => logged.some((line) => line.includes('could not be delivered')));
      await again.close();
    }
    expect(logged.join('\n')).toContain(
      `Job ${open!.id}: its result could not be delivered (Invalid Form Body) at 5 starts, and is given up; /dreambooth jobs shows it.`,
    );
    expect(first.unanswered('discord')).toEqual([]);
    expect(readdirSync(join(folder, 'home/discord')).filter((name) => name.startsWith('rex'))).toEqual([]);
  });

  test('a bot that begins again goes on with what the last one had to tell, and its buttons still work', async () => {
    const host = hostWith();
    const bot = await startBot(host, {
      token: 'good-token',
      api: discord.api,
      attachmentOrigins: [discord.origin],
      now: discord.now,
      editInterval: 200,
    });
    const training = train('ann', { name: 'rex', class: 'slow', steps: 100 });
    const shown = await training.shows(/train \d+\/100/);
    await bot.close();
    await host.close();
    discord.clock.ahead = 16 * 60_000;
    await start();
    const own = await until(() =>
      discord.messages.find(({ content }) => /@rex\*\* is learned/.test(content)),
    );
    expect(own.id).not.toBe(shown.id);
    expect(discord.commands.registered).toBe(1);
  });

  test('a broken connection is taken up again, and a rate limit is waited for', async () => {
    await start();
    discord.drop();
    await until(() => discord.command('ann', 'subjects') && true);
    let listed: SentMessage | undefined;
    for (let attempt = 0; attempt < 200 && listed === undefined; attempt++) {
      const asked = discord.command('ann', 'subjects');
      await sleep(100);
      listed = asked.message();
    }
    expect(listed).toBeDefined();
    discord.rules.refuseNext = 2;
    await discord.command('ann', 'imagine', { prompt: 'a dog' }).shows(/seed/);
  });
});

describe('limits', () => {
  test('pictures too large for the server are sent smaller', async () => {
    discord.rules.fileLimit = 3_000;
    await start();
    const drawn = await discord
      .command('ann', 'imagine', { prompt: 'a dog', width: 1024, height: 1024 })
      .shows(/made smaller/);
    expect(drawn.files[0]!.bytes).toBeLessThanOrEqual(3_000);
    expect(drawn.files[0]!.name).toMatch(/\.jpg$/);
  });

  test('of one person and of one server, with when it is their turn again; moderators have them, too', async () => {
    await start({ limits: { openJobs: 1, trainingsADay: 1, picturesAnHour: 4 } });
    const first = train('ann', { class: 'slow', steps: 300 });
    await first.shows(/train/);
    await train('ann').shows(/1 of your jobs wait or run, and 1 may/);
    await discord.press('ann', first.message()!, 'Cancel').shows(/cancelled/);
    await train('ann').shows(/in the last 24 hours, as many as one may: the next can be at \d{4}-/);
    await discord.command('mod', 'imagine', { prompt: 'a dog', count: 5 }).shows(/4 may be/);
  });

  test('what is sent is looked at: from where, how large, of what kind', async () => {
    await start();
    const send = (attachment: object, words: RegExp) => train('ann', { photo1: attachment }).shows(words);
    await send(discord.attachment(photo, { url: 'https://example.org/a.png' }), /does not come from Discord/);
    await send(
      discord.attachment(photo, { url: 'http://169.254.169.254/secret' }),
      /does not come from Discord/,
    );
    await send(discord.attachment(photo, { type: 'video/mp4' }), /is video\/mp4, no picture/);
    await send(discord.attachment(photo, { size: 31e6 }), /more than 30 MB/);
    // It claims to be small.
    await send(discord.attachment(Buffer.alloc(31e6), { size: 10 }), /more than 30 MB/);
    await send(discord.attachment(Buffer.from('a text, whatever its name says')), /is no picture/);
    // They go when the answer has been given.
    await until(() => readdirSync(join(folder, 'home/inbox')).length === 0);
  });

  test('what nobody expected is in the log, and not in the answer', async () => {
    const forget = { ...operations.deleteSubject, run: () => Promise.reject(new TypeError('a bug of ours')) };
    await start({ operations: { ...operations, deleteSubject: forget } });
    await discord.command('ann', 'forget', { subject: 'rex' }).shows(/Something unexpected went wrong/);
    expect(logged.join()).toContain('a bug of ours');
  });

  test("people need consent, children are refused, unknown subjects and others' names are told", async () => {
    await start();
    await train('ann', { class: 'man', consent: false }).shows(/class is "man", a person/);
    await train('ann', { class: 'little girl' }).shows(/Children are not learned here/);
    await discord.command('ann', 'imagine', { prompt: '@mia' }).shows(/no subject @mia. There are none yet/);
    await train('ann', { name: 'rex' }).shows(/is learned/);
    await train('bob', { name: 'rex' }).shows(/@rex already/);
    await discord.command('bob', 'forget', { subject: 'rex' }).shows(/no subject @rex/);
    await discord.command('bob', 'cancel', { job: 'rex-0000' }).shows(/There is no job/);
    await discord.command('alone-eve', 'imagine', { prompt: '@rex' }).shows(/no subject @rex/);
  });
});

describe('the command', () => {
  test('is registered when it has changed, and only then; a new operation is a subcommand', async () => {
    const host = hostWith();
    const first = await startBot(host, { token: 'good-token', api: discord.api });
    await first.close();
    await (await startBot(host, { token: 'good-token', api: discord.api })).close();
    expect(discord.commands.registered).toBe(1);
    const names = () =>
      (discord.commands.json[0] as { options: { name: string }[] }).options.map(({ name }) => name);
    expect(names()).toEqual(['train', 'cancel', 'resume', 'jobs', 'imagine', 'subjects', 'rename', 'forget']);
    const echo = defineOperation({
      name: 'echoLoudly',
      title: 'Echo',
      words: 'Says it again.',
      effect: 'reads',
      input: z.object({
        word: z.string().describe('What to say'),
        howOften: z.int().min(1).max(9).optional().describe('How often'),
      }),
      result: z.object({ said: z.string() }),
      example: { word: 'hello' },
      say: ({ said }) => said,
      run: async (_, { word, howOften = 1 }) => ({ said: `${word}!`.repeat(howOften) }),
    });
    await start({ operations: { ...operations, echo } });
    expect(discord.commands.registered).toBe(2);
    expect(names()).toContain('echo-loudly');
    await discord.command('ann', 'echo-loudly', { word: 'hi', 'how-often': 2 }).shows(/^hi!hi!$/);
    await discord
      .command('ann', 'echo-loudly', { word: 'hi', 'how-often': 99 })
      .shows(/howOften is 99: give a whole number from 1 to 9/);
  });

  test('is as Discord wants it: at most 25 options, names and descriptions of the right length, 8000 characters in all', async () => {
    await start();
    const [json] = discord.commands.json as {
      options: {
        name: string;
        description: string;
        options: { name: string; description: string; required?: boolean }[];
      }[];
    }[];
    expect(JSON.stringify(json).length).toBeLessThan(8000);
    for (const { name, description, options } of json!.options) {
      expect(options.length).toBeLessThanOrEqual(25);
      for (const one of [{ name, description }, ...options]) {
        expect(one.name).toMatch(/^[a-z0-9_-]{1,32}$/);
        expect(one.description.length).toBeLessThanOrEqual(100);
      }
      const required = options.map((option) => option.required === true);
      expect(required).toEqual([...required].sort((a, b) => Number(b) - Number(a)));
    }
  });
});

test('no network, and a server that is none, are told as what they are', async () => {
  const away = { token: 'some-token-1234', api: 'http://127.0.0.1:9/api' };
  await expect(startBot(hostWith(), away)).rejects.toThrow(DiscordUnreachableError);
  // Before anybody is asked: with no network, too.
  await expect(startBot(hostWith(), { ...away, guild: 'abc' })).rejects.toThrow(
    /guild is abc: give the id of a server/,
  );
});

test('a wrong token is one clear line, and a token is in no log', async () => {
  const error = await startBot(hostWith(), { token: 'wrong-token-1234', api: discord.api }).then(
    () => undefined,
    (reason: Error) => reason,
  );
  expect(error!.message).toMatch(/does not know this token.*DISCORD_TOKEN/);
  expect(error!.message).not.toContain('wrong-token');
  const start = async (env: object) => {
    const program = join(import.meta.dirname, '../../dist/adapters/cli.js');
    const parameters = [program, 'discord', '--home', join(folder, 'home')];
    const child = spawn(process.execPath, parameters, { env: { ...process.env, ...env } });
    let said = '';
    child.stderr.on('data', (data) => (said += data));
    const status = await new Promise((resolve) => child.once('exit', resolve));
    return { status, said };
  };
  const none = await start({ DISCORD_TOKEN: '' });
  expect(none.said).toMatch(/DISCORD_TOKEN is not set/);
  expect(none.status).toBe(2);
  const wrong = await start({ DISCORD_TOKEN: 'wrong-token-1234', DISCORD_API: discord.api });
  expect(wrong.said).toMatch(/^Error \(discord-refused\): .*does not know this token.*\n$/);
  expect(wrong.said).not.toContain('wrong-token');
  expect(wrong.status).toBe(1);
});
