/** A route that draws: GET /draw?prompt=@rex+in+the+snow. Run with: npx tsx examples/hono-route.ts */
import { serve } from '@hono/node-server';
import { DreamBoothError, generate } from 'dreambooth';
import { Hono } from 'hono';

export const app = new Hono();

app.get('/draw', async (context) => {
  try {
    const [image] = await generate(context.req.query('prompt') ?? '', { signal: context.req.raw.signal });
    return context.body(new Uint8Array(image!.png), 200, { 'Content-Type': 'image/png' });
  } catch (error) {
    if (!(error instanceof DreamBoothError)) throw error;
    return context.json({ code: error.code, message: error.message }, 400);
  }
});

if (import.meta.url === `file://${process.argv[1]}`) serve({ fetch: app.fetch, port: 3000 });
