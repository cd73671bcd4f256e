export { ChunkLog } from './chunk-log.ts';
export { type ChunkLogMode, type ChunkLogOptions, type ChunkLogState, type LogClock } from './log-options.ts';
export { FILE_BYTES_MIN } from './limits.ts';
export { type LogInterface } from './envelope.ts';
export { type SectionDescription } from './write-blocks.ts';
export { type LogFileHandle, type LogStorage, directoryStorage } from './storage.ts';
export { logName, logNumber } from './rotation.ts';
export { CaptureBlocks } from './capture-blocks.ts';
export { type CaptureEnd, type CaptureItem, type ReadOptions, readChunkLog } from './read.ts';
export {
  CAPTURE_CODES,
  type CaptureCode,
  type CaptureCounts,
  type CaptureFault,
  type CapturedDatagram,
  type CaptureStatistics,
} from './capture.ts';
export { type SkipReason, type UdpDatagram, SKIP_REASONS } from './frames.ts';
export { describeLog, type LogDescription } from './describe.ts';
export { type InterfaceCounts } from './section.ts';
