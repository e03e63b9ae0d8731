/** How much memory there is for a run. */
import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';

/** Bytes that can be taken before something must be written out to disk; within a container, of its share. */
export function availableMemory(): number {
  const free = /^MemAvailable:\s+(\d+) kB/m.exec(read('/proc/meminfo'))?.[1];
  // Elsewhere what is free does not count what the system would give up at once, such as file caches.
  const system = free === undefined ? Math.max(freemem(), totalmem() / 2) : Number(free) * 1024;
  const share = Number(read('/sys/fs/cgroup/memory.max'));
  const used = Number(read('/sys/fs/cgroup/memory.current'));
  const cached = Number(/^file (\d+)/m.exec(read('/sys/fs/cgroup/memory.stat'))?.[1] ?? 0);
  return share > 0 && used > 0 ? Math.min(system, Math.max(0, share - (used - cached))) : system;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
