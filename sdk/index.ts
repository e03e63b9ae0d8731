/** The public list. */

// Errors
export {
  BrokenFileError,
  ConsentMissingError,
  DiscordRefusedError,
  DiscordUnreachableError,
  DiskFullError,
  DreamBoothError,
  EngineCrashedError,
  HostClosedError,
  HubAccessError,
  HubUnreachableError,
  InsufficientMemoryError,
  InvalidNameError,
  InvalidOptionError,
  JobStateError,
  JudgeAccessError,
  JudgeUnreachableError,
  LimitReachedError,
  LoraFamilyError,
  MissingFileError,
  MissingPackageError,
  MissingWeightError,
  NameTakenError,
  NonFiniteWeightError,
  PathNotAllowedError,
  QueueUnreachableError,
  RuntimeFailedError,
  StoppedError,
  TrainingDivergedError,
  UnknownJobError,
  UnknownModelError,
  UnknownPictureError,
  UnknownSubjectError,
  UnreadableImageError,
  UnsupportedConfigError,
  UnsupportedEmbeddingError,
  UnsupportedLoraError,
  UnsupportedModelError,
  UnusableDeviceError,
  UnwritablePathError,
  WeightShapeError,
  WrongBaseError,
} from './errors';
export type { SubjectReport } from './evaluation/subject-report';
export type { MeasuredPicture, ToyMeasurement } from './evaluation/toybox-protocol';
// For hosts
export { maskFromAlpha } from './images/alpha-mask';
export type { FittedPicture, PictureFit } from './images/fit-picture';
export { fitPicture } from './images/fit-picture';
export type { Demo } from './jobs/demo';
export { runDemo } from './jobs/demo';
// Nouns
export type { Diagnosis } from './jobs/doctor';
export { diagnose } from './jobs/doctor';
export type { Engine, EngineOptions } from './jobs/engine';
// Host
export { createEngine } from './jobs/engine';
export type { GeneratedImage, GenerateRequest, GenerateRunOptions, PictureFile } from './jobs/generation';
export type { JobQueue, RunJob } from './jobs/job-queue';
export type {
  DrawingRecord,
  DrawnPicture,
  JobRecord,
  JobState,
  PersonalizationRecord,
} from './jobs/job-record';
export { cancelJob, listJobs, readJob } from './jobs/jobs';
export { exportLearned, importLearned } from './jobs/learned-files';
export { readPicture, requestLike } from './jobs/made-picture';
export { oracleNote } from './jobs/oracle-errors';
export type { PersonalizationRequest, ResumeChanges } from './jobs/personalization';
export type { RedisQueueOptions } from './jobs/redis-queue';
export { openRedisQueue } from './jobs/redis-queue';
export type { RunOptions } from './jobs/run-options';
export type { SubjectImage } from './jobs/subject-photos';
export type { GenerateOptions, PersonalizeOptions } from './jobs/top-level';
// Do
export { generate, personalize, resumeJob } from './jobs/top-level';
export type { BaseReport, ComponentReport } from './library/base-report';
export type { WeightVariant } from './library/choose-files';
export { weightVariants } from './library/choose-files';
export type { ModelDescription } from './library/describe-model';
export type { FoundModel, ListModelsOptions, ModelList } from './library/list-models';
export { listModels } from './library/list-models';
export type { ModelPlace } from './library/model-places';
export type { ModelOnHub, PulledModel, PullOptions } from './library/pull-model';
export { pullModel } from './library/pull-model';
export type { Field } from './operations/fields';
export { fieldsOf } from './operations/fields';
export type { Answer, CallOptions, Host, HostOptions } from './operations/host';
export { createHost } from './operations/host';
export { operations } from './operations/index';
export { type JobView, sayJob } from './operations/job-view';
export type { Limits } from './operations/limits';
export { listenFailure } from './operations/listen-failure';
export { defineOperation, type Effect, type HostKind, nameAt, type Operation } from './operations/operation';
export { consentWords } from './operations/personalize';
export type { Caller } from './operations/rights';
export type { Application, ApplicationName, ApplicationPrompt } from './protocols/applications';
export { applicationNames, applications } from './protocols/applications';
export type { Advice } from './protocols/card/card-advice';
export type { CardFigures, CoursePoint, JudgedCardPicture, Measured } from './protocols/card/card-figures';
export type { SubjectCard, SubjectCardRequest } from './protocols/card/subject-card';
export { measureSubject } from './protocols/card/subject-card';
export { cardLines, reportSubject } from './protocols/card/subject-card-report';
export type { ApplicationsRequest, DrawnApplication, DrawnApplications } from './protocols/draw-applications';
export { drawApplications } from './protocols/draw-applications';
export type { Drawing } from './protocols/draw-missing';
export type { DreamBenchReference } from './protocols/dreambench/dreambench-data';
export type {
  DreamBenchEvaluation,
  DreamBenchEvents,
  DreamBenchPicture,
  DreamBenchRequest,
} from './protocols/dreambench/dreambench-plus';
export { evaluateDreamBench } from './protocols/dreambench/dreambench-plus';
export { reportDreamBench } from './protocols/dreambench/dreambench-report';
export type { Judge, JudgeMessage, JudgeReply } from './protocols/dreambench/judge';
export type { JudgeScores } from './protocols/dreambench/judge-scores';
export type { JudgePrice, JudgingEstimate, JudgingLimits } from './protocols/dreambench/judging';
export type { OpenAIJudgeOptions } from './protocols/dreambench/openai-judge';
export { openJudge } from './protocols/dreambench/openai-judge';
export type {
  PaperEncoderKind,
  PaperEncoders,
  PaperMeasure,
  PaperMetric,
} from './protocols/paper/paper-measures';
export { paperEncoderKinds, paperMetrics } from './protocols/paper/paper-measures';
export type { PaperPrompt, PaperSubject } from './protocols/paper/paper-prompts';
export { paperPrompts, paperSubjects } from './protocols/paper/paper-prompts';
export type { PaperEvaluation, PaperEvaluationRequest } from './protocols/paper/paper-protocol';
export { evaluatePaper } from './protocols/paper/paper-protocol';
export { reportPaper } from './protocols/paper/paper-report';
export { type PaperArm, type PaperPicture, paperArms } from './protocols/paper/paper-trial';
export { type ToyArmName, toyArmNames, toyArms } from './protocols/toybox/toybox-arms';
export type { ToyEvaluationRequest, ToyRow } from './protocols/toybox/toybox-evaluation';
export {
  evaluateToybox,
  toyDevelopmentSubjects,
  toyTestSubjects,
} from './protocols/toybox/toybox-evaluation';
export { reportToybox } from './protocols/toybox/toybox-report';
export type { Finding } from './protocols/toybox/toybox-summary';
export type { Backend } from './runtime/backends';
export type { Device } from './runtime/session';
export type { SchedulerName } from './schedulers/index';
export { schedulerNames } from './schedulers/index';
export type { Home } from './subjects/home';
export { defaultHomeFolder, openHome } from './subjects/home';
export { subjectWords } from './subjects/prompt';
export { chooseSnapshot, snapshotSteps } from './subjects/snapshots';
export type { ExportFormat, ExportOptions } from './subjects/subject-export';
export { exportFormats } from './subjects/subject-export';
export { likelyMeant } from './subjects/subject-name';
export type { Subject, SubjectRecord } from './subjects/subjects';
export { deleteSubject, listSubjects, readSubject, renameSubject } from './subjects/subjects';
export type { ToySubject } from './toybox/toy-subject';
export type { Preset, PresetName, TrainingSettings } from './training/presets';
export { presetNames, presets } from './training/presets';
export type { PersonalizationSettings, PriorKind } from './work/personalization-settings';
export {
  checkSettings,
  personalizationSettings,
  priorKinds,
  settingNames,
} from './work/personalization-settings';
export type { EncoderFile, EncoderKind } from './work/picture-encoder';
export { encoderKinds } from './work/picture-encoder';
export type { MadePicture } from './work/picture-record';
export type {
  Estimate,
  EstimateMade,
  Phase,
  ProgressEvent,
  RecipeChosen,
  SampleMade,
  StepEnd,
  Timed,
} from './work/progress';
