// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The catalogue of reason codes: one word for everything that can be refused or fail.
 *
 * A code is part of the interface: scripts match it in `--json` output and in
 * `actual-H/replay-code`, people look it up with `marsadm explain CODE`, and
 * docs/errors.md is generated from here. Codes are only ever added, never renamed
 * and never given another meaning. The exit code of a command follows from the
 * code, but for one thing: what is refused only after something was written has
 * failed. Every error says what was found and, where there is one, the next safe
 * command.
 */

/** Exit codes of marsadm and marsd. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  timeout: 4,
  notFound: 5,
  unreachable: 6,
  noEngine: 7,
  partial: 8,
  splitBrain: 10,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What the catalogue knows about one code. */
export interface Reason {
  readonly exit: ExitCode;
  /** One sentence: what it means. */
  readonly text: string;
  /**
   * What an operator does about it, unless whoever reports it knows better. A command, or several joined
   * by ` && `; among other words commands stand in backquotes. RESOURCE is filled in where it is known.
   */
  readonly hint?: string;
}

const r = (exit: ExitCode, text: string, hint?: string): Reason =>
  hint === undefined ? { exit, text } : { exit, text, hint };

/** The catalogue itself. Append only. */
const catalogue = {
  // the program and its surroundings
  internal: r(
    1,
    'An unexpected error: a defect of the program.',
    'Report it together with the text printed.',
  ),
  io: r(1, 'The operating system refused an operation.'),
  'not-permitted': r(
    1,
    'The operating system does not permit it.',
    'Run it as root, or as the owner of the state directory.',
  ),
  partial: r(8, 'The command was done for some of the named resources and failed for others.'),
  unfinished: r(
    8,
    'What is to be waited for does not hold yet, and the command was not to wait: what comes after that was not done.',
    'Give the same command without --no-wait, or once more when what is open holds.',
  ),
  usage: r(2, 'The command line is not understood.', 'marsadm help'),
  'unknown-command': r(2, 'There is no such command.', 'marsadm help'),
  'unknown-reason': r(5, 'There is no such reason code.', 'marsadm explain'),
  'unknown-condition': r(2, 'There is no such condition to wait for.', 'marsadm help wait-resource'),
  'unknown-macro': r(2, 'There is no such view.', 'marsadm help view'),
  timeout: r(
    4,
    'The awaited state was not reached in time.',
    'Look at what is waited for with `marsadm view`.',
  ),
  interrupted: r(1, 'The command was interrupted; what it had already written stays.'),

  // names and values
  'bad-name': r(
    2,
    'The name is not allowed: 1 to 63 letters, digits, `_` or `-`, not starting with `-`, not a reserved word.',
    'Choose a name of that form.',
  ),
  'bad-address': r(
    2,
    'The address is not of the form HOST:PORT.',
    'Give HOST:PORT; an IPv6 address stands in brackets.',
  ),
  'bad-size': r(
    2,
    'The size is not a positive multiple of 4096 bytes.',
    'Give a multiple of 4096, with an optional suffix: k m g t p (1000) or K M G T P (1024).',
  ),
  'bad-path': r(2, 'The path must be absolute and below nothing hidden.', 'Give an absolute path.'),
  'bad-key': r(
    2,
    'The key is not one that the tree knows, or the value does not fit it.',
    'Give the path of a link below the state directory, such as userspace/NAME.',
  ),
  'bad-value': r(2, 'The value does not fit the key.', 'See what stands there now: `marsadm get-link KEY`'),
  'bad-position': r(1, 'A log position in the tree cannot be parsed.'),
  'stamp-in-future': r(
    1,
    'A Lamport stamp lies too far in the future; it was not accepted.',
    'Set the clock of the host that made it (NTP), then write the value again there.',
  ),

  'clock-behind': r(
    1,
    'The clock of this host is far behind the newest stamp it has written itself.',
    'Set the clock of this host (NTP) and try again; if it is right and was wrong before: marsd --accept-clock',
  ),

  // tree and daemon
  'no-cluster': r(
    5,
    'This directory is not a member of a cluster.',
    '`marsadm create-cluster`, or `marsadm join-cluster TOKEN`',
  ),
  'cluster-exists': r(3, 'This host is already a member of a cluster.', 'marsadm leave-cluster'),
  'tree-not-writable': r(
    1,
    'The state directory cannot be written.',
    'Check owner, mode, mount options and free space.',
  ),
  'tree-damaged': r(1, 'The state directory is not as it must be.'),
  'no-such-file': r(
    5,
    'The file does not exist.',
    'Give a path that exists; a relative one counts from the state directory.',
  ),
  'key-protected': r(
    3,
    'This key belongs to MARS and is not to be written by hand.',
    'Use a key below userspace/ or defaults/, or --force if you know what you do.',
  ),
  'no-such-key': r(5, 'The key does not exist.', 'Keys are the links below the state directory: list that.'),
  'daemon-running': r(
    3,
    'Another daemon already works on this state directory.',
    'Use that one, or stop it first: systemctl stop marsd',
  ),
  'no-daemon': r(7, 'No daemon runs on this state directory.', 'systemctl start marsd'),
  'no-engine': r(7, 'Neither the kernel module nor the embedded engine can be used.'),
  engine: r(1, 'The engine refused an operation.'),
  'engine-busy': r(
    3,
    'Another daemon drives the kernel module.',
    'Stop that daemon, or use the engine inside this one: marsd --engine=embedded',
  ),
  'engine-too-old': r(
    7,
    'The engine is older than this program and does not understand it.',
    'Install mars.ko of the same version; then, with all devices closed: systemctl stop marsd; modprobe -r mars; modprobe mars',
  ),
  'engine-too-new': r(
    7,
    'The engine is newer than this program.',
    'Install the programs of the version of the engine.',
  ),
  'foreign-bricks': r(
    3,
    'The kernel runs a device of this name that does not belong to the logs of this directory.',
    'Start the daemon with the directory it belongs to; or close the device, then `marsadm down RESOURCE`.',
  ),

  // membership, peers, tokens
  'in-use-by-resources': r(3, 'The host still takes part in resources.', 'marsadm leave-resource all'),
  'name-taken': r(
    3,
    'A living member of the cluster already has this name.',
    'Join under another name (--host); if that member is gone for good: `marsadm leave-cluster --host NAME` on one that is there.',
  ),
  'not-a-member': r(
    3,
    'The host is not a member of the cluster.',
    'Name one of `marsadm view-cluster-members`.',
  ),
  'token-malformed': r(
    2,
    'This is not a join token.',
    'Make a new one on a member with `marsadm join-token`.',
  ),
  'token-unknown': r(
    3,
    'The member does not know this token, or it was already used.',
    'Make a new one with `marsadm join-token`.',
  ),
  'token-used': r(
    3,
    'The token was already used; a token is good for one join.',
    'Make a new one with `marsadm join-token`.',
  ),
  'token-expired': r(3, 'The token has expired.', 'Make a new one with `marsadm join-token`.'),
  'peer-unreachable': r(6, 'The other host cannot be reached.'),
  'cert-not-member': r(6, 'The other side showed a certificate that no member of the cluster has.'),
  'cert-mismatch': r(6, 'The other side showed another certificate than the expected one.'),
  'other-cluster': r(6, 'The other side belongs to another cluster.'),
  'protocol-mismatch': r(6, 'No protocol version is spoken by both sides.'),
  'bad-message': r(6, 'The other side sent something that is not a valid message.'),
  'message-too-big': r(6, 'The other side sent a message beyond the size limits.'),
  'stream-broken': r(6, 'The connection broke in the middle of a transfer.'),
  'no-handler': r(6, 'The other side does not serve this kind of stream.'),

  // resources
  'no-such-resource': r(5, 'There is no such resource.', 'marsadm view-all-resources'),
  'resource-exists': r(3, 'The resource already exists.', 'marsadm join-resource RESOURCE DEVICE'),
  'not-joined': r(5, 'This host is not a member of the resource.', 'marsadm join-resource RESOURCE DEVICE'),
  'already-joined': r(3, 'This host is already a member of the resource.', 'marsadm view RESOURCE'),
  'still-members': r(
    3,
    'Other hosts are still members of the resource.',
    '`marsadm leave-resource RESOURCE` on each of them',
  ),
  'device-missing': r(
    5,
    'The data device or file does not exist.',
    'Bring it back, or name one that is there (lsblk).',
  ),
  'device-busy': r(
    3,
    'The data device or file is already in use.',
    'See who uses it (lsblk, fuser -v) and let go of it there, or name another one.',
  ),
  'device-too-small': r(
    3,
    'The data device or file is smaller than needed.',
    'Name a larger one, or make it larger.',
  ),
  'device-unusable': r(
    3,
    'The data device or file is not a block device or regular file that can be read and written.',
    'Name a block device or a regular file that works (dmesg).',
  ),
  'device-name-taken': r(
    3,
    'Another resource of this host has the same device name.',
    'Choose another one with --name.',
  ),
  'device-name-too-long': r(
    3,
    'The name of the device is longer than the kernel allows (26 characters).',
    'Choose a shorter one with --name.',
  ),
  'device-open': r(
    3,
    'The exported device is in use.',
    'Unmount or close it, then `marsadm wait-umount RESOURCE`.',
  ),
  'not-attached': r(3, 'The resource is not attached here.', 'marsadm attach RESOURCE'),
  'is-primary': r(
    3,
    'This host is, or is going to be, the primary of the resource.',
    '`marsadm primary RESOURCE` on another member, or `marsadm secondary RESOURCE`',
  ),
  'not-primary': r(
    3,
    'This host is not the primary of the resource.',
    'Give the command on the primary: `marsadm view-get-primary RESOURCE` says who that is.',
  ),
  'no-primary': r(
    3,
    'The resource has no designated primary.',
    '`marsadm primary RESOURCE` on the member that shall be it',
  ),
  'no-active-primary': r(
    3,
    'The designated primary has not taken up its role yet.',
    '`marsadm wait-resource RESOURCE is-primary` there',
  ),
  'size-shrinks': r(3, 'A resource can only grow.', 'Give a larger size.'),
  'not-detached': r(3, 'The resource is still attached here.', 'marsadm down RESOURCE'),

  // handover
  'sync-unfinished': r(3, 'The replica is not yet complete.', 'marsadm wait-resource RESOURCE is-consistent'),
  'sync-running': r(
    3,
    'Other replicas are still being synchronised from the primary.',
    'Wait for them, or `marsadm primary --ignore-sync RESOURCE`.',
  ),
  'fetch-off': r(3, 'Fetching of logs is switched off here.', 'marsadm connect RESOURCE'),
  'fetch-on': r(
    3,
    'Fetching of logs must be switched off before a forced switch.',
    'marsadm disconnect RESOURCE',
  ),
  'replay-off': r(3, 'Replay is switched off here.', 'marsadm resume-replay RESOURCE'),
  'replay-error': r(
    3,
    'Replay has stopped with an error.',
    '`marsadm view RESOURCE` shows why, and what helps',
  ),
  'primary-unreachable': r(
    3,
    'The current primary cannot be reached, so a planned handover is impossible.',
    'Bring it back; or give up what it may hold: `marsadm disconnect RESOURCE && marsadm primary --force RESOURCE`',
  ),
  'primary-changed': r(3, 'Another host became the designated primary meanwhile.', 'marsadm view RESOURCE'),
  'no-replay-position': r(
    3,
    'Nothing is known yet about how far this replica is.',
    'marsadm wait-resource RESOURCE is-consistent',
  ),
  'split-brain': r(
    10,
    'The history of the resource has forked: two hosts wrote independently.',
    'Choose the host to keep. There, unless it is primary: `marsadm disconnect RESOURCE && marsadm primary --force RESOURCE && marsadm connect RESOURCE`. On the others: `marsadm invalidate RESOURCE`',
  ),

  // states of replay, logs and disks as published in the tree
  ok: r(0, 'Everything is as it should be.'),
  'bad-crc': r(
    1,
    'A log record failed its checksum; nothing behind it was applied.',
    'marsadm invalidate RESOURCE',
  ),
  'bad-log': r(1, 'A log file is damaged or is not a log; nothing behind the damage was applied.'),
  'bad-chain': r(1, 'A log does not continue its predecessor.'),
  'log-missing': r(1, 'A log that is needed no longer exists anywhere.', 'marsadm invalidate RESOURCE'),
  'log-space-low': r(1, 'The file system of the logs is filling up.', 'marsadm log-delete all'),
  'log-space-full': r(1, 'The file system of the logs is full; writers wait.', 'marsadm log-delete all'),
  'log-write-error': r(1, 'Writing the log failed; writers get errors.'),
  'data-read-error': r(1, 'Reading the data disk failed.'),
  'data-write-error': r(1, 'Writing the data disk failed.'),
  'sync-refused': r(6, 'The other side does not serve this sync.'),

  // what a replica waits for, as published in `actual-H/msg-waiting`; none of these is an error
  detached: r(0, 'The replica is detached by wish.', 'marsadm attach RESOURCE'),
  'not-known': r(0, 'The size or identity of the resource has not arrived here yet.'),
  syncing: r(0, 'The full sync is running.'),
  'sync-paused': r(0, 'The full sync is switched off.', 'marsadm resume-sync RESOURCE'),
  'primary-not-active': r(0, 'The designated primary has not taken up its role yet.'),
  'replay-paused': r(0, 'Replay is switched off.', 'marsadm resume-replay RESOURCE'),
  recovering: r(0, 'Log is being applied before the device can appear.'),
  fetching: r(0, 'Log is still being fetched before the device can appear.'),
  'hearing-peers': r(0, 'The daemon has just started and first hears what the other members know.'),
  'peer-is-ahead': r(
    0,
    'An unreachable member holds newer data than this one.',
    'Bring that member back, or force the switch.',
  ),
  announcing: r(0, 'The members that can be reached are told first who is the designated primary.'),
  'old-primary-active': r(0, 'The old primary has not stepped down yet.'),
  'not-consistent': r(0, 'Replay has not passed the end of the sync yet.'),
  'step-down': r(0, 'This host is giving up the role of primary.'),
  'replay-torn': r(
    1,
    'The log ends in the middle of a group; nothing behind it was applied.',
    'marsadm invalidate RESOURCE',
  ),
  'replay-mismatch': r(
    1,
    'A log does not belong to the history it was expected to continue.',
    'marsadm invalidate RESOURCE',
  ),
  'read-error': r(1, 'Reading a log failed.'),
  'io-error': r(1, 'Input or output failed.'),
  'disk-error': r(1, 'The data device reports errors.'),
  'log-lost': r(
    1,
    'Logs this replica needs were deleted while it was unreachable, as `log-lost-after` allows; it needs a full sync.',
    '`marsadm invalidate RESOURCE` there, when it is back',
  ),

  // why a log or a connection was not to be had from a member
  'no-such-log': r(
    5,
    'A member that was asked for a log does not have it.',
    'another one is asked; who has what: `marsadm view RESOURCE`',
  ),
  'position-beyond-end': r(1, 'A member that was asked for the rest of a log has less of it than is here.'),
  short: r(1, 'A log was said to end where it does not: in front of what was asked for, or within a group.'),
  'bad-ident': r(
    1,
    'A log is not the one it was taken for, but of another cluster, resource, host or number; nothing of it was applied.',
  ),
  'bad-format': r(
    1,
    'A log has a format, or makes use of a feature, that this version does not know.',
    'Install the version of the host that wrote it.',
  ),
  'peer-refused': r(6, 'The other side refused, for a reason that this version does not know.'),
  'never-contacted': r(6, 'There has not been a connection with the other host yet.'),
} as const satisfies Readonly<Record<string, Reason>>;

export type ReasonCode = keyof typeof catalogue;

/** Everything known about each code. */
export const REASONS: Readonly<Record<ReasonCode, Reason>> = catalogue;

/** Is this word a code of the catalogue? */
export function isReasonCode(word: string): word is ReasonCode {
  return Object.hasOwn(catalogue, word);
}

/** A hint with the resource in it. */
export const aboutResource = (hint: string, resource: string): string =>
  hint.replace(/\bRESOURCE\b/g, () => resource);

/** The parts of an error beyond its code. */
export interface ErrorDetails {
  /** Replaces the sentence of the catalogue. */
  readonly message?: string;
  /** What was found, in words: `hosta: is-primary is still 1`. */
  readonly found?: string;
  /** The next safe command. */
  readonly next?: string;
  /** Replaces the exit code of the catalogue. */
  readonly exit?: ExitCode;
  readonly cause?: unknown;
}

/**
 * An error with a code of the catalogue.
 *
 * @param code - why
 * @param details - what was found (a bare string is taken as `found`)
 */
export class MarsError extends Error {
  readonly code: ReasonCode;
  readonly exit: ExitCode;
  readonly found?: string;
  readonly next?: string;
  readonly #details: ErrorDetails;

  constructor(code: ReasonCode, details: ErrorDetails | string = {}) {
    const d: ErrorDetails = typeof details === 'string' ? { found: details } : details;
    const reason = REASONS[code];
    const message = d.message ?? reason.text;
    super(d.found === undefined ? message : `${message} (${d.found})`, { cause: d.cause });
    this.name = 'MarsError';
    this.#details = d;
    this.code = code;
    this.exit = d.exit ?? reason.exit;
    if (d.found !== undefined) this.found = d.found;
    const next = d.next ?? reason.hint;
    if (next !== undefined) this.next = next;
  }

  /** The same, met after something was written: exit codes that promise that nothing was changed become `failed`. */
  afterWriting(): MarsError {
    if (this.exit !== EXIT.refused && this.exit !== EXIT.notFound) return this;
    return new MarsError(this.code, { ...this.#details, exit: EXIT.failed, cause: this });
  }
}

/** Why there is no engine, by the code of what the engine threw; undefined = it is there and refused something. */
export function noEngineReason(code: unknown): ReasonCode | undefined {
  if (code === 'ENGINE_TOO_OLD') return 'engine-too-old';
  if (code === 'ENGINE_TOO_NEW') return 'engine-too-new';
  return typeof code === 'string' && code.startsWith('ENGINE_') ? 'no-engine' : undefined;
}

/** Wrap anything thrown: a MarsError stays, a system error becomes `io`, the rest `internal`. */
export function asMarsError(thrown: unknown): MarsError {
  if (thrown instanceof MarsError) return thrown;
  if (thrown instanceof Error && 'errno' in thrown) {
    const word = 'code' in thrown ? thrown.code : undefined;
    const denied = word === 'EACCES' || word === 'EPERM';
    const code = noEngineReason(word) ?? (denied ? 'not-permitted' : 'io');
    return new MarsError(code, { found: thrown.message, cause: thrown });
  }
  const found = thrown instanceof Error ? thrown.message : String(thrown);
  return new MarsError('internal', { found, cause: thrown });
}
