import { type Arena, openKernel } from '@sluice/wasm';
import { LINK_KERNEL } from '../kernel.wasm.ts';

/** What kernel/kernel.ts exports for sending. */
export interface SendKernel {
  frame(
    slots: number,
    datagramBytes: number,
    order: number,
    esis: number,
    count: number,
    source: number,
    symbolBytes: number,
    k: number,
    tsi: number,
    toi: number,
    asid: number,
    sbn: number,
    outs: number,
  ): number;
  stamp(at: number, datagramBytes: number, count: number, sn: number, jobs: number): void;
}

/** Undefined where the runtime has no WebAssembly: the plain form of each function does the work then. */
export const openSendKernel = (arena: Arena): SendKernel | undefined =>
  openKernel(LINK_KERNEL, arena) as SendKernel | undefined;
