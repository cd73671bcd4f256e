import { isComplete, type MediaImport } from './import-media.ts';

/** The import of one export for people: what was read, what came of it, what to do about the rest. */
export function importInWords(result: MediaImport): readonly string[] {
  const { session, parts, missing, damaged, datagrams, foreign, verdicts, recoveredSymbols, objects } = result;
  const counted = Object.entries(verdicts)
    .map(([verdict, count]) => `${verdict} ${String(count)}`)
    .join(', ');
  const there = parts - missing.length;
  return [
    `media       ${session}: ${String(there)} of ${String(parts)} parts${missing.length === 0 ? '' : `; missing ${missing.join(', ')}`}`,
    ...damaged.map(
      ({ file, code, offset, places }) =>
        `damaged     ${file} at byte ${String(offset)} (${code})${places > 1 ? `, one of ${String(places)} places` : ''}; what lies behind it was read`,
    ),
    `read        ${String(datagrams)} datagrams${counted === '' ? '' : `: ${counted}`}`,
    ...(foreign > 0 ? [`foreign     ${String(foreign)} datagrams of no media session were passed over`] : []),
    `repaired    ${String(recoveredSymbols)} source symbols`,
    ...objects.map(
      ({ channel, digest, size, state, blocks, stored }) =>
        `object      ${channel} ${digest} ${String(size)} ${state}${state === 'partial' ? `, ${String(blocks - stored)} of ${String(blocks)} blocks lack` : ''}`,
    ),
    ...(isComplete(result)
      ? [`result      complete: all of it is here, and the receiver judges it${show(session)}`]
      : [...whatToDo(result), 'result      not complete']),
  ];
}

/** The bundle of an export, by the name of its files. */
function bundleIn(session: string): string | undefined {
  const [, channel, sequence] = /^sluice-([a-z0-9-]+)-(\d+)-s\d+$/.exec(session) ?? [];
  return channel === undefined ? undefined : `${channel}/${String(Number(sequence))}`;
}

function show(session: string): string {
  const bundle = bundleIn(session);
  return bundle === undefined ? '' : `:  sluice show ${bundle}`;
}

function whatToDo({ session, objects }: MediaImport): string[] {
  const name = bundleIn(session);
  const bundle = name === undefined ? '' : ` ${name}`;
  if (objects.length === 0)
    return ['problem     nothing in it is authentic under the keys of link, or too much of it is lost: carry it again'];
  if (objects.some(({ state }) => state === 'refused'))
    return [
      'problem     objects were refused for want of room or of leave: is the receiver running, and does it take this bundle?',
    ];
  return [
    `problem     more is lost than the repair symbols make up for: carry the files again, or ask for what lacks with  sluice ticket${bundle}`,
  ];
}
