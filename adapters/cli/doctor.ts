import type { CommonOptions, Session } from './session';

/** Exit code 0 when the embedded base model can be used here, else 1. */
export async function doctorCommand(
  { loadSdk, output }: Session,
  options: CommonOptions & { readonly base?: string },
): Promise<number> {
  const sdk = await loadSdk();
  const diagnosis = await sdk.diagnose(sdk.openHome(options.home), options.base);
  const { versions, backends, problems } = diagnosis;
  const lines = [
    `dreambooth   ${versions.dreambooth}`,
    `Node         ${versions.node} on ${diagnosis.platform}`,
    `onnxruntime  ${versions.onnxruntime}`,
    ...backends.map(
      ({ name, missing }) => `  ${name.padEnd(10)} ${missing === null ? 'usable' : `not usable: ${missing}`}`,
    ),
    `cores        ${diagnosis.cores}`,
    `memory       ${gigabytes(diagnosis.memoryBytes)}, ${gigabytes(diagnosis.freeMemoryBytes)} free`,
    `home         ${diagnosis.home} (${gigabytes(diagnosis.freeDiskBytes)} free)`,
    `base         ${diagnosis.base}${diagnosis.baseFound ? '' : ', not found'}`,
    `models       ${diagnosis.modelsFound} found (dreambooth models lists them)`,
    ...problems.map((problem) => `Problem: ${problem}`),
    diagnosis.ok ? 'All is well. Next: dreambooth demo' : 'Mend the above, then look again.',
  ];
  output.row(diagnosis, lines.join('\n'));
  return diagnosis.ok ? 0 : 1;
}

const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GB`;
