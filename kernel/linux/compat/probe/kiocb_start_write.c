// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when kiocb_start_write() exists: since 6.6, and in later 6.1. */
#include <linux/fs.h>

void probe(struct kiocb *iocb);

void probe(struct kiocb *iocb)
{
	kiocb_start_write(iocb);
	kiocb_end_write(iocb);
}
