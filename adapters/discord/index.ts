/** The Discord bot: the operations as `/dreambooth`. */
import { type Host, MissingPackageError } from 'dreambooth';
import type { Bot, BotOptions } from './bot';

export type { Bot, BotOptions } from './bot';

/**
 * Logs in, registers the command where it has changed, and answers until it is closed. The host stays its caller's.
 * Rejects with MissingPackageError where discord.js is not installed, InvalidOptionError for a server's id that is none,
 * DiscordRefusedError for a wrong token or an intent that is not allowed, and DiscordUnreachableError.
 */
export async function startBot(host: Host, options: BotOptions): Promise<Bot> {
  const bot = await import('./bot').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new MissingPackageError('discord.js', 'The Discord bot', { cause });
  });
  return bot.startBot(host, options);
}
