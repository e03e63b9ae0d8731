import type { BaseReport } from 'dreambooth';
import { type CommonOptions, homeArgument, quoted, type Session } from './session';

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
    ...(diagnosis.baseReport ? describeBase(diagnosis.baseReport) : []),
    `models       ${diagnosis.modelsFound} found (dreambooth models lists them)`,
    ...problems.map((problem) => `Problem: ${problem}`),
    diagnosis.ok ? `All is well. Next: ${next(options)}` : 'Mend the above, then look again.',
  ];
  output.row(diagnosis, lines.join('\n'));
  return diagnosis.ok ? 0 : 1;
}

const next = ({ base, ...options }: CommonOptions & { readonly base?: string }) =>
  base === undefined
    ? 'dreambooth demo'
    : `dreambooth personalize PHOTOS... --class NOUN --base ${quoted(base)}${homeArgument(options)}`;

const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GB`;

function describeBase({
  family,
  layout,
  predictionType,
  components,
  leftOver,
  readTwice,
}: BaseReport): string[] {
  const shown = leftOver.slice(0, 8).join(', ');
  return [
    `  ${family}, ${layout === 'diffusers' ? 'folder in the diffusers layout' : 'one file'}, predicts ${predictionType}`,
    ...components.map(({ name, parameters, tensors, precisions }) => {
      const types = Object.entries(precisions).map(([type, count]) =>
        count === tensors ? type : `${count} ${type}`,
      );
      return `  ${name.padEnd(15)} ${parameters.toLocaleString('en-US')} parameters in ${tensors} tensors, ${types.join(', ')}`;
    }),
    leftOver.length === 0
      ? '  every key of its files is read, once'
      : `  not read: ${leftOver.length} ${leftOver.length === 1 ? 'key' : 'keys'} (${shown}${leftOver.length > 8 ? ', …' : ''})`,
    ...(readTwice.length > 0 ? [`  read twice: ${readTwice.join(', ')}`] : []),
  ];
}
