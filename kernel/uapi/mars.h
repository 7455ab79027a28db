/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * mars.h - the control ABI, the only kernel header user space includes
 *
 * One call carries one verb in one fixed-size structure; the answer comes back
 * in the same structure.  mars.ko takes it by ioctl on /dev/mars-control, the
 * embedded engine by a direct call of mars_control(): the dispatcher behind
 * both is the same (kernel/core/control.c).
 *
 * Rules: every structure starts with struct mars_ctl_hdr; size and version must
 * match exactly; padding, unused tails of strings and unknown flags must be
 * zero; all of it is checked before anything changes.  A call that is refused
 * returns -errno and leaves a reason from enum mars_reason in hdr.reason; with
 * MARS_R_BAD_VERSION also the engine's own version in hdr.version.
 * Integers are in host byte order (the ABI never leaves the machine).
 */
#ifndef _UAPI_MARS_H
#define _UAPI_MARS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MARS_ABI_VERSION	1
#define MARS_NAME_MAX		128	/* brick name, bytes including the NUL */
#define MARS_TYPE_MAX		16	/* brick type name, including the NUL */
#define MARS_TEXT_MAX		1024	/* text or blob argument of MARS_VERB_SET */
#define MARS_VAL_MAX		24	/* numbers in a status */
#define MARS_DIGEST_SIZE	16	/* truncated SHA-256, see docs/formats/log.md */
#define MARS_UUID_SIZE		16
#define MARS_HOST_MAX		64	/* host name, including the NUL */

enum mars_verb {
	MARS_VERB_VERSION	= 1,	/* struct mars_ctl_version */
	MARS_VERB_CREATE	= 2,	/* struct mars_ctl_create */
	MARS_VERB_DESTROY	= 3,	/* struct mars_ctl_name */
	MARS_VERB_CONNECT	= 4,	/* struct mars_ctl_wire */
	MARS_VERB_DISCONNECT	= 5,	/* struct mars_ctl_wire, .to empty */
	MARS_VERB_SWITCH	= 6,	/* struct mars_ctl_switch */
	MARS_VERB_SET		= 7,	/* struct mars_ctl_set */
	MARS_VERB_STATUS	= 8,	/* struct mars_ctl_status, .name is the question */
	MARS_VERB_LIST		= 9,	/* struct mars_ctl_status, .name = previous, empty = first;
					 * in name order; answer with empty .name = no more */
	MARS_VERB_LAMPORT	= 10,	/* struct mars_ctl_lamport */
	MARS_VERB_EVENT		= 11,	/* struct mars_ctl_status: next brick with pending events;
					 * answer with empty .name = none */
};

/* Why a call was refused.  Numbers are stable; new ones are appended. */
enum mars_reason {
	MARS_R_NONE		= 0,
	MARS_R_BAD_SIZE		= 1,	/* structure size does not fit the verb */
	MARS_R_BAD_VERSION	= 2,	/* hdr.version is not ours */
	MARS_R_BAD_VERB		= 3,
	MARS_R_BAD_FLAGS	= 4,	/* unknown flag or non-zero padding */
	MARS_R_BAD_NAME		= 5,	/* empty, not terminated, or hostile characters */
	MARS_R_NO_TYPE		= 6,	/* no such brick type */
	MARS_R_NO_BRICK		= 7,	/* no brick of that name */
	MARS_R_EXISTS		= 8,	/* a brick of that name exists */
	MARS_R_NO_INPUT		= 9,	/* the type has no such input */
	MARS_R_CONNECTED	= 10,	/* the input is already connected elsewhere */
	MARS_R_NOT_CONNECTED	= 11,
	MARS_R_LOOP		= 12,	/* the wire would close a cycle */
	MARS_R_NO_OUTPUT	= 13,	/* the lower brick has no output */
	MARS_R_BUSY_USERS	= 14,	/* routes above still lead through the brick */
	MARS_R_BUSY_ON		= 15,	/* the brick is not off */
	MARS_R_BELOW_OFF	= 16,	/* a brick below is not on */
	MARS_R_NO_KEY		= 17,	/* the type has no such parameter */
	MARS_R_BAD_VALUE	= 18,	/* parameter out of range */
	MARS_R_NOT_NOW		= 19,	/* can't change in this state; switching off: requests
					 * on replaced routes still pass, try after EV_GONE */
	MARS_R_NO_MEMORY	= 20,
	MARS_R_IO		= 21,	/* the lower layer failed; errno says how */
	MARS_R_IN_USE		= 22,	/* file or device is exclusively held elsewhere */
	MARS_R_TOO_SMALL	= 23,	/* the lower device is smaller than asked */
	MARS_R_FUTURE		= 24,	/* Lamport stamp beyond the allowed future */
	MARS_R_MISSING		= 25,	/* a required parameter was never set */
	MARS_R_BAD_LOG		= 26,	/* log header or identity does not match */
	MARS_R_NO_SPACE		= 27,
	MARS_R_NO_PATH		= 28,	/* file or device does not exist */
	MARS_R_DENIED		= 29,	/* permission */
	MARS_R_TOO_DEEP		= 30,	/* too many bricks in a row */
	MARS_R_OPEN		= 31,	/* the exported device is still open */
	MARS_R_TOO_LONG		= 32,	/* longer than a disk name may be */
};

struct mars_ctl_hdr {
	__u32 size;			/* sizeof the whole structure */
	__u16 version;			/* MARS_ABI_VERSION */
	__u16 verb;			/* enum mars_verb */
	__u32 flags;			/* none defined: 0 */
	__u32 reason;			/* out: enum mars_reason */
};

struct mars_ctl_version {
	struct mars_ctl_hdr hdr;
	__u32 abi;			/* out */
	__u32 log_format;		/* out: newest log format written */
	__u32 embedded;			/* out: 1 = inside a process, 0 = mars.ko */
	__u32 pad;
	char build[64];			/* out */
};

struct mars_ctl_create {
	struct mars_ctl_hdr hdr;
	char type[MARS_TYPE_MAX];
	char name[MARS_NAME_MAX];
};

struct mars_ctl_name {
	struct mars_ctl_hdr hdr;
	char name[MARS_NAME_MAX];
};

struct mars_ctl_wire {
	struct mars_ctl_hdr hdr;
	char name[MARS_NAME_MAX];	/* upper brick */
	__u32 input;			/* its input, by number */
	__u32 pad;
	char to[MARS_NAME_MAX];		/* lower brick; connecting a connected input rewires it */
};

struct mars_ctl_switch {
	struct mars_ctl_hdr hdr;
	char name[MARS_NAME_MAX];
	__u32 on;			/* the button: 0 or 1 */
	__u32 pad;
};

struct mars_ctl_set {
	struct mars_ctl_hdr hdr;
	char name[MARS_NAME_MAX];
	__u32 key;			/* enum mars_key_* */
	__u32 len;			/* bytes used in text, < MARS_TEXT_MAX */
	__u64 value;
	char text[MARS_TEXT_MAX];
};

struct mars_ctl_lamport {
	struct mars_ctl_hdr hdr;
	__u64 advance;			/* in: stamp to get past, ns since the epoch; 0 = read only */
	__u64 real;			/* out: system clock, ns */
	__u64 lamport;			/* out: Lamport clock, ns; unique, strictly increasing */
};

/* What changed since the last report about a brick: mars_ctl_status.events. */
#define MARS_EV_LED		(1u << 0)	/* button or LEDs */
#define MARS_EV_STATE		(1u << 1)	/* state or error */
#define MARS_EV_PROGRESS	(1u << 2)	/* positions moved: durable, checkpoint, applied */
#define MARS_EV_OPEN		(1u << 3)	/* open count of an export */
#define MARS_EV_GONE		(1u << 4)	/* last replaced route through the brick was
						 * released: switch off, destroy can be tried */

/* Named states of a brick; 0 is healthy. */
enum mars_state {
	MARS_S_OK		= 0,
	MARS_S_LOG_WRITE_ERROR	= 1,	/* logger: the log can't be written; writes and flushes fail */
	MARS_S_DATA_WRITE_ERROR	= 2,	/* logger, replay: data disk refuses writes; retried, nothing dropped */
	MARS_S_LOG_SPACE_LOW	= 3,	/* logger: less than one segment of log space left */
	MARS_S_LOG_SPACE_FULL	= 4,	/* logger: new writes wait for log space */
	MARS_S_REPLAY_END	= 5,	/* replay: everything up to the end position is applied */
	MARS_S_REPLAY_CLEAN	= 6,	/* replay: log ended with zeros before the end position */
	MARS_S_REPLAY_TORN	= 7,	/* replay: first bad group found before the end position */
	MARS_S_REPLAY_MISMATCH	= 8,	/* replay: the log is not the one expected */
	MARS_S_READ_ERROR	= 9,	/* replay: log can't be read */
	MARS_S_IO_ERROR		= 10,	/* file, nbd, ...: lower layer failed */
	MARS_S_BAD_LOG		= 11,	/* logger: next log file unusable, e.g. it has content */
};

/* Parameters, by brick type. */
enum mars_key {
	/* file, bdev (in mars.ko: a regular file, a block device) */
	MARS_K_FILE_PATH	= 1,	/* text */
	MARS_K_FILE_FLAGS	= 2,	/* value: MARS_FILE_* */
	MARS_K_FILE_SIZE	= 3,	/* value: bytes; create with, grow or cut to; of an EXCL file: show that many */
	/* mem */
	MARS_K_MEM_SIZE		= 16,
	/* logger */
	MARS_K_LOGGER_CREDITS	= 32,	/* value: shadow memory, bytes */
	MARS_K_LOGGER_DURABILITY = 33,	/* value: 0 = on flush, 1 = always */
	MARS_K_LOGGER_DELAY	= 34,	/* value: commit delay for plain writes, us; mars.ko counts
					 * in timer ticks: 2000 are 4 to 8 ms at HZ=250.
					 * Nobody waits for it: FUA and FLUSH commit at once */
	MARS_K_LOGGER_IDENT	= 35,	/* text: struct mars_log_ident of the first log (input 1) */
	MARS_K_LOGGER_ROTATE	= 36,	/* text: struct mars_log_ident, value: log input 1 or 2 */
	MARS_K_LOGGER_CHECKPOINT = 37,	/* write everything back and publish a checkpoint */
	MARS_K_LOGGER_SEGMENT	= 38,	/* value: log growth step, bytes */
	/* replay */
	MARS_K_REPLAY_IDENT	= 48,	/* text: struct mars_log_ident expected in the header */
	MARS_K_REPLAY_START	= 49,	/* value: log position to start from; 0 = behind the header */
	MARS_K_REPLAY_END	= 50,	/* value: verified bytes present; ~0 = up to the first bad group */
	/* nbd */
	MARS_K_NBD_SOCKET	= 64,	/* text: unix socket path */
	MARS_K_NBD_EXPORT	= 65,	/* text: export name; "" is always accepted too */
	MARS_K_NBD_READONLY	= 66,
	/* if (mars.ko only) */
	MARS_K_IF_NAME		= 72,	/* text: the disk is /dev/mars/NAME; at most 26 characters */
	MARS_K_IF_READONLY	= 73,	/* value: 0 or 1 */
	MARS_K_IF_RESIZE	= 74,	/* take over the size from below, which may have grown */
	/* limit */
	MARS_K_LIMIT_BYTES	= 80,	/* value: bytes per second, 0 = no limit */
	MARS_K_LIMIT_OPS	= 81,	/* value: requests per second, 0 = no limit */
	/* check */
	MARS_K_CHECK_ERROR	= 96,	/* text "OP ERRNO SKIP COUNT": fail COUNT requests after SKIP */
	MARS_K_CHECK_DELAY	= 97,	/* value: us to delay each request */
	/* align */
	MARS_K_ALIGN_BLOCK	= 112,	/* value: block size below, power of two, 512..4096 */
};

#define MARS_FILE_DIRECT	(1u << 0)	/* O_DIRECT */
#define MARS_FILE_RDONLY	(1u << 1)
#define MARS_FILE_CREATE	(1u << 2)	/* create when missing (log files) */
#define MARS_FILE_EXCL		(1u << 3)	/* hold an exclusive lock: data disks */
#define MARS_FILE_APPEND	(1u << 4)	/* may grow beyond its size (log files) */
#define MARS_FILE_ALL		0x1fu
/*
 * Bytes of its file system that a file with APPEND does not allocate, beside what is
 * reserved for root.  SPARE: the state of the cluster lies there too, and what frees log
 * space has to be written into it.  ROOM: a log that grows leaves this for the next one
 * to begin, since the current one can't be deleted.
 */
#define MARS_FILE_SPARE		(4ull << 20)
#define MARS_FILE_ROOM		(8ull << 20)

/* Identity of one log file, as it stands in the file header. */
struct mars_log_ident {
	__u8 cluster[MARS_UUID_SIZE];
	__u8 resource[MARS_UUID_SIZE];
	__u8 salt[16];			/* random, new for each file */
	__u64 number;			/* 1.. ; contiguous along the chain */
	__u64 prev_length;		/* end position in the predecessor; 0 = first log */
	__u8 prev_digest[MARS_DIGEST_SIZE]; /* end digest of the predecessor */
	__u64 prev_number;
	__u32 timeline;			/* grows by one at each forced switch */
	__u32 pad;
	char origin[MARS_HOST_MAX];	/* host that writes this log */
	char prev_origin[MARS_HOST_MAX];
};

/* Indexes into mars_ctl_status.val. */
enum mars_val_file {	/* and bdev */
	MARS_V_FILE_SIZE, MARS_V_FILE_READS, MARS_V_FILE_WRITES, MARS_V_FILE_FLUSHES,
	MARS_V_FILE_BYTES_READ, MARS_V_FILE_BYTES_WRITTEN,
	MARS_V_FILE_DIRECT,		/* 1 = O_DIRECT is in effect */
	MARS_V_FILE_ALIGN,		/* positions and lengths are multiples of it, bytes */
};
enum mars_val_logger {
	MARS_V_LOGGER_NUMBER,		/* log now written: number ... */
	MARS_V_LOGGER_POS,		/* ... and end of the last group built, bytes */
	MARS_V_LOGGER_DURABLE_NUMBER,
	MARS_V_LOGGER_DURABLE,		/* everything before is durable */
	MARS_V_LOGGER_CKPT_NUMBER,	/* the published replay position: log ... */
	MARS_V_LOGGER_CKPT,		/* ... and position; flushed on the data disk */
	MARS_V_LOGGER_DIRTY,		/* log bytes between checkpoint and end (all logs) */
	MARS_V_LOGGER_CREDITS,		/* shadow bytes allowed */
	MARS_V_LOGGER_USED,		/* shadow bytes in use */
	MARS_V_LOGGER_PEAK,		/* most shadow bytes ever in use */
	MARS_V_LOGGER_WAITERS,		/* requests waiting for credits or log space */
	MARS_V_LOGGER_WRITES, MARS_V_LOGGER_READS, MARS_V_LOGGER_FLUSHES,
	MARS_V_LOGGER_GROUPS,		/* groups written */
	MARS_V_LOGGER_RECORDS,
	MARS_V_LOGGER_SHADOW_HITS,	/* reads served from shadow memory */
	MARS_V_LOGGER_WRITEBACKS,	/* writes to the data disk */
	MARS_V_LOGGER_LAMPORT,		/* stamp of the newest durable record */
	MARS_V_LOGGER_OLD_SLOT,		/* log input still holding an older log, 0 = none */
	MARS_V_LOGGER_PREV_END,		/* end of the log before the current one */
	MARS_V_LOGGER_SLOT,		/* log input of the last group built, 0 = none */
};
enum mars_val_replay {
	MARS_V_REPLAY_NUMBER,
	MARS_V_REPLAY_PARSED,		/* verified up to here */
	MARS_V_REPLAY_APPLIED,		/* written to the data disk up to here (in order, complete) */
	MARS_V_REPLAY_CKPT,		/* ... and flushed: the position to publish */
	MARS_V_REPLAY_END,
	MARS_V_REPLAY_RECORDS, MARS_V_REPLAY_BYTES,
	MARS_V_REPLAY_LAMPORT,		/* stamp of the newest applied record */
	MARS_V_REPLAY_VERDICT,		/* enum mars_log_verdict that stopped it; 0 = none */
};
enum mars_val_nbd {	/* and if */
	MARS_V_NBD_CLIENTS,		/* open count */
	MARS_V_NBD_READS, MARS_V_NBD_WRITES, MARS_V_NBD_FLUSHES,
	MARS_V_NBD_BYTES_READ, MARS_V_NBD_BYTES_WRITTEN, MARS_V_NBD_IN_FLIGHT,
};
enum mars_val_check {
	MARS_V_CHECK_REQUESTS,		/* taken */
	MARS_V_CHECK_IN_FLIGHT,
	MARS_V_CHECK_TWICE,		/* violation: ended more than once */
	MARS_V_CHECK_BUFFER,		/* violation: buffer of a WRITE changed in flight */
	MARS_V_CHECK_OVERLAP,		/* overlapping changes in flight; allowed above a logger */
	MARS_V_CHECK_RANGE,		/* beyond the size below; allowed on growing logs */
	MARS_V_CHECK_ALIGN,		/* violation: against the alignment or max_io below */
	MARS_V_CHECK_VEC,		/* violation: memory shorter than the length */
	MARS_V_CHECK_INJECTED,		/* failed on demand */
	MARS_V_CHECK_UNGUARDED,		/* passed unchecked for want of memory */
};
enum mars_val_limit {
	MARS_V_LIMIT_OPS,		/* requests passed */
	MARS_V_LIMIT_BYTES,		/* bytes passed */
	MARS_V_LIMIT_DELAYED,		/* requests that had to wait */
	MARS_V_LIMIT_WAITING,		/* waiting now */
};
enum mars_val_align {
	MARS_V_ALIGN_PASSED,		/* requests passed as they were */
	MARS_V_ALIGN_SPLIT,		/* requests with unaligned edges */
	MARS_V_ALIGN_WAITED,		/* of all: waited for a block or a bounce page */
};

struct mars_ctl_status {
	struct mars_ctl_hdr hdr;
	char name[MARS_NAME_MAX];
	char type[MARS_TYPE_MAX];
	__u8 button, led_on, led_off, state;	/* state: enum mars_state */
	__s32 error;			/* -errno behind the state, 0 = none */
	__u32 events;			/* out of EVENT: MARS_EV_* */
	__u32 nr_val;			/* how many of val are meaningful */
	__u64 val[MARS_VAL_MAX];
	__u8 digest[MARS_DIGEST_SIZE];	/* logger: at DURABLE; replay: at PARSED */
	__u8 digest2[MARS_DIGEST_SIZE];	/* logger: at PREV_END; replay: at CKPT */
};

/* ioctl on /dev/mars-control: the verb is the command number, the argument its structure. */
#define MARS_IOC_TYPE		0xE9
#define MARS_IOC_MAX		4096	/* no structure is longer */
#define MARS_IOC(verb, size)	_IOC(_IOC_READ | _IOC_WRITE, MARS_IOC_TYPE, (verb) & 0xff, (size))

#endif /* _UAPI_MARS_H */
