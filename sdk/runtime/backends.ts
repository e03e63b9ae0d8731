import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

/** An execution provider of onnxruntime, and whether it can be used here. */
export interface Backend {
  readonly name: string;
  readonly usable: boolean;
  /** What it lacks and the one command that adds it; null when it is usable. */
  readonly missing: string | null;
}

/**
 * What onnxruntime offers on this machine. Loads the native library.
 * Throws what loading it throws, as where the system is too old for it.
 */
export async function listBackends(): Promise<readonly Backend[]> {
  const { listSupportedBackends } = await import('onnxruntime-node');
  const supported = listSupportedBackends().map(({ name }) => name);
  return supported
    .filter((name) => name !== 'tensorrt')
    .map((name) => {
      const missing = whatIsMissing(name);
      return { name, usable: missing === null, missing };
    });
}

/** In words; null where nothing is. The provider that runs wherever the package does needs nothing; CUDA's library is not in the npm package. */
export function whatIsMissing(name: string): string | null {
  if (name === 'webgpu') return process.platform === 'linux' && !hasVulkan() ? vulkanMissing : null;
  if (name !== 'cuda') return null;
  const folder = libraryFolder();
  const present = ['libonnxruntime_providers_cuda.so', 'libonnxruntime_providers_shared.so'].every((file) =>
    existsSync(join(folder, file)),
  );
  if (!present) {
    // Its own script rather than `npm rebuild`, which npm 11 and later may be told not to run scripts for.
    const script = join(packageOf(), 'script', 'install.js');
    return `its library is not installed. Add it (CUDA 12 and cuDNN 9 must be on the system) with: ONNXRUNTIME_NODE_INSTALL=true node ${shortest(script)}`;
  }
  return existsSync('/dev/nvidiactl') || existsSync('/dev/dxg')
    ? null
    : 'there is no NVIDIA device on this machine';
}

const vulkanMissing =
  'there is no Vulkan loader. Add it with your system, as: apt-get install libvulkan1 (and the driver of your graphics card)';

function hasVulkan(): boolean {
  const folders = [
    '/usr/lib',
    '/usr/lib64',
    `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`,
  ];
  return folders.some((folder) => existsSync(join(folder, 'libvulkan.so.1')));
}

const packageOf = () => dirname(dirname(createRequire(import.meta.url).resolve('onnxruntime-node')));

const libraryFolder = () => join(packageOf(), 'bin', 'napi-v6', process.platform, process.arch);

function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path);
  const chosen = fromHere.length < path.length ? fromHere : path;
  return chosen.includes(' ') ? `"${chosen}"` : chosen;
}
