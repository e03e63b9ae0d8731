import { WrongUse } from './failures';
import { type HostCommandOptions, hostOptions } from './host-options';
import type { Session } from './session';

export interface DiscordOptions extends HostCommandOptions {
  readonly guild?: string;
  readonly trainingsPerDay?: number;
  readonly picturesPerHour?: number;
  readonly openJobs?: number;
  readonly openJobsPerServer?: number;
}

/** Runs the bot until it is interrupted. */
export async function discordCommand(session: Session, options: DiscordOptions): Promise<void> {
  const { loadSdk, onInterrupt, stderr } = session;
  const token = process.env['DISCORD_TOKEN']?.trim();
  if (!token)
    throw new WrongUse(
      'DISCORD_TOKEN is not set: copy the token of your application there, see https://discord.com/developers/applications, under Bot',
    );
  const say = (line: string) => stderr.write(`${line.replaceAll(token, '…')}\n`);
  const sdk = await loadSdk();
  const { startBot } = await import('dreambooth/discord');
  const host = sdk.createHost({
    ...(await hostOptions(sdk, options)),
    limits: {
      trainingsADay: options.trainingsPerDay ?? 3,
      picturesAnHour: options.picturesPerHour ?? 60,
      openJobs: options.openJobs ?? 3,
      openJobsOfScope: options.openJobsPerServer ?? 50,
    },
  });
  const interrupted = new Promise<() => void>((resolve) => {
    const stopListening = onInterrupt(() => resolve(stopListening));
  });
  try {
    // Where a proxy stands before Discord's API.
    const api = process.env['DISCORD_API'];
    const bot = await startBot(host, { token, guild: options.guild, log: say, ...(api ? { api } : {}) });
    say(
      `${bot.name} is there, home ${host.home.folder}; Ctrl-C ends it, and a running job goes on at the next start.`,
    );
    (await interrupted)();
    say('Stopping after this step …');
    await bot.close();
  } finally {
    await host.close();
  }
}
