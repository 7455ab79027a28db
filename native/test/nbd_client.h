/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd_client.h - an NBD client for tests, in bytes
 *
 * Every function CHECKs what it needs to go on.
 */
#ifndef _MARS_TEST_NBD_CLIENT_H
#define _MARS_TEST_NBD_CLIENT_H

#include <linux/types.h>

/* --- bytes --- */

/** dial - connect to the socket at @path */
int dial(const char *path);
void put(int fd, const void *data, size_t len);
bool try_get(int fd, void *data, size_t len);
#define get(fd, data, len)	CHECK(try_get(fd, data, len))
/** expect_end - the server hangs up without another byte; closes @fd */
void expect_end(int fd);
u16 get16(int fd);
u32 get32(int fd);
u64 get64(int fd);

/* --- negotiation --- */

/** greet - connect, take the greeting, send client @flags */
int greet(const char *path, u32 flags);
void option(int fd, u32 number, const void *data, u32 len);
/** option_reply - type of one reply to option @number; its data is thrown away */
u32 option_reply(int fd, u32 number);
/** option_go - INFO or GO for an export */
void option_go(int fd, u32 number, const char *name);
void expect_go(int fd, u32 number);
/** open_client - all the way to the requests of export "disk" */
int open_client(const char *path, bool structured);

/* --- requests --- */

struct wire_request {
	u32 magic;
	u16 flags, type;
	u64 cookie, offset;
	u32 length;
} __attribute__((packed));

struct wire_request request(u16 type, u16 flags, u64 cookie, u64 offset, u32 length);
void ask(int fd, u16 type, u16 flags, u64 cookie, u64 offset, u32 length);
/** answer - a simple reply: its error; *cookie says whose */
u32 answer(int fd, u64 *cookie);
u32 do_write(int fd, u16 flags, u64 offset, const void *data, u32 len);
u32 do_read(int fd, u64 offset, void *data, u32 len);
u32 do_other(int fd, u16 type, u16 flags, u64 offset, u32 len);

#endif /* _MARS_TEST_NBD_CLIENT_H */
