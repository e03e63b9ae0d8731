/** The Discord bot: the operations as `/dreambooth`. */
export type { Bot, BotOptions } from './bot';
export { startBot } from './bot';
export { commandJson, subcommandsOf } from './commands';
