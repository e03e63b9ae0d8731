/** A server that answers chat completions as OpenAI's does, or as a test says. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly authorization: string | undefined;
  readonly body: {
    readonly model: string;
    readonly temperature: number;
    readonly messages: {
      role: string;
      content: string | { type: string; text?: string; image_url?: { url: string; detail: string } }[];
    }[];
  };
}

export type Behaviour =
  /** `tokens: null`: it says nothing of them. */
  | { readonly say: string; readonly model?: string; readonly tokens?: [number, number] | null }
  | { readonly refuse: string }
  | { readonly status: number; readonly error?: object; readonly headers?: Record<string, string> }
  | { readonly body: string; readonly type?: string }
  | 'silence'
  | 'hang-up'
  /** Likewise, within the answer. */
  | 'stall'
  | 'break-off';

export interface FakeOpenAI {
  readonly url: string;
  readonly asked: Asked[];
  /** What call `n` (from 0) is answered with. */
  behave: (asked: Asked, n: number) => Behaviour;
  /** Status of the list of models. */
  listing: number;
  /** Ids in that list. */
  models: string[];
  close(): Promise<void>;
}

export async function startFakeOpenAI(): Promise<FakeOpenAI> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      const list = { object: 'list', data: fake.models.map((id) => ({ id, object: 'model' })) };
      response
        .writeHead(fake.listing, { 'content-type': 'application/json' })
        .end(JSON.stringify(fake.listing === 200 ? list : { error: { message: 'no' } }));
      return;
    }
    const one: Asked = {
      authorization: request.headers.authorization,
      body: JSON.parse(await textOf(request)),
    };
    const behaviour = fake.behave(one, asked.push(one) - 1);
    if (behaviour === 'silence') return;
    if (behaviour === 'hang-up') return void request.socket.destroy();
    if (behaviour === 'stall' || behaviour === 'break-off') {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"choices":');
      if (behaviour === 'break-off') setTimeout(() => request.socket.destroy(), 20);
      return;
    }
    if ('body' in behaviour) {
      response.writeHead(200, { 'content-type': behaviour.type ?? 'application/json' }).end(behaviour.body);
      return;
    }
    const send = (status: number, body: object, headers: Record<string, string> = {}) =>
      response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(JSON.stringify(body));
    if ('status' in behaviour) {
      send(behaviour.status, { error: behaviour.error ?? { message: 'no' } }, behaviour.headers);
      return;
    }
    const refused = 'refuse' in behaviour;
    const [prompt, completion] = ('tokens' in behaviour && behaviour.tokens) || [1000, 10];
    const silent = 'tokens' in behaviour && behaviour.tokens === null;
    const message = {
      role: 'assistant',
      content: refused ? null : behaviour.say,
      refusal: refused ? behaviour.refuse : null,
    };
    send(200, {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 0,
      model: ('model' in behaviour && behaviour.model) || one.body.model,
      choices: [{ index: 0, message, finish_reason: 'stop', logprobs: null }],
      ...(!silent && {
        usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
      }),
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const fake: FakeOpenAI = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    behave: () => ({ say: 'Score: 3' }),
    listing: 200,
    models: ['gpt-4o-2024-05-13'],
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return fake;
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}
