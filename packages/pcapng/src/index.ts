export { ChunkLog } from './chunk-log.ts';
export { type ChunkLogMode, type ChunkLogOptions, type ChunkLogState, type LogClock } from './log-options.ts';
export { FILE_BYTES_MIN } from './limits.ts';
export { type LogInterface } from './envelope.ts';
export { type SectionDescription } from './write-blocks.ts';
export { type LogFileHandle, type LogStorage, directoryStorage } from './storage.ts';
export { logName, logNumber } from './rotation.ts';
export { type CaptureEnd, type CaptureItem, readChunkLog } from './read.ts';
export {
  CAPTURE_CODES,
  type CaptureCode,
  type CaptureCounts,
  type CaptureFault,
  type CapturedDatagram,
} from './capture.ts';
export { type SkipReason, type UdpDatagram, SKIP_REASONS } from './frames.ts';
