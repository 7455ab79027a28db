// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The status document as text for one glance: a block per resource with the
 * local replica first and large, the others as one line each, bars for what is
 * under way, and every problem. What was heard from a host that cannot be
 * reached now carries its age. Pure functions from the document.
 */
import { EXIT, isReasonCode, REASONS } from '../errors.js';
import { bar, humanSize, humanTime, percent } from './format.js';
import type { ReplicaStatus, ResourceStatus, StatusDocument } from './document.js';

/** Sizes are multiples of this. */
const PAGE = 4096;

/** Colours; identity functions when the output is not for a terminal. */
export interface Paint {
  good(text: string): string;
  bad(text: string): string;
  dim(text: string): string;
}

export const PLAIN: Paint = { good: (t) => t, bad: (t) => t, dim: (t) => t };

export function statusText(doc: StatusDocument, paint: Paint = PLAIN): string {
  const lines = doc.resources.flatMap((r) => resourceLines(doc, r, paint));
  if (doc.resources.length === 0) lines.push('no resources');
  return [...lines, ...clusterLines(doc, paint)].join('\n');
}

function resourceLines(doc: StatusDocument, r: ResourceStatus, paint: Paint): string[] {
  const count = `[${r.members.length}/${doc.cluster.members.length}]`;
  const lines = [`--------- resource ${r.name} ${humanSize(BigInt(r.size))} ${count}`];
  for (const line of r.splitBrain) lines.push(paint.bad(`  SPLIT BRAIN ${line}`));
  for (const line of spaceLines(r)) lines.push(paint.bad(`  LOG SPACE ${line}`));
  const here = r.members.find((m) => m.self);
  if (here) lines.push(...localLines(r, here, count, paint));
  for (const m of r.members) if (!m.self) lines.push(...peerLines(r, m, paint));
  if (r.possibleSize >= r.size + PAGE)
    lines.push(`  could grow to ${humanSize(BigInt(r.possibleSize))}: marsadm resize ${r.name}`);
  return lines;
}

/** A log disk that is filling up concerns everybody, wherever it is. */
function spaceLines(r: ResourceStatus): string[] {
  return r.members.flatMap((m) =>
    m.problems
      .filter((p) => p.code.startsWith('log-space-'))
      .map((p) => `${p.code.slice('log-space-'.length)} at ${m.host}: ${p.text}`),
  );
}

function localLines(r: ResourceStatus, m: ReplicaStatus, count: string, paint: Paint): string[] {
  const lines: string[] = [];
  if (m.deviceOn || m.openCount > 0)
    lines.push(
      `  LocalDevice ${m.devicePath ?? m.device} [${m.openCount > 0 ? `Opened ${m.openCount}` : 'Closed'}]`,
    );
  lines.push(`  ${r.name} ${count} ${words(m, r, paint)}`);
  lines.push(...progressLines(m, '     '));
  lines.push(...problemLines(m, '     ', paint));
  return lines;
}

function peerLines(r: ResourceStatus, m: ReplicaStatus, paint: Paint): string[] {
  const age = m.connected
    ? ''
    : paint.bad(
        ` (unreachable ${humanTime(m.age === null ? undefined : BigInt(m.age) * 1_000_000_000n)}, last known)`,
      );
  return [
    `     ${m.host} ${words(m, r, paint)}${age}`,
    ...progressLines(m, '        '),
    ...problemLines(m, '        ', paint),
  ];
}

function words(m: ReplicaStatus, r: ResourceStatus, paint: Paint): string {
  const well = m.diskstate === 'UpToDate' || m.diskstate.startsWith('WriteBack');
  const disk = well ? paint.good(m.diskstate) : paint.bad(m.diskstate);
  return `${disk} ${m.replstate} ${m.flags} ${m.role} ${r.primary ?? '-'}`;
}

function progressLines(m: ReplicaStatus, indent: string): string[] {
  const lines: string[] = [];
  if (m.requests.length > 0) lines.push(`${indent}requested: ${m.requests.join(', ')}`);
  if (m.sync.rest > 0) {
    const [done, size] = [BigInt(m.sync.done), BigInt(m.sync.size)];
    lines.push(
      `${indent}syncing: ${bar(done, done, size)} ${percent(done, size)}% (${humanSize(done)} of ${humanSize(size)})`,
    );
  }
  if (m.log && m.log.applied < m.log.end && m.role !== 'Primary') {
    const [applied, fetched, end] = [BigInt(m.log.applied), BigInt(m.log.fetched), BigInt(m.log.end)];
    const { logs } = m.log;
    const numbers =
      logs.applied === logs.end ? `${logs.end}` : `${logs.applied}::${logs.fetched}..${logs.end}`;
    lines.push(
      `${indent}replaying: ${bar(applied, fetched, end)} ${percent(applied, end)}% logs: [${numbers}]`,
    );
    const lag = m.lag === null ? '' : ` lag: ${m.lag.toFixed(1)} s`;
    lines.push(
      `${indent}  > fetch: ${humanSize(end - fetched)} replay: ${humanSize(fetched - applied)}${lag}`,
    );
  }
  return lines;
}

function problemLines(m: ReplicaStatus, indent: string, paint: Paint): string[] {
  return [
    ...m.problems.flatMap((p) => [
      paint.bad(`${indent}${p.severity.toUpperCase()} ${p.code}: ${p.text}`),
      ...(p.next === undefined ? [] : [`${indent}  > ${p.next}`]),
    ]),
    ...m.messages.map((x) => {
      const line = `${indent}${x.key}: ${explain(x.text)}`;
      return isReasonCode(x.text) && REASONS[x.text].exit === EXIT.ok ? line : paint.bad(line);
    }),
  ];
}

/** A bare reason code gets its sentence. */
const explain = (text: string): string => (isReasonCode(text) ? `${text}: ${REASONS[text].text}` : text);

function clusterLines(doc: StatusDocument, paint: Paint): string[] {
  if (!doc.daemon) return [paint.bad('No daemon runs here: states are what was last written.')];
  return doc.cluster.members
    .filter((m) => !m.connected && !m.self)
    .map((m) => {
      const age = humanTime(m.seconds === null ? undefined : BigInt(m.seconds) * 1_000_000_000n);
      return paint.bad(`${m.host} (${m.address}) is not reachable for ${age}: ${m.reason ?? ''}`);
    });
}
