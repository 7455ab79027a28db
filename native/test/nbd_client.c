// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd_client.c - an NBD client for tests, in bytes
 *
 * Blocking, and without any cleverness, so that broken, slow and vanishing clients
 * can be played with it.
 */
#include <endian.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bricks/nbd_proto.h"
#include "nbd_client.h"
#include "test.h"

/* --- bytes --- */

int dial(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	strcpy(addr.sun_path, path);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

void put(int fd, const void *data, size_t len)
{
	const u8 *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		CHECK(n > 0);
		p += n;
		len -= n;
	}
}

bool try_get(int fd, void *data, size_t len)
{
	u8 *p = data;

	while (len) {
		ssize_t n = recv(fd, p, len, 0);

		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

void expect_end(int fd)
{
	u8 byte;

	CHECK(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

u32 get32(int fd)
{
	u32 v;

	get(fd, &v, 4);
	return be32toh(v);
}

u64 get64(int fd)
{
	u64 v;

	get(fd, &v, 8);
	return be64toh(v);
}

u16 get16(int fd)
{
	u16 v;

	get(fd, &v, 2);
	return be16toh(v);
}

/* --- negotiation --- */

int greet(const char *path, u32 flags)
{
	int fd = dial(path);

	CHECK_EQ(get64(fd), 0x4e42444d41474943ull);
	CHECK_EQ(get64(fd), 0x49484156454f5054ull);
	CHECK_EQ(get16(fd), 3);
	flags = htobe32(flags);
	put(fd, &flags, 4);
	return fd;
}

void option(int fd, u32 number, const void *data, u32 len)
{
	struct {
		u64 magic;
		u32 number, len;
	} __attribute__((packed)) head = {
		htobe64(0x49484156454f5054ull), htobe32(number), htobe32(len)
	};

	put(fd, &head, sizeof(head));
	put(fd, data, len);
}

u32 option_reply(int fd, u32 number)
{
	u8 data[8192];
	u32 type, len;

	CHECK_EQ(get64(fd), 0x3e889045565a9ull);
	CHECK_EQ(get32(fd), number);
	type = get32(fd);
	len = get32(fd);
	CHECK(len <= sizeof(data));
	get(fd, data, len);
	return type;
}

void option_go(int fd, u32 number, const char *name)
{
	u32 len = strlen(name), be = htobe32(len);
	u8 data[200] = { 0 };

	memcpy(data, &be, 4);
	memcpy(data + 4, name, len);
	option(fd, number, data, 6 + len);
}

void expect_go(int fd, u32 number)
{
	u32 type;

	while ((type = option_reply(fd, number)) == 3)
		;
	CHECK_EQ(type, 1);
}

int open_client(const char *path, bool structured)
{
	int fd = greet(path, 3);

	if (structured) {
		option(fd, 8, NULL, 0);
		CHECK_EQ(option_reply(fd, 8), 1);
	}
	option_go(fd, 7, "disk");
	expect_go(fd, 7);
	return fd;
}

/* --- requests --- */

struct wire_request request(u16 type, u16 flags, u64 cookie, u64 offset, u32 length)
{
	return (struct wire_request){
		htobe32(0x25609513), htobe16(flags), htobe16(type), cookie,
		htobe64(offset), htobe32(length),
	};
}

void ask(int fd, u16 type, u16 flags, u64 cookie, u64 offset, u32 length)
{
	struct wire_request req = request(type, flags, cookie, offset, length);

	put(fd, &req, sizeof(req));
}

u32 answer(int fd, u64 *cookie)
{
	u32 err;

	CHECK_EQ(get32(fd), 0x67446698u);
	err = get32(fd);
	get(fd, cookie, 8);
	return err;
}

u32 do_write(int fd, u16 flags, u64 offset, const void *data, u32 len)
{
	u64 cookie;
	u32 err;

	ask(fd, NBD_CMD_WRITE, flags, 7, offset, len);
	put(fd, data, len);
	err = answer(fd, &cookie);
	CHECK_EQ(cookie, 7);
	return err;
}

u32 do_read(int fd, u64 offset, void *data, u32 len)
{
	u64 cookie;
	u32 err;

	ask(fd, NBD_CMD_READ, 0, 8, offset, len);
	err = answer(fd, &cookie);
	CHECK_EQ(cookie, 8);
	if (!err)
		get(fd, data, len);
	return err;
}

u32 do_other(int fd, u16 type, u16 flags, u64 offset, u32 len)
{
	u64 cookie;
	u32 err;

	ask(fd, type, flags, 9, offset, len);
	err = answer(fd, &cookie);
	CHECK_EQ(cookie, 9);
	return err;
}
