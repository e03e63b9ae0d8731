/** The Discord bot in a file. Run with: DISCORD_TOKEN=… npx tsx examples/discord-bot.ts */
import { createHost } from 'dreambooth';
import { startBot } from 'dreambooth/discord';

const host = createHost({ limits: { trainingsADay: 3, picturesAnHour: 60, openJobs: 3 } });
const bot = await startBot(host, { token: process.env['DISCORD_TOKEN'] ?? '', log: console.error });
console.log(`${bot.name} is there.`);
process.once('SIGINT', async () => {
  await bot.close();
  await host.close();
});
