/** The MCP server: the operations as tools for AI assistants. */
export type { HttpOptions, HttpServer } from './http';
export { serveHttp } from './http';
export { createMcpServer } from './server';
export { serveStdio } from './stdio';
