/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lamport.h - the Lamport clock: one per node, ns since the epoch
 *
 * Stamps are unique and strictly increasing on a node, never behind what the node
 * has seen from others, and follow the system clock when nothing pushes them ahead.
 * Any context; lock-free.
 */
#ifndef _MARS_LAMPORT_H
#define _MARS_LAMPORT_H

#include <linux/types.h>

/* A stamp further ahead of the system clock than this is refused: 24 hours. */
#define MARS_LAMPORT_MAX_FUTURE	(24ull * 3600 * 1000000000)

/** mars_lamport_now - a new stamp, greater than every one before, issued or seen */
u64 mars_lamport_now(void);

/**
 * mars_lamport_advance - a stamp from elsewhere was seen; later ones will be greater
 *
 * Returns 0, or -ERANGE and changes nothing when @stamp is new and more than
 * MARS_LAMPORT_MAX_FUTURE ahead of the system clock.
 */
int mars_lamport_advance(u64 stamp);

/** mars_lamport_reset - forget everything seen; only at start, before anybody asks */
void mars_lamport_reset(void);

#endif /* _MARS_LAMPORT_H */
