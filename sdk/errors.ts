/**
 * Every failure a caller could act on, one class per thing the caller would do differently.
 * `code` is stable across releases; `message` says what was found, what was wanted and what to do.
 */
export class DreamBoothError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An option, argument or setting is outside what the call accepts: change the call. */
export class InvalidOptionError extends DreamBoothError {
  readonly option: string;

  constructor(option: string, message: string, options?: ErrorOptions) {
    super('invalid-option', message, options);
    this.option = option;
  }
}

/** A file that was asked for is not there: correct the path, or fetch what is missing. */
export class MissingFileError extends DreamBoothError {
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super('missing-file', message, options);
    this.path = path;
  }
}

/** A file is there but cut short, damaged or not of its format: fetch or write it again. */
export class BrokenFileError extends DreamBoothError {
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super('broken-file', message, options);
    this.path = path;
  }
}

/** The disk has no room for a file; what stood at `path` before still stands: make room, then repeat. */
export class DiskFullError extends DreamBoothError {
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super('disk-full', message, options);
    this.path = path;
  }
}

/** A file or folder cannot be made where it was asked for: name another place, or mend its permissions. */
export class UnwritablePathError extends DreamBoothError {
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super('unwritable-path', message, options);
    this.path = path;
  }
}

/** A checkpoint of a kind that this package cannot run: choose another. */
export class UnsupportedModelError extends DreamBoothError {
  constructor(message: string, options?: ErrorOptions) {
    super('unsupported-model', message, options);
  }
}

/** The hub has no such model, or none of that revision: correct the id. */
export class UnknownModelError extends DreamBoothError {
  readonly model: string;

  constructor(model: string, message: string, options?: ErrorOptions) {
    super('unknown-model', message, options);
    this.model = model;
  }
}

/** The hub gives a model only to some: accept its terms, give a token that may read it, or choose another. */
export class HubAccessError extends DreamBoothError {
  constructor(message: string, options?: ErrorOptions) {
    super('hub-access', message, options);
  }
}

/** The hub cannot be reached, is busy or broke off: repeat the call later, which goes on from what has arrived. */
export class HubUnreachableError extends DreamBoothError {
  constructor(message: string, options?: ErrorOptions) {
    super('hub-unreachable', message, options);
  }
}

/** A weight is NaN or infinite: the file is damaged or its training diverged; use another. */
export class NonFiniteWeightError extends DreamBoothError {
  readonly tensor: string;

  constructor(tensor: string, message: string, options?: ErrorOptions) {
    super('non-finite-weight', message, options);
    this.tensor = tensor;
  }
}

/** A photo cannot be read: leave it out, or convert it as the message says. */
export class UnreadableImageError extends DreamBoothError {
  readonly image: string;

  constructor(image: string, message: string, options?: ErrorOptions) {
    super('unreadable-image', message, options);
    this.image = image;
  }
}

/** A LoRA file was made for another line of base models: name a base of that line. */
export class LoraFamilyError extends DreamBoothError {
  /** The line that the file was made for, as "Stable Diffusion XL". */
  readonly made: string;
  /** The line of the base model that it was to go with. */
  readonly base: string;

  constructor(made: string, base: string, evidence: string) {
    super(
      'lora-family',
      `This LoRA was made for ${made}: ${evidence}. A LoRA works on the line of models that it was made for; name such a base.`,
    );
    this.made = made;
    this.base = base;
  }
}

/** A LoRA file whose kind or keys this package cannot use: convert or export it again. */
export class UnsupportedLoraError extends DreamBoothError {
  constructor(message: string, options?: ErrorOptions) {
    super('unsupported-lora', message, options);
  }
}

/** An embedding file whose form or widths this package or the base cannot use: name its base, or take another file. */
export class UnsupportedEmbeddingError extends DreamBoothError {
  constructor(message: string, options?: ErrorOptions) {
    super('unsupported-embedding', message, options);
  }
}

/** A graph was put together wrongly: two shapes or types that do not fit. A defect of the builder, or of a config. */
export class GraphError extends DreamBoothError {
  readonly node: string;

  constructor(node: string, problem: string) {
    super('invalid-graph', `${node}: ${problem}`);
    this.node = node;
  }
}

/** A loss was differentiated through an operator that has no gradient. */
export class UnsupportedGradientError extends DreamBoothError {
  readonly opType: string;

  constructor(opType: string, node: string, reason: string) {
    super(
      'unsupported-gradient',
      `No gradient flows through ${opType} at "${node}": ${reason}. Give it an entry in sdk/autodiff/gradients.ts, or keep trained values away from it.`,
    );
    this.opType = opType;
  }
}

/** onnxruntime refused or failed a graph: out of memory, a device that is not there, or a defect of ours. */
export class RuntimeFailedError extends DreamBoothError {
  constructor(message: string, options?: ErrorOptions) {
    super('runtime-failed', message, options);
  }
}

/** The device that was asked for cannot compute here: take another, or add what it lacks. */
export class UnusableDeviceError extends DreamBoothError {
  readonly device: string;

  constructor(device: string, reason: string, options?: ErrorOptions) {
    super(
      'unusable-device',
      `The device ${device} cannot be used here: ${reason}. Take another, as cpu, or see what is missing: dreambooth doctor`,
      options,
    );
    this.device = device;
  }
}

/** A config asks for what is not implemented: change that key as the message says, or use another checkpoint. */
export class UnsupportedConfigError extends DreamBoothError {
  readonly component: string;
  readonly key: string;
  readonly found: unknown;
  readonly supported: readonly unknown[];

  /** `component` is the class or file that holds `key`; `supported` lists the values that work, or says in words. */
  constructor(component: string, key: string, found: unknown, supported: readonly unknown[]) {
    const text = (value: unknown) => JSON.stringify(value) ?? String(value);
    const values = supported.map((value) =>
      typeof value === 'string' && value.includes(' ') ? value : text(value),
    );
    super(
      'unsupported-config',
      `${component}: "${key}" is ${text(found)}, which is not supported: set it to ${values.join(' or ')}`,
    );
    this.component = component;
    this.key = key;
    this.found = found;
    this.supported = supported;
  }
}

/** A checkpoint lacks a weight that its config asks for: it is another model, incomplete, or in another layout. */
export class MissingWeightError extends DreamBoothError {
  readonly weight: string;

  constructor(component: string, weight: string, present: readonly string[]) {
    const nearest = nearestName(weight, present);
    super(
      'missing-weight',
      `${component} has no weight "${weight}" among its ${present.length} tensors${nearest ? `; the nearest is "${nearest}"` : ''}. ` +
        'The file is incomplete or belongs to another config.json; download the folder again.',
    );
    this.weight = weight;
  }
}

/** A weight has another shape than the config asks for. */
export class WeightShapeError extends DreamBoothError {
  readonly weight: string;

  constructor(component: string, weight: string, found: readonly number[], wanted: readonly number[]) {
    super(
      'weight-shape',
      `${component}'s weight "${weight}" is [${found}]; its config.json asks for [${wanted}]. Weights and config do not belong together.`,
    );
    this.weight = weight;
  }
}

/** The candidate that shares the longest start and end with `name`. */
function nearestName(name: string, candidates: readonly string[]): string | undefined {
  const shared = (other: string) => {
    let start = 0;
    while (start < name.length && name[start] === other[start]) start++;
    let end = 0;
    while (end < name.length - start && name.at(-1 - end) === other.at(-1 - end)) end++;
    return start + end;
  };
  let best: string | undefined;
  for (const candidate of candidates)
    if (best === undefined || shared(candidate) > shared(best)) best = candidate;
  return best;
}

/** The loss or its gradient became NaN or infinite: lower the learning rate, or look at the photos. */
export class TrainingDivergedError extends DreamBoothError {
  readonly step: number;
  readonly loss: number;
  /** The job that goes on from the last good state, where there is one. */
  readonly job: string | null;

  /** `run` is what the training belongs to, and the rate that was too high. */
  constructor(step: number, loss: number, run?: { readonly job: string; readonly learningRate: number }) {
    const found = Number.isFinite(loss) ? 'the gradient is NaN or infinite' : `the loss is ${loss}`;
    const resume =
      run === undefined
        ? ''
        : ` With a tenth of the rate it goes on so: dreambooth resume ${run.job} --set learningRate=${rounded(run.learningRate / 10)}`;
    super(
      'training-diverged',
      `Training diverged at step ${step}: ${found}. The last good state is kept. ` +
        `Lower the learning rate, and check the photos and the base model for damage.${resume}`,
    );
    this.step = step;
    this.loss = loss;
    this.job = run?.job ?? null;
  }
}

/** Without the digits that binary fractions add: 0.1 × 0.1 is 0.01. */
const rounded = (value: number) => Number(value.toPrecision(6));

/** A name that subjects cannot have: choose another. */
export class InvalidNameError extends DreamBoothError {
  constructor(name: string) {
    super(
      'invalid-name',
      `"${name}" cannot be a subject's name: use 1 to 40 of the letters a-z, digits, "-" and "_", starting with a letter or digit.`,
    );
  }
}

/** A subject of this name exists, or is being learned right now: choose another name, or remove that one. */
export class NameTakenError extends DreamBoothError {
  readonly subject: string;

  constructor(subject: string, message: string, options?: ErrorOptions) {
    super('name-taken', message, options);
    this.subject = subject;
  }
}

/** There is no subject of this name: use one of `existing`, nearest first. */
export class UnknownSubjectError extends DreamBoothError {
  readonly subject: string;
  readonly existing: readonly string[];

  /** `learnedBy`: how whoever asks would learn one. */
  constructor(subject: string, existing: readonly string[], learnedBy = 'personalize') {
    const known =
      existing.length === 0
        ? `There are none yet: learn one with ${learnedBy}`
        : `There ${existing.length === 1 ? 'is' : 'are'} ${existing.map((name) => `@${name}`).join(', ')}`;
    super('unknown-subject', `There is no subject @${subject}. ${known}.`);
    this.subject = subject;
    this.existing = existing;
  }
}

/** A host was asked for something after it was closed: make another. */
export class HostClosedError extends DreamBoothError {
  constructor() {
    super('host-closed', 'This host was closed and runs nothing any more: make another with createHost.');
  }
}

/** There is no job of this id: list them. */
export class UnknownJobError extends DreamBoothError {
  readonly job: string;

  constructor(job: string, existing: readonly string[]) {
    const known = existing.length === 0 ? 'There are no jobs' : `There are ${existing.join(', ')}`;
    super('unknown-job', `There is no job "${job}". ${known}.`);
    this.job = job;
  }
}

/** A job is in a state in which this cannot be done with it: it is done, cancelled, or running elsewhere. */
export class JobStateError extends DreamBoothError {
  readonly job: string;
  readonly state: string;

  constructor(job: string, state: string, message: string) {
    super('job-state', message);
    this.job = job;
    this.state = state;
  }
}

/** Work was stopped by its caller. What a job had learned is kept: resume `job`, where there is one. */
export class StoppedError extends DreamBoothError {
  readonly job: string | null;

  constructor(job: string | null, options?: ErrorOptions) {
    super('stopped', job === null ? 'Stopped.' : `Stopped. Go on with: dreambooth resume ${job}`, options);
    this.job = job;
  }
}

/** The process that does the work died: resume `job`, where there is one, with less memory in use. */
export class EngineCrashedError extends DreamBoothError {
  readonly job: string | null;
  readonly exitCode: number | null;
  readonly exitSignal: string | null;

  constructor(
    job: string | null,
    exit: { readonly code: number | null; readonly signal: string | null; readonly lastWords: string },
  ) {
    const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
    const said = exit.lastWords === '' ? '' : ` Its last words: ${exit.lastWords}`;
    const mend =
      job === null
        ? 'Nothing was written; repeat the call.'
        : `Nothing is lost up to the last checkpoint: dreambooth resume ${job}`;
    const memory = exit.signal === 'SIGKILL' ? ' The system may have ended it for want of memory.' : '';
    super('engine-crashed', `The engine process died (${how}).${memory}${said} ${mend}`);
    this.job = job;
    this.exitCode = exit.code;
    this.exitSignal = exit.signal;
  }
}

/** A run needs more memory than there is: change it as `fits` says, or make room. Told before anything is loaded. */
export class InsufficientMemoryError extends DreamBoothError {
  readonly neededBytes: number;
  readonly availableBytes: number;
  /** Changes with which it would fit, as `resolution=512`, each with the bytes it then needs. */
  readonly fits: readonly { readonly change: string; readonly bytes: number }[];

  constructor(
    what: string,
    memory: {
      readonly needed: number;
      readonly available: number;
      readonly fits: readonly { readonly change: string; readonly bytes: number }[];
    },
  ) {
    const { needed, available, fits } = memory;
    const changes = fits.map(({ change, bytes }) => `${change} (${gibibytes(bytes)})`).join(', ');
    super(
      'insufficient-memory',
      `${what} needs about ${gibibytes(needed)} of memory, and ${gibibytes(available)} are available. ` +
        `${changes === '' ? 'Nothing that could be changed makes it fit here' : `It would fit with ${changes}`}; or close other programs.`,
    );
    this.neededBytes = needed;
    this.availableBytes = available;
    this.fits = fits;
  }
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** A subject is used with a base model it was not learned on: name that one, or leave `base` out. */
export class WrongBaseError extends DreamBoothError {
  readonly subject: string;

  constructor(subject: string, message: string) {
    super('wrong-base', message);
    this.subject = subject;
  }
}

/** There is no picture of this id: list jobs, whose pictures have theirs. */
export class UnknownPictureError extends DreamBoothError {
  readonly picture: string;

  constructor(picture: string) {
    super(
      'unknown-picture',
      `There is no picture "${picture}": ids are those of a job that drew, with a number, as draw-1f3a.1; list jobs to see them.`,
    );
    this.picture = picture;
  }
}

/** A file lies where this host may not read or write: name one in a folder that it was allowed. */
export class PathNotAllowedError extends DreamBoothError {
  readonly path: string;

  constructor(path: string, message: string) {
    super('path-not-allowed', message);
    this.path = path;
  }
}

/** The caller has as much waiting, or had as much made, as one may: wait, or cancel something. */
export class LimitReachedError extends DreamBoothError {
  readonly limit: string;

  constructor(limit: string, message: string) {
    super('limit-reached', message);
    this.limit = limit;
  }
}

/** Nobody has affirmed that the photos of a person may be used: ask, and say so; or it may not be done here at all. */
export class ConsentMissingError extends DreamBoothError {
  constructor(message: string) {
    super('consent-missing', message);
  }
}

/** The server that hands out jobs does not answer: start it, or mend its address. What was put in line is kept. */
export class QueueUnreachableError extends DreamBoothError {
  constructor(message: string, options?: ErrorOptions) {
    super('queue-unreachable', message, options);
  }
}

/** Discord does not let the bot in: mend its token, or what the application is allowed. The token is in no message. */
export class DiscordRefusedError extends DreamBoothError {
  constructor(message: string) {
    super('discord-refused', message);
  }
}

/** Discord does not answer: look at the connection, and start the bot again. */
export class DiscordUnreachableError extends DreamBoothError {
  constructor(message: string) {
    super('discord-unreachable', message);
  }
}

/** The judge takes no calls from this key: set another. The key is in no message. */
export class JudgeAccessError extends DreamBoothError {
  constructor(message: string) {
    super('judge-access', message);
  }
}

/** The judge does not answer, or is too busy: repeat the call later, which goes on from the answers that are there. */
export class JudgeUnreachableError extends DreamBoothError {
  constructor(message: string) {
    super('judge-unreachable', message);
  }
}

/** A library that only this adapter needs is not installed: install it. */
export class MissingPackageError extends DreamBoothError {
  readonly packageName: string;

  constructor(packageName: string, forWhat: string, options?: ErrorOptions) {
    super(
      'missing-package',
      `${forWhat} needs the package ${packageName}, which is not installed: npm install ${packageName}`,
      options,
    );
    this.packageName = packageName;
  }
}
