import { FDT_LIMITS, HEADER_BYTES } from '@sluice/alc';
import { type FecProfile, makeProfile, repairCount } from '@sluice/fec';
import { CaptureBlocks } from '@sluice/pcapng';
import { HttpProblem } from '@sluice/chassis';
import { type PassOrder, type SendSettings, symbolsOf } from '@sluice/transfer';

export interface MediaWish {
  /** Most bytes of a file. */
  readonly partBytes: number;
  /** Files of which none is needed, whichever they are. */
  readonly spareParts: number;
}

export interface MediaPlan {
  readonly parts: number;
  readonly profile: FecProfile;
  /** Bytes of all files together, about. */
  readonly bytes: number;
}

/** Files of one export: the importing side reads all of them side by side. */
export const PARTS_MAX = 500;
/** Files into which a small bundle is cut for the sake of the spare ones, rather than that it gets more repair symbols. */
const PARTS_LEAST = 16;
const ENCODING_SYMBOLS_MAX = 255;
/** Link time runs at this speed, bits per second: it sets how often FDT Instances are repeated in the files. */
export const MEDIA_RATE = 10e9;
const FDT_EVERY_BYTES = MEDIA_RATE / 8 / 4;
const STATEMENT_SENDINGS = 3;

/**
 * True when every block of any length is still whole without `spare` of the parts. Symbol ESI of a block lies in part
 * (ESI + constant) modulo `parts`, so each part has at most ceil(n / parts) of a block's n.
 */
export function survives(parts: number, profile: FecProfile, spare: number): boolean {
  for (let k = 1; k <= profile.maxBlock; k += 1) {
    const m = repairCount(k, profile);
    if (spare * Math.ceil((k + m) / parts) > m) return false;
  }
  return true;
}

/** How many files, and how much repair: as little as the spare files need, and never less than on the fibre. */
export function planMedia(
  order: Pick<PassOrder, 'statements' | 'objects'>,
  settings: Pick<SendSettings, 'symbolBytes' | 'profile'>,
  { partBytes, spareParts }: MediaWish,
): MediaPlan {
  const { maxBlock } = settings.profile;
  const block = CaptureBlocks.packetBytes(HEADER_BYTES + settings.symbolBytes);
  for (let repair = settings.profile.repair; repair <= ENCODING_SYMBOLS_MAX - maxBlock; repair += 1) {
    const profile = makeProfile({ name: 'media', maxBlock, repair });
    const count = (objects: PassOrder['objects']): number =>
      objects.reduce((sum, object) => sum + symbolsOf(object, { ...settings, profile }), 0);
    const symbols = count(order.objects) + STATEMENT_SENDINGS * count(order.statements);
    const body = Math.ceil(symbols * block * 1.01);
    // Every file has every sending of every FDT Instance.
    const instances =
      Math.ceil((order.objects.length + 2 * STATEMENT_SENDINGS) / FDT_LIMITS.files) + STATEMENT_SENDINGS;
    const share = Math.min(FDT_LIMITS.bytes, 512 + 400 * Math.min(FDT_LIMITS.files, order.objects.length + 2));
    const sendings = 3 * instances + 2 * Math.ceil(body / FDT_EVERY_BYTES);
    const own = 4096 + sendings * (Math.ceil((share * 1.5) / settings.symbolBytes) + 4) * block;
    const room = partBytes - own;
    const bySize = room <= 0 ? Infinity : Math.ceil(body / room);
    if (bySize > PARTS_MAX) break;
    const most = Math.max(bySize, spareParts === 0 ? 1 : PARTS_LEAST * Math.ceil(spareParts / 2));
    for (let parts = bySize; parts <= most; parts += 1) {
      if (survives(parts, profile, spareParts)) return { parts, profile, bytes: body + parts * own };
    }
  }
  throw new HttpProblem(
    400,
    `with files of ${String(partBytes)} bytes and ${String(spareParts)} spare ones the bundle would need more than ${String(PARTS_MAX)} files, or more repair symbols than there are; take longer files or fewer spare ones.`,
  );
}
