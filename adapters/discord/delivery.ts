/**
 * One message a job, which follows it to its end. For 14 minutes it is the answer to the interaction; Discord then takes
 * no more of it, and a message of the bot's own goes on. What is written in the home lets another process go on.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RawFile, REST } from 'discord.js';
import { DiscordAPIError, Routes } from 'discord.js';
import type { Caller, Host, JobView } from 'dreambooth';
import { type Card, cardOf } from './cards';

/** Where a job's answer goes: what its `replyTo` holds. */
export interface ReplyTo {
  readonly application: string;
  readonly token: string;
  /** When the interaction was made, in ms. */
  readonly at: string;
  readonly channel: string;
  readonly user: string;
  readonly guild: string;
  /** Bytes of a file that may be sent there. */
  readonly limit: string;
  /** Permissions that the bot lacked there when it was asked, by Discord's names. */
  readonly lacking: string;
}

export interface Delivery {
  follow(job: string, to: ReplyTo): void;
  /** Stops following; what was not told yet is told by the next process. */
  close(): Promise<void>;
}

export interface DeliveryOptions {
  readonly host: Host;
  readonly rest: REST;
  readonly log: (line: string) => void;
  readonly now?: () => number;
  /** Between two edits of a message, in ms; default 4,000. */
  readonly editInterval?: number;
}

/** Of the 15 minutes that an interaction's token is good for. */
const tokenLife = 14 * 60_000;
/** Follows every job, whoever asked for it. */
const everyone: Caller = { id: 'discord', scope: null, role: 'operator', host: 'discord' };

/** A result that cannot be delivered is tried at so many starts of a bot. */
const mostStarts = 5;

const codes = {
  unknownChannel: 10003,
  unknownUser: 10013,
  missingAccess: 50001,
  missingPermissions: 50013,
  closedMessages: 50007,
  unknownWebhook: 10015,
  invalidToken: 50027,
  unknownMessage: 10008,
  archivedThread: 50083,
  noMutualServer: 50278,
};
/** The message or its place is gone, or closed to the bot. */
const gone = [
  codes.unknownMessage,
  codes.unknownChannel,
  codes.missingAccess,
  codes.missingPermissions,
  codes.archivedThread,
];
const isOne = (error: unknown, ...wanted: number[]) =>
  error instanceof DiscordAPIError && wanted.includes(Number(error.code));

export function createDelivery({
  host,
  rest,
  log,
  now = Date.now,
  editInterval = 4_000,
}: DeliveryOptions): Delivery {
  const closing = new AbortController();
  const following = new Map<string, Promise<void>>();
  const notes = join(host.home.folder, 'discord');
  const noteOf = (job: string) => join(notes, `${job}.json`);

  const startsOf = (job: string) => join(notes, `${job}.starts`);

  /** At how many starts its result could not be delivered. */
  function failedStarts(job: string): number {
    try {
      return Number(readFileSync(startsOf(job), 'utf8')) || 0;
    } catch {
      return 0;
    }
  }

  /** The bot's own message for a job, where there is one. */
  function ownMessage(job: string): { channel: string; message: string } | undefined {
    try {
      return JSON.parse(readFileSync(noteOf(job), 'utf8'));
    } catch {
      return undefined;
    }
  }

  async function show(job: string, to: ReplyTo, card: Card): Promise<void> {
    const own = ownMessage(job);
    const body = { ...bodyOf(card), allowed_mentions: { parse: [] as string[], users: [] as string[] } };
    const calling = { ...body, content: `<@${to.user}> ${card.content}`.slice(0, 2000) };
    if (own !== undefined) {
      const edited = { body: calling, files: filesOf(card) };
      try {
        await rest.patch(Routes.channelMessage(own.channel, own.message), edited);
        return;
      } catch (error) {
        // Somebody deleted it: another follows.
        if (!isOne(error, ...gone)) throw error;
        rmSync(noteOf(job), { force: true });
      }
    }
    if (now() - Number(to.at) < tokenLife) {
      try {
        await rest.patch(Routes.webhookMessage(to.application, to.token, '@original'), {
          body,
          files: filesOf(card),
          auth: false,
        });
        return;
      } catch (error) {
        // The token ran out, or the message was taken away: the bot's own follows.
        if (!isOne(error, codes.unknownWebhook, codes.invalidToken, codes.unknownMessage)) throw error;
      }
    }
    const message = { ...calling, allowed_mentions: { parse: [], users: [to.user] } };
    const channel = await post(to, message, filesOf(card));
    if (channel === undefined) return;
    mkdirSync(notes, { recursive: true });
    writeFileSync(noteOf(job), JSON.stringify(channel));
  }

  /** In the channel, else to the one who asked; undefined where neither may be. */
  async function post(to: ReplyTo, body: object, files: RawFile[]) {
    const send = async (channel: string) => {
      const sent = (await rest.post(Routes.channelMessages(channel), { body, files })) as { id: string };
      return { channel, message: sent.id };
    };
    try {
      return await send(to.channel);
    } catch (error) {
      if (!isOne(error, ...gone)) throw error;
      const lacking = to.lacking || 'View Channel, Send Messages or Attach Files';
      const why = isOne(error, codes.unknownChannel)
        ? 'it is gone'
        : isOne(error, codes.archivedThread)
          ? 'it is archived'
          : `the bot may not write there, it lacks ${lacking}`;
      log(`Channel ${to.channel}: ${why}; the answer goes to its asker alone.`);
    }
    try {
      const { id } = (await rest.post(Routes.userChannels(), { body: { recipient_id: to.user } })) as {
        id: string;
      };
      return await send(id);
    } catch (error) {
      const { closedMessages, missingAccess, unknownUser, noMutualServer } = codes;
      if (!isOne(error, closedMessages, missingAccess, unknownUser, noMutualServer)) throw error;
      log(`User ${to.user} takes no messages: what was made is kept, and /dreambooth jobs shows it.`);
      return undefined;
    }
  }

  async function follow(job: string, to: ReplyTo): Promise<void> {
    let shown = '';
    let last = 0;
    let late: JobView | undefined;
    const tell = async (view: JobView) => {
      const card = await cardOf(view, Number(to.limit));
      const now_ = JSON.stringify([card.content, card.components]);
      if (now_ === shown && card.files.length === 0) return;
      await show(job, to, card);
      shown = now_;
      last = Date.now();
    };
    for await (const view of host.watch(job, everyone, closing.signal)) {
      late = view;
      const open = view.state === 'queued' || view.state === 'running';
      if (!open) break;
      // Others' messages count against the same limit: what cannot be shown now is shown later.
      if (Date.now() - last < editInterval) continue;
      await tell(view).catch((error: unknown) =>
        log(`Job ${job}: its message could not be changed (${wordsOf(error)}).`),
      );
    }
    if (late === undefined || closing.signal.aborted) return;
    for (let attempt = 1; ; attempt++) {
      try {
        await tell(late);
        break;
      } catch (error) {
        if (attempt === 3) {
          const failed = `Job ${job}: its result could not be delivered (${wordsOf(error)})`;
          const starts = failedStarts(job) + 1;
          if (starts < mostStarts) {
            mkdirSync(notes, { recursive: true });
            writeFileSync(startsOf(job), String(starts));
            return log(`${failed}; it is tried again at the next start.`);
          }
          log(`${failed} at ${starts} starts, and is given up; /dreambooth jobs shows it.`);
          break;
        }
        await sleep(1_000 * attempt);
      }
    }
    host.answered(job);
    for (const file of [noteOf(job), startsOf(job)]) rmSync(file, { force: true });
  }

  return {
    follow(job, to) {
      if (following.has(job)) return;
      const running = follow(job, to)
        .catch((error: unknown) => log(`Job ${job}: ${wordsOf(error)}`))
        .finally(() => following.delete(job));
      following.set(job, running);
    },
    async close() {
      closing.abort();
      await Promise.race([Promise.all(following.values()), sleep(2_000)]);
    },
  };
}

const bodyOf = ({ content, components }: Card) => ({ content, components, attachments: [] });
const filesOf = ({ files }: Card): RawFile[] => files.map(({ name, data }) => ({ name, data }));

/** Without addresses, which hold tokens. */
export const wordsOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/https?:\S+/g, '…');
