/**
 * Discord's gateway and REST in so far as a bot meets them, with the limits that are enforced: three seconds to the first
 * answer, fifteen minutes for an interaction's token, sizes of files and messages, rate limits, permissions.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export interface SentMessage {
  readonly id: string;
  readonly channel: string;
  content: string;
  components: { components: { label: string; custom_id: string }[] }[];
  files: { readonly name: string; readonly bytes: number; readonly type: string }[];
  readonly edits: number[];
  ephemeral: boolean;
  readonly mentions: string[];
}

export interface Sent {
  readonly id: string;
  readonly token: string;
  readonly at: number;
  /** Settles with the kind of the first answer, as 5 for "later" and 9 for a form. */
  readonly answered: Promise<{ readonly type: number; readonly data: Record<string, unknown> }>;
  message(): SentMessage | undefined;
  /** Waits until the answer's text matches. */
  shows(text: RegExp): Promise<SentMessage>;
}

const application = '900000000000000001';
export const guild = '800000000000000001';
export const channel = '700000000000000001';
const fileLimit = 10 * 2 ** 20;
const messageLimit = 25 * 2 ** 20;
const firstAnswer = 3_000;
const tokenLife = 15 * 60_000;

export async function startFakeDiscord(token = 'good-token') {
  /** The bot's clock is this one: hours pass by moving it. */
  const clock = { ahead: 0 };
  const now = () => Date.now() + clock.ahead;
  let made = 0;
  const snowflake = () => String((BigInt(now() - 1_420_070_400_000) << 22n) + BigInt(++made));
  const messages: SentMessage[] = [];
  const interactions = new Map<
    string,
    {
      at: number;
      settle(answer: { type: number; data: Record<string, unknown> }): void;
      message?: SentMessage;
      done: boolean;
    }
  >();
  const commands: { registered: number; json: object[] } = { registered: 0, json: [] };
  const files = new Map<string, { readonly bytes: Uint8Array; readonly type: string }>();
  /** Permissions and the like as a test wants them. */
  const rules = {
    channelClosed: false,
    channelGone: false,
    messagesClosed: false,
    messagesBroken: false,
    refuseNext: 0,
    fileLimit,
  };
  const failures: string[] = [];
  const sockets = new Set<WebSocket>();

  const server = createServer(
    (request, response) => void answer(request, response).catch((error) => failures.push(String(error))),
  );
  const gateway = new WebSocketServer({ server });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;

  gateway.on('connection', (socket) => {
    sockets.add(socket);
    socket.send(JSON.stringify({ op: 10, d: { heartbeat_interval: 40_000 } }));
    socket.on('message', (data) => {
      const { op, d } = JSON.parse(String(data)) as { op: number; d: { token?: string } };
      if (op === 1) socket.send(JSON.stringify({ op: 11 }));
      if (op === 2 && d.token !== token) return socket.close(4004, 'Authentication failed.');
      if (op !== 2) return;
      const ready = {
        v: 10,
        user: { id: application, username: 'dreambooth', discriminator: '0000', avatar: null, bot: true },
        guilds: [{ id: guild, unavailable: true }],
        session_id: 'session',
        resume_gateway_url: `ws://127.0.0.1:${port}`,
        application: { id: application, flags: 0 },
      };
      socket.send(JSON.stringify({ op: 0, t: 'READY', s: 1, d: ready }));
      const there = {
        id: guild,
        name: 'A server',
        channels: [{ id: channel, type: 0, name: 'pictures' }],
        members: [],
        roles: [],
        emojis: [],
        stickers: [],
        threads: [],
        presences: [],
        voice_states: [],
        stage_instances: [],
        guild_scheduled_events: [],
        soundboard_sounds: [],
        preferred_locale: 'en-US',
        owner_id: '1',
        features: [],
        member_count: 1,
        unavailable: false,
      };
      socket.send(JSON.stringify({ op: 0, t: 'GUILD_CREATE', s: 2, d: there }));
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, origin);
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    const raw = Buffer.concat(parts);
    const send = (status: number, body?: unknown) => {
      response.writeHead(status, body === undefined ? {} : { 'content-type': 'application/json' });
      response.end(body === undefined ? '' : JSON.stringify(body));
    };
    const file = /^\/files\/(\w+)/.exec(pathname)?.[1];
    if (file !== undefined) {
      const { bytes, type } = files.get(file)!;
      response.writeHead(200, { 'content-type': type });
      return void response.end(bytes);
    }
    if (rules.refuseNext > 0) {
      rules.refuseNext--;
      response.setHeader('retry-after', '0.2');
      return send(429, { message: 'You are being rate limited.', retry_after: 0.2, global: false });
    }
    const route = pathname.replace(/^\/api\/v10/, '');
    const authorized = request.headers.authorization === `Bot ${token}`;
    const callback = /^\/interactions\/(\d+)\/([^/]+)\/callback$/.exec(route);
    if (callback) {
      const known = interactions.get(callback[2]!)!;
      const { type, data = {} } = JSON.parse(raw.toString()) as {
        type: number;
        data?: Record<string, unknown>;
      };
      if (now() - known.at > firstAnswer || known.done)
        return send(404, { code: 10062, message: 'Unknown interaction' });
      known.done = true;
      if (type === 5)
        known.message = message(channel, { ephemeral: (Number(data['flags'] ?? 0) & 64) !== 0 });
      known.settle({ type, data });
      return send(204);
    }
    const webhook = /^\/webhooks\/(\d+)\/([^/]+)\/messages\/(?:@|%40)original$/.exec(route);
    if (webhook && request.method === 'PATCH') {
      const known = interactions.get(webhook[2]!);
      if (!known) return send(404, { code: 10015, message: 'Unknown Webhook' });
      if (now() - known.at > tokenLife) return send(401, { code: 50027, message: 'Invalid Webhook Token' });
      return edit(known.message!, raw, request, send);
    }
    if (!authorized) return send(401, { code: 0, message: '401: Unauthorized' });
    if (route === '/gateway/bot')
      return send(200, {
        url: `ws://127.0.0.1:${port}`,
        shards: 1,
        session_start_limit: { total: 1000, remaining: 1000, reset_after: 0, max_concurrency: 1 },
      });
    if (/^\/applications\/\d+(\/guilds\/\d+)?\/commands$/.test(route)) {
      if (request.method === 'PUT') {
        commands.registered++;
        commands.json = JSON.parse(raw.toString());
      }
      return send(200, commands.json);
    }
    if (route === '/users/@me/channels')
      return rules.messagesClosed
        ? send(403, { code: 50007, message: 'Cannot send messages to this user' })
        : send(200, { id: 'dm', type: 1 });
    const post = /^\/channels\/(\w+)\/messages$/.exec(route);
    if (rules.messagesBroken && route.startsWith('/channels/'))
      return send(400, { code: 50035, message: 'Invalid Form Body' });
    if (rules.channelGone && route.startsWith(`/channels/${channel}/`))
      return send(404, { code: 10003, message: 'Unknown Channel' });
    if (post && request.method === 'POST') {
      if (rules.channelClosed && post[1] !== 'dm')
        return send(403, { code: 50013, message: 'Missing Permissions' });
      if (rules.messagesClosed && post[1] === 'dm')
        return send(403, { code: 50007, message: 'Cannot send messages to this user' });
      return edit(message(post[1]!, {}), raw, request, send);
    }
    const own = /^\/channels\/(\w+)\/messages\/(\d+)$/.exec(route);
    if (own && request.method === 'PATCH') {
      const target = messages.find(({ id }) => id === own[2]);
      return target === undefined
        ? send(404, { code: 10008, message: 'Unknown Message' })
        : edit(target, raw, request, send);
    }
    if (own && request.method === 'DELETE') {
      messages.splice(
        messages.findIndex(({ id }) => id === own[2]),
        1,
      );
      return send(204);
    }
    failures.push(`${request.method} ${route}`);
    send(404, { code: 0, message: '404: Not Found' });
  }

  function message(where: string, given: Partial<SentMessage>): SentMessage {
    const sent: SentMessage = {
      id: snowflake(),
      channel: where,
      content: '',
      components: [],
      files: [],
      edits: [],
      ephemeral: false,
      mentions: [],
      ...given,
    };
    messages.push(sent);
    return sent;
  }

  async function edit(
    target: SentMessage,
    raw: Buffer,
    request: IncomingMessage,
    send: (status: number, body?: unknown) => void,
  ): Promise<void> {
    const type = request.headers['content-type'] ?? '';
    let body: {
      content?: string;
      components?: SentMessage['components'];
      allowed_mentions?: { users?: string[] };
    };
    const sent: { name: string; bytes: number; type: string }[] = [];
    if (type.startsWith('multipart/')) {
      const form = await new Response(new Uint8Array(raw), { headers: { 'content-type': type } }).formData();
      body = JSON.parse(String(form.get('payload_json')));
      for (const [, value] of form)
        if (value instanceof Blob) sent.push({ name: value.name, bytes: value.size, type: value.type });
    } else body = JSON.parse(raw.toString());
    if (raw.length > messageLimit || sent.some(({ bytes }) => bytes > rules.fileLimit))
      return send(413, { code: 40005, message: 'Request entity too large' });
    if ((body.content ?? '').length > 2000) return send(400, { code: 50035, message: 'Invalid Form Body' });
    target.content = body.content ?? target.content;
    target.components = body.components ?? target.components;
    target.mentions.push(...(body.allowed_mentions?.users ?? []));
    if (sent.length > 0) target.files = sent;
    target.edits.push(Date.now());
    send(200, {
      id: target.id,
      channel_id: target.channel,
      content: target.content,
      components: [],
      attachments: [],
      author: { id: application, username: 'dreambooth', discriminator: '0' },
      timestamp: new Date().toISOString(),
      type: 0,
    });
  }

  function interact(type: number, data: object, user: string, more: object = {}): Sent {
    const id = snowflake();
    const interactionToken = `token-${id}`;
    let settle!: (answer: { type: number; data: Record<string, unknown> }) => void;
    const answered = new Promise<{ type: number; data: Record<string, unknown> }>((resolve) => {
      settle = resolve;
    });
    const at = now();
    const known = { at, settle, done: false } as NonNullable<ReturnType<typeof interactions.get>>;
    interactions.set(interactionToken, known);
    const moderates = user === 'mod';
    const member = {
      user: { id: userId(user), username: user, discriminator: '0', avatar: null },
      roles: [],
      permissions: moderates ? '8192' : '2048',
      joined_at: new Date().toISOString(),
      deaf: false,
      mute: false,
      flags: 0,
    };
    const place = user.startsWith('alone-') ? { user: member.user } : { guild_id: guild, member };
    const d = {
      id,
      application_id: application,
      type,
      token: interactionToken,
      version: 1,
      channel_id: channel,
      channel: { id: channel, type: 0, name: 'pictures', guild_id: guild, permissions: '0' },
      attachment_size_limit: rules.fileLimit,
      locale: 'en-US',
      guild_locale: 'en-US',
      // View Channel, Send Messages, Attach Files.
      app_permissions: String(1024 + 32768 + (rules.channelClosed ? 0 : 2048)),
      entitlements: [],
      authorizing_integration_owners: {},
      context: 0,
      ...place,
      data,
      ...more,
    };
    for (const socket of sockets)
      if (socket.readyState === 1)
        socket.send(JSON.stringify({ op: 0, t: 'INTERACTION_CREATE', s: ++made, d }));
    return {
      id,
      token: interactionToken,
      at,
      answered,
      message: () => known.message,
      async shows(text) {
        for (;;) {
          const shown = known.message;
          if (shown !== undefined && text.test(shown.content)) return shown;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      },
    };
  }

  const attachment = (
    bytes: Uint8Array,
    { type = 'image/png', url, size }: { type?: string; url?: string; size?: number } = {},
  ) => {
    const id = snowflake();
    files.set(id, { bytes, type });
    return {
      id,
      filename: 'photo.png',
      size: size ?? bytes.length,
      url: url ?? `${origin}/files/${id}`,
      proxy_url: '',
      content_type: type,
      width: 64,
      height: 64,
    };
  };

  return {
    api: `${origin}/api`,
    origin,
    clock,
    now,
    messages,
    commands,
    rules,
    failures,
    attachment,
    /** `/dreambooth NAME`; options that are attachments are made by `attachment`. */
    command(user: string, name: string, options: Readonly<Record<string, unknown>> = {}): Sent {
      const attachments: Record<string, object> = {};
      const given = Object.entries(options).map(([option, value]) => {
        if (typeof value === 'object' && value !== null) {
          const sent = value as { id: string };
          attachments[sent.id] = sent;
          return { name: option, type: 11, value: sent.id };
        }
        return {
          name: option,
          type: typeof value === 'number' ? 4 : typeof value === 'boolean' ? 5 : 3,
          value,
        };
      });
      return interact(
        2,
        {
          id: '1',
          name: 'dreambooth',
          type: 1,
          options: [{ type: 1, name, options: given }],
          resolved: { attachments },
        },
        user,
      );
    },
    complete(user: string, name: string, option: string, value: string): Sent {
      return interact(
        4,
        {
          id: '1',
          name: 'dreambooth',
          type: 1,
          options: [{ type: 1, name, options: [{ name: option, type: 3, value, focused: true }] }],
        },
        user,
      );
    },
    press(user: string, message: SentMessage, label: string): Sent {
      const button = message.components
        .flatMap(({ components }) => components)
        .find((one) => one.label === label)!;
      const shown = {
        id: message.id,
        channel_id: message.channel,
        content: message.content,
        components: [],
        attachments: [],
        embeds: [],
        mentions: [],
        mention_roles: [],
        author: { id: application, username: 'dreambooth', discriminator: '0' },
        timestamp: new Date().toISOString(),
        type: 0,
        pinned: false,
        tts: false,
        edited_timestamp: null,
        mention_everyone: false,
      };
      return interact(3, { custom_id: button.custom_id, component_type: 2 }, user, { message: shown });
    },
    fillForm(user: string, form: Record<string, unknown>, values: Readonly<Record<string, unknown>>): Sent {
      const attachments: Record<string, object> = {};
      const components = (form['components'] as { component: { custom_id: string; type: number } }[]).map(
        ({ component: { custom_id, type } }) => {
          const value = values[custom_id];
          if (type !== 19)
            return {
              type: 18,
              id: 1,
              component: { type, id: 2, custom_id, value: value ?? (type === 23 ? false : '') },
            };
          const sent = value as { id: string }[];
          for (const one of sent) attachments[one.id] = one;
          return { type: 18, id: 1, component: { type, id: 2, custom_id, values: sent.map(({ id }) => id) } };
        },
      );
      return interact(5, { custom_id: form['custom_id'], components, resolved: { attachments } }, user);
    },
    /** The connection breaks. */
    drop() {
      for (const socket of sockets) socket.close(4000);
      sockets.clear();
    },
    async close() {
      for (const socket of sockets) socket.terminate();
      gateway.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type FakeDiscord = Awaited<ReturnType<typeof startFakeDiscord>>;
export const userId = (name: string) =>
  `6000000000000${Buffer.from(name).readUIntBE(0, Math.min(4, name.length)).toString().padStart(10, '0')}`;
