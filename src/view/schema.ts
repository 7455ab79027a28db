// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The fields of the status document, for the reference. A test compares this table
 * with what `view --json` really prints, field by field.
 */

/** Path in `data` of `view --json` and meaning; `[]` stands for each element of a list. */
export const STATUS_FIELDS: Readonly<Record<string, string>> = {
  schema: 'version of this table, 1; fields are only added',
  host: 'the host that looks',
  daemon: 'does a daemon run on this state directory? If not, everything below is what was last written',
  'cluster.uuid': 'identity of the cluster',
  'cluster.members[].host': 'name',
  'cluster.members[].address': 'HOST:PORT where it listens',
  'cluster.members[].self': 'is it the host that looks?',
  'cluster.members[].engine': 'kernel (mars.ko), embedded (inside the daemon), or null when it is not known',
  'cluster.members[].connected': 'can it be reached now?',
  'cluster.members[].reason': 'reason code why not, or null',
  'cluster.members[].seconds': 'for how long it is so, or null',
  'resources[].name': 'name',
  'resources[].uuid': 'identity; another one after the resource was deleted and made again',
  'resources[].size': 'bytes',
  'resources[].possibleSize': 'bytes it could grow to: the smallest data device limits all; 0 = not known',
  'resources[].primary': 'designated primary, or null for nobody',
  'resources[].timeline': 'number of forced switches, plus one',
  'resources[].splitBrain[]': 'one line for every fork of the history; empty = none',
  'resources[].members[].host': 'name of the host of this replica',
  'resources[].members[].self': 'is it the host that looks?',
  'resources[].members[].connected': 'can it be reached now? If not, what follows is what was last heard',
  'resources[].members[].age': 'seconds since it became unreachable, or null',
  'resources[].members[].disk': 'path of the data device',
  'resources[].members[].device': 'name of the exported device',
  'resources[].members[].devicePath':
    'where an application finds the exported device: a block device or a socket; null where there is none',
  'resources[].members[].diskPresent': 'does the data device exist?',
  'resources[].members[].diskSize': 'bytes of the data device',
  'resources[].members[].diskstate':
    'NotJoined, NotPresent, Detaching, Detached, Orphan, DefectiveLog[CODE], NoAttach, InConsistent, Recovery[REST], OutDated[FR], WriteBack[REST], UpToDate, or the error state of the primary; perhaps behind DISK_ERROR=ERRNO',
  'resources[].members[].replstate':
    'NoDaemon, NotJoined, NotStarted, SplitBrain, NotYetPrimary, LogSpaceFull, Replicating, PausedSync, Syncing, PausedFetch, PausedReplay, NoPrimaryDesignated, PrimaryUnreachable, WaitingForSync, ReplayStopped, Replaying',
  'resources[].members[].flags':
    'six letters: Disk, Consistent, Attached, Sync, Fetch, Replay; capital = well, small = not yet, - = not',
  'resources[].members[].role': 'None, Primary, ForcedPrimary, NotYetPrimary, RemainsPrimary, Secondary',
  'resources[].members[].consistent': 'could this replica stand for itself?',
  'resources[].members[].primary': 'is it primary now?',
  'resources[].members[].deviceOn': 'is the exported device there?',
  'resources[].members[].openCount': 'users of the exported device',
  'resources[].members[].deviceSize': 'bytes of the exported device, 0 where there is none',
  'resources[].members[].wishes.attach': 'is attaching wished?',
  'resources[].members[].wishes.fetch': 'is fetching of logs wished?',
  'resources[].members[].wishes.replay': 'is replay wished?',
  'resources[].members[].wishes.sync': 'is the full sync wished?',
  'resources[].members[].facts.attached': 'is the data device in use by MARS?',
  'resources[].members[].facts.fetching': 'are logs being fetched?',
  'resources[].members[].facts.replaying': 'does replay run?',
  'resources[].members[].facts.syncing': 'does the full sync run?',
  'resources[].members[].sync.done': 'bytes synchronised',
  'resources[].members[].sync.rest': 'bytes still to synchronise',
  'resources[].members[].sync.size': 'bytes in all',
  'resources[].members[].log':
    'null when nothing is known about the logs; else positions in bytes from the oldest log still needed',
  'resources[].members[].log.applied': 'applied',
  'resources[].members[].log.fetched': 'held here',
  'resources[].members[].log.end': 'written by the primary',
  'resources[].members[].log.logs.applied': 'number of the log being applied',
  'resources[].members[].log.logs.fetched': 'number of the newest log held here',
  'resources[].members[].log.logs.end': 'number of the newest log',
  'resources[].members[].writeback': 'bytes of log not yet written back to the data device',
  'resources[].members[].lag':
    'seconds from the newest record applied here to the newest durable one of the primary; 0 when everything is applied, null when not known (one of the two cannot be reached, or nobody is primary)',
  'resources[].members[].requests[]':
    'rotate, log-delete, invalidate: asked for and not yet answered by the daemon',
  'resources[].members[].replayCode':
    'ok, or the reason code at which replay waits or has stopped; null = not told',
  'resources[].members[].problems[].severity': 'error or warning',
  'resources[].members[].problems[].code': 'reason code',
  'resources[].members[].problems[].text': 'a sentence',
  'resources[].members[].problems[].next': 'the next safe command, where there is one',
  'resources[].members[].messages[].key': 'what it is about: waiting, error, fetch, sync',
  'resources[].members[].messages[].text': 'reason code or text',
};
