/** The bot: interactions in, operations done, answers within Discord's three seconds. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Attachment,
  type AutocompleteInteraction,
  type ButtonInteraction,
  type ChatInputCommandInteraction,
  CheckboxBuilder,
  Client,
  Events,
  FileUploadBuilder,
  GatewayIntentBits,
  type Interaction,
  LabelBuilder,
  MessageFlags,
  ModalBuilder,
  type ModalSubmitInteraction,
  PermissionFlagsBits,
  Routes,
  TextInputBuilder,
  TextInputStyle,
} from 'discord.js';
import {
  type Answer,
  type Caller,
  consentWords,
  DiscordRefusedError,
  DiscordUnreachableError,
  DreamBoothError,
  type Host,
  InvalidOptionError,
  type JobView,
} from 'dreambooth';
import { fetchAttachments, type SentFile } from './attachments';
import { type ButtonAction, cardOf, readButtonId, shortened } from './cards';
import {
  commandJson,
  mostPhotos,
  optionName,
  pictureOptions,
  type Subcommand,
  subcommandsOf,
} from './commands';
import { createDelivery, type ReplyTo, wordsOf } from './delivery';

export interface BotOptions {
  /** Never logged. */
  readonly token: string;
  /** Registers the command in this server alone, where it is there at once; default: everywhere. */
  readonly guild?: string | undefined;
  readonly log?: (line: string) => void;
  /** For tests: where the API is, whose files are taken, the clock, and how often messages are edited. */
  readonly api?: string;
  readonly attachmentOrigins?: readonly string[];
  readonly now?: () => number;
  readonly editInterval?: number;
}

export interface Bot {
  /** As whom it is there. */
  readonly name: string;
  close(): Promise<void>;
}

const defaultFileLimit = 10 * 2 ** 20;
const nouns = [
  'dog',
  'cat',
  'person',
  'man',
  'woman',
  'toy',
  'plush toy',
  'backpack',
  'car',
  'bird',
  'horse',
  'shoe',
  'vase',
  'house',
];

type Asking = ChatInputCommandInteraction | ModalSubmitInteraction;

/** As of the entry. */
export async function startBot(host: Host, options: BotOptions): Promise<Bot> {
  const { token, guild, log = () => {} } = options;
  if (guild !== undefined && !/^\d{17,20}$/.test(guild)) {
    throw new InvalidOptionError(
      'guild',
      `guild is ${guild}: give the id of a server, 17 to 20 digits, as --guild 800000000000000001. Discord copies it with a right click on the server, where developer mode is on.`,
    );
  }
  const client = new Client({
    intents: [GatewayIntentBits.Guilds],
    ...(options.api === undefined ? {} : { rest: { api: options.api } }),
  });
  client.on(Events.Error, (error) => log(`Discord: ${wordsOf(error)}`));
  const subcommands = subcommandsOf(host.operations);
  const { now, editInterval } = options;
  const delivery = createDelivery({
    host,
    rest: client.rest,
    log,
    ...(now === undefined ? {} : { now }),
    ...(editInterval === undefined ? {} : { editInterval }),
  });

  client.on(Events.InteractionCreate, (interaction) => {
    answer(interaction).catch((error: unknown) => log(`An interaction failed: ${wordsOf(error)}`));
  });

  async function answer(interaction: Interaction): Promise<void> {
    if (interaction.isAutocomplete()) return complete(interaction);
    if (interaction.isButton()) return press(interaction);
    if (interaction.isModalSubmit()) {
      const subcommand = subcommands.get(interaction.customId.replace(/^dreambooth:form:/, ''));
      if (subcommand === undefined) return;
      return perform(interaction, subcommand, formInput(interaction, subcommand));
    }
    if (!interaction.isChatInputCommand()) return;
    const subcommand = subcommands.get(interaction.options.getSubcommand());
    if (subcommand === undefined) return;
    const input = commandInput(interaction, subcommand);
    // A form can be no later answer, so it comes before any promise of one.
    const lacks = subcommand.fields.some(
      ({ required, picture, name }) => required && picture && !input.files.has(name),
    );
    if (lacks) return void (await interaction.showModal(formOf(subcommand, input.values)));
    return perform(interaction, subcommand, input);
  }

  async function perform(
    interaction: Asking,
    { key, operation, fields }: Subcommand,
    input: Given,
  ): Promise<void> {
    const quiet = operation.effect !== 'makes';
    await interaction.deferReply(quiet ? { flags: MessageFlags.Ephemeral } : {});
    const fetched: string[] = [];
    try {
      const pictures: Record<string, unknown> = {};
      for (const { name, kind } of fields) {
        const sent = input.files.get(name);
        if (sent === undefined) continue;
        const paths = await fetchAttachments(host.inbox, sent, options.attachmentOrigins);
        fetched.push(...paths);
        pictures[name] = kind === 'texts' ? paths : paths[0];
      }
      const waits = 'waitSeconds' in operation.input.shape ? { waitSeconds: 0 } : {};
      const to = replyOf(interaction);
      const wanted = { ...input.values, ...pictures, ...waits };
      const done = await host.call(key, wanted, callerOf(interaction), { replyTo: { ...to } });
      await tell(interaction, done, to);
    } catch (error) {
      await interaction.editReply({ content: failureText(error, log), allowedMentions: { parse: [] } });
    } finally {
      for (const path of fetched) rmSync(path, { force: true });
    }
  }

  /** A job is followed, anything else said. */
  async function tell(
    interaction: Asking | ButtonInteraction,
    { result, text }: Answer,
    to: ReplyTo,
  ): Promise<void> {
    if (typeof result['job'] === 'string' && typeof result['state'] === 'string') {
      const view = result as unknown as JobView;
      if (view.state === 'queued' || view.state === 'running' || view.state === 'done') {
        const { content, components } = await cardOf({ ...view, pictures: [] }, Number(to.limit));
        if (view.state !== 'done')
          await interaction.editReply({
            content,
            components: components as never,
            allowedMentions: { parse: [] },
          });
        delivery.follow(view.job, to);
        return;
      }
    }
    await interaction.editReply({ content: shortened(text), allowedMentions: { parse: [] } });
  }

  async function press(interaction: ButtonInteraction): Promise<void> {
    const pressed = readButtonId(interaction.customId);
    if (pressed === null) return;
    const { action, job } = pressed;
    const caller = callerOf(interaction);
    const replyTo = replyOf(interaction);
    const makes = action === 'again' || action === 'variations' || action === 'resume';
    await interaction.deferReply(makes ? {} : { flags: MessageFlags.Ephemeral });
    try {
      const [operation, input] = operationOf(action, job);
      const done = await host.call(operation, input, caller, { replyTo: { ...replyTo } });
      if (action === 'delete') await interaction.message.delete().catch(() => {});
      if (makes) await tell(interaction, done, replyTo);
      else await interaction.editReply({ content: shortened(done.text) });
    } catch (error) {
      await interaction.editReply({ content: failureText(error, log), allowedMentions: { parse: [] } });
    }
  }

  async function complete(interaction: AutocompleteInteraction): Promise<void> {
    const { name, value } = interaction.options.getFocused(true);
    const caller = callerOf(interaction);
    const typed = value.toLowerCase().replace(/^@/, '');
    const names = async (): Promise<string[]> => {
      if (name === 'subject') {
        const { subjects } = (await host.call('listSubjects', {}, caller)).result as {
          subjects: { subject: string }[];
        };
        return subjects.map(({ subject }) => subject);
      }
      if (name !== 'job') return nouns;
      return ((await host.call('listJobs', { limit: 50 }, caller)).result as { jobs: JobView[] }).jobs.map(
        ({ job }) => job,
      );
    };
    const found = (await names()).filter((one) => one.startsWith(typed)).slice(0, 25);
    await interaction.respond(found.map((one) => ({ name: one, value: one })));
  }

  try {
    await new Promise<void>((resolve, reject) => {
      client.once(Events.ClientReady, () => resolve());
      client.once(Events.Invalidated, () => reject(refused('it has ended the connection.')));
      client.on(Events.ShardDisconnect, ({ code }) => {
        if (code === 4014)
          reject(refused('an intent is not allowed: switch it on at the application, under Bot.'));
      });
      client.login(token).catch((error: unknown) => reject(loginFailure(error)));
    });
  } catch (error) {
    await client.destroy();
    throw error;
  }
  const application = client.application!.id;
  await register(client, application, guild, commandJson(subcommands), host, log);
  for (const { id, replyTo } of host.unanswered('discord'))
    delivery.follow(id, replyTo as unknown as ReplyTo);
  return {
    name: client.user!.tag,
    async close() {
      await delivery.close();
      await client.destroy();
    },
  };
}

interface Given {
  readonly values: Readonly<Record<string, unknown>>;
  readonly files: ReadonlyMap<string, readonly SentFile[]>;
}

const sentFile = ({ name, url, size, contentType }: Attachment): SentFile => ({
  name,
  url,
  size,
  contentType,
});

function commandInput({ options }: ChatInputCommandInteraction, { fields }: Subcommand): Given {
  const values: Record<string, unknown> = {};
  const files = new Map<string, SentFile[]>();
  for (const field of fields) {
    if (field.picture) {
      const sent = pictureOptions(field).flatMap((name) => options.getAttachment(name) ?? []);
      if (sent.length > 0) files.set(field.name, sent.map(sentFile));
    } else {
      const value = options.get(optionName(field.name))?.value;
      if (value !== undefined) values[field.name] = value;
    }
  }
  return { values, files };
}

/** Asks for what is required, the name and the consent; a form has five parts at most. */
const inForm = (field: { readonly name: string; readonly required: boolean }) =>
  field.required || field.name === 'name' || field.name === 'consent';

function formOf(
  { name, operation, fields }: Subcommand,
  given: Readonly<Record<string, unknown>>,
): ModalBuilder {
  const labels = fields.filter(inForm).map((field) => {
    const label = new LabelBuilder().setLabel(titleOf(field.name));
    if (field.picture) {
      const upload = new FileUploadBuilder()
        .setCustomId(field.name)
        .setMinValues(1)
        .setMaxValues(mostPhotos)
        .setRequired(true);
      return label
        .setDescription('3 to 6 photos from different sides are best')
        .setFileUploadComponent(upload);
    }
    if (field.kind === 'flag')
      return label
        .setDescription(shorter(field.name === 'consent' ? consentWords : field.words))
        .setCheckboxComponent(new CheckboxBuilder().setCustomId(field.name));
    const text = new TextInputBuilder()
      .setCustomId(field.name)
      .setStyle(TextInputStyle.Short)
      .setRequired(field.required)
      .setMaxLength(60);
    const value = given[field.name];
    if (value !== undefined) text.setValue(String(value));
    return label.setDescription(shorter(field.words)).setTextInputComponent(text);
  });
  return new ModalBuilder()
    .setCustomId(`dreambooth:form:${name}`)
    .setTitle(operation.title.slice(0, 45))
    .addLabelComponents(...labels.slice(0, 5));
}

function formInput({ fields: form }: ModalSubmitInteraction, { fields }: Subcommand): Given {
  const values: Record<string, unknown> = {};
  const files = new Map<string, SentFile[]>();
  for (const field of fields.filter(inForm)) {
    if (field.picture)
      files.set(field.name, [...(form.getUploadedFiles(field.name)?.values() ?? [])].map(sentFile));
    else if (field.kind === 'flag') values[field.name] = form.getCheckbox(field.name);
    else {
      const text = form.getTextInputValue(field.name).trim();
      if (text !== '') values[field.name] = text;
    }
  }
  return { values, files };
}

const titleOf = (name: string) =>
  name[0]!.toUpperCase() + name.slice(1).replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
const shorter = (words: string) => (words.length <= 100 ? words : `${words.slice(0, 99)}…`);

function operationOf(action: ButtonAction, job: string): readonly [string, object] {
  if (action === 'again') return ['drawAgain', { job }];
  if (action === 'variations') return ['drawAgain', { job, count: 4 }];
  if (action === 'resume') return ['resumeJob', { job }];
  return action === 'delete' ? ['deleteJob', { job }] : ['cancelJob', { job }];
}

/** Moderators are who may manage the server or its messages. */
function callerOf(interaction: Interaction): Caller {
  const may = interaction.memberPermissions;
  const moderates = may?.any([PermissionFlagsBits.ManageGuild, PermissionFlagsBits.ManageMessages]) === true;
  return {
    id: `discord:${interaction.user.id}`,
    // Between the bot and one person.
    scope: interaction.guildId ?? `discord:${interaction.user.id}`,
    role: moderates ? 'moderator' : 'member',
    host: 'discord',
  };
}

function replyOf(interaction: Asking | ButtonInteraction): ReplyTo {
  return {
    application: interaction.applicationId,
    token: interaction.token,
    at: String(interaction.createdTimestamp),
    channel: interaction.channelId ?? '',
    user: interaction.user.id,
    guild: interaction.guildId ?? '',
    limit: String(interaction.attachmentSizeLimit ?? defaultFileLimit),
    lacking: lackingPermissions(interaction).join(', '),
  };
}

/** What the bot may not do where it was asked, in Discord's words; it needs them for what takes over 15 minutes. */
function lackingPermissions(interaction: Asking | ButtonInteraction): string[] {
  if (interaction.guildId === null) return [];
  const inThread = interaction.channel?.isThread() === true;
  const needed: readonly (readonly [string, bigint])[] = [
    ['View Channel', PermissionFlagsBits.ViewChannel],
    inThread
      ? ['Send Messages in Threads', PermissionFlagsBits.SendMessagesInThreads]
      : ['Send Messages', PermissionFlagsBits.SendMessages],
    ['Attach Files', PermissionFlagsBits.AttachFiles],
  ];
  return needed.filter(([, flag]) => !interaction.appPermissions.has(flag)).map(([name]) => name);
}

const failureText = (error: unknown, log: (line: string) => void): string => {
  if (error instanceof DreamBoothError) return shortened(error.message);
  log(`An operation failed: ${wordsOf(error)}`);
  return 'Something unexpected went wrong; whoever runs this bot finds it in the log.';
};

const refused = (why: string) => new DiscordRefusedError(`Discord does not let the bot in: ${why}`);

function loginFailure(error: unknown): DreamBoothError {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'TokenInvalid' || /token/i.test(wordsOf(error)))
    return refused(
      'it does not know this token. Copy it again from the application, under Bot, into DISCORD_TOKEN.',
    );
  if (/intent/i.test(wordsOf(error)))
    return refused('an intent is not allowed: switch it on at the application, under Bot.');
  return new DiscordUnreachableError(
    `Discord cannot be reached (${wordsOf(error)}): look at the connection, and start again.`,
  );
}

/** Registered commands are many an hour at most, so only what changed is. */
async function register(
  client: Client,
  application: string,
  guild: string | undefined,
  command: object,
  host: Host,
  log: (line: string) => void,
): Promise<void> {
  const route =
    guild === undefined
      ? Routes.applicationCommands(application)
      : Routes.applicationGuildCommands(application, guild);
  const hash = createHash('sha256').update(JSON.stringify(command)).digest('hex');
  const folder = join(host.home.folder, 'discord');
  const note = join(folder, `command-${application}${guild === undefined ? '' : `-${guild}`}`);
  const there = (await client.rest.get(route)) as { name: string }[];
  const known = existsSync(note) && readFileSync(note, 'utf8') === hash;
  if (known && there.some(({ name }) => name === 'dreambooth')) return;
  await client.rest.put(route, { body: [command] });
  mkdirSync(folder, { recursive: true });
  writeFileSync(note, hash);
  log(`Registered /dreambooth${guild === undefined ? '' : ` in the server ${guild}`}.`);
}
