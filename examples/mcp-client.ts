/** A whole conversation over MCP: learn, wait, draw, look. Run with: npx tsx examples/mcp-client.ts FOLDER PHOTO… */
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const [folder = '.', ...photos] = process.argv.slice(2);
const client = new Client({ name: 'example', version: '1.0.0' });
const options = ['--allow-dir', folder, '--home', join(folder, 'dreambooth')];
await client.connect(
  new StdioClientTransport({ command: 'npx', args: ['-y', 'dreambooth', 'mcp', ...options] }),
);
async function call(name: string, input: Record<string, unknown>) {
  const { content, structuredContent, isError } = await client.callTool({ name, arguments: input });
  const [first] = content as { text: string }[];
  if (isError) throw new Error(first?.text);
  console.log(first?.text);
  return structuredContent as {
    job: string;
    state: string;
    subject: string;
    pictures: { picture: string }[];
  };
}

let job = await call('personalize_subject', { photos, class: 'dog', name: 'rex' });
while (['queued', 'running'].includes(job.state))
  job = await call('get_job', { job: job.job, waitSeconds: 40 });
const drawn = await call('generate_image', { prompt: 'a photo of @rex in the snow', waitSeconds: 45 });
const { contents } = await client.readResource({
  uri: `dreambooth://pictures/${drawn.pictures[0]!.picture}`,
});
console.log(`${contents[0]!.mimeType}, ${contents[0]!.uri}`);
await client.close();
