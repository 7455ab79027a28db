// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd_test.c - the nbd brick, spoken to in bytes
 *
 * A small client of its own, so that broken, slow and vanishing clients can be
 * played.  Foreign clients have their turn in nbd_thirdparty_test.sh.
 */
#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/errno.h>
#include <linux/kernel.h>

#include "bricks/faulty.h"
#include "bricks/nbd.h"
#include "engine/engine.h"
#include "source.h"
#include "test.h"

#define MIB	(1u << 20)
#define SIZE	(48ull * MIB)

static char dir[64], socket_path[100];

/* --- bytes --- */

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	strcpy(addr.sun_path, socket_path);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void put(int fd, const void *data, size_t len)
{
	const u8 *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		CHECK(n > 0);
		p += n;
		len -= n;
	}
}

static bool try_get(int fd, void *data, size_t len)
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

#define get(fd, data, len)	CHECK(try_get(fd, data, len))

static void expect_end(int fd)
{
	u8 byte;

	CHECK(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

static u32 get32(int fd)
{
	u32 v;

	get(fd, &v, 4);
	return be32toh(v);
}

static u64 get64(int fd)
{
	u64 v;

	get(fd, &v, 8);
	return be64toh(v);
}

static u16 get16(int fd)
{
	u16 v;

	get(fd, &v, 2);
	return be16toh(v);
}

/* --- negotiation --- */

static int greet(u32 flags)
{
	int fd = dial();

	CHECK_EQ(get64(fd), 0x4e42444d41474943ull);
	CHECK_EQ(get64(fd), 0x49484156454f5054ull);
	CHECK_EQ(get16(fd), 3);
	flags = htobe32(flags);
	put(fd, &flags, 4);
	return fd;
}

static void option(int fd, u32 number, const void *data, u32 len)
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

/* One reply to option @number; its data is thrown away. */
static u32 option_reply(int fd, u32 number)
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

static void option_go(int fd, u32 number, const char *name)
{
	u32 len = strlen(name), be = htobe32(len);
	u8 data[200] = { 0 };

	memcpy(data, &be, 4);
	memcpy(data + 4, name, len);
	option(fd, number, data, 6 + len);
}

static void expect_go(int fd, u32 number)
{
	u32 type;

	while ((type = option_reply(fd, number)) == 3)
		;
	CHECK_EQ(type, 1);
}

static int open_client(bool structured)
{
	int fd = greet(3);

	if (structured) {
		option(fd, 8, NULL, 0);
		CHECK_EQ(option_reply(fd, 8), 1);
	}
	option_go(fd, 7, "disk");
	expect_go(fd, 7);
	return fd;
}

/* --- requests --- */

struct wire_request {
	u32 magic;
	u16 flags, type;
	u64 cookie, offset;
	u32 length;
} __attribute__((packed));

static struct wire_request request(u16 type, u16 flags, u64 cookie, u64 offset, u32 length)
{
	return (struct wire_request){
		htobe32(0x25609513), htobe16(flags), htobe16(type), cookie,
		htobe64(offset), htobe32(length),
	};
}

static void ask(int fd, u16 type, u16 flags, u64 cookie, u64 offset, u32 length)
{
	struct wire_request req = request(type, flags, cookie, offset, length);

	put(fd, &req, sizeof(req));
}

/* A simple reply: its error; *cookie says whose. */
static u32 answer(int fd, u64 *cookie)
{
	u32 err;

	CHECK_EQ(get32(fd), 0x67446698u);
	err = get32(fd);
	get(fd, cookie, 8);
	return err;
}

static u32 do_write(int fd, u16 flags, u64 offset, const void *data, u32 len)
{
	u64 cookie;
	u32 err;

	ask(fd, NBD_CMD_WRITE, flags, 7, offset, len);
	put(fd, data, len);
	err = answer(fd, &cookie);
	CHECK_EQ(cookie, 7);
	return err;
}

static u32 do_read(int fd, u64 offset, void *data, u32 len)
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

static u32 do_other(int fd, u16 type, u16 flags, u64 offset, u32 len)
{
	u64 cookie;
	u32 err;

	ask(fd, type, flags, 9, offset, len);
	err = answer(fd, &cookie);
	CHECK_EQ(cookie, 9);
	return err;
}

/* --- the server --- */

static void wire_up(void)
{
	enum mars_reason reason;

	brick_create("nbd", "nbd");
	CHECK_EQ(mars_brick_connect("nbd", 0, "disk", &reason), 0);
	brick_set_text("nbd", MARS_K_NBD_SOCKET, socket_path);
	brick_set_text("nbd", MARS_K_NBD_EXPORT, "disk");
}

static void begin(void)
{
	CHECK_EQ(mars_engine_init(EXEC_THREADED, 0, test_seed()), 0);
	source_register();
}

static void begin_mem(void)
{
	begin();
	brick_create("mem", "disk");
	brick_set_value("disk", MARS_K_MEM_SIZE, SIZE);
	brick_on("disk");
	wire_up();
	brick_on("nbd");
}

/* Wait, by events, until the export has @n clients. */
static void wait_clients(u64 n)
{
	while (brick_status("nbd").val[MARS_V_NBD_CLIENTS] != n)
		source_wait_event();
}

static void end(void)
{
	wait_clients(0);
	brick_off("nbd");
	CHECK(access(socket_path, F_OK) < 0);
	brick_destroy("nbd");
	brick_off("disk");
	brick_destroy("disk");
	CHECK_EQ(mars_engine_exit(), 0);
}

static void fill(u8 *buf, size_t len)
{
	while (len--)
		*buf++ = exec_random(256);
}

/* --- cases --- */

static void negotiations(void)
{
	static const u8 junk[20000];
	u8 zeroes[124];
	int fd;

	begin_mem();
	fd = greet(3);
	option(fd, 3, NULL, 0);				/* LIST */
	CHECK_EQ(option_reply(fd, 3), 2);
	CHECK_EQ(option_reply(fd, 3), 1);
	option(fd, 3, junk, 5);
	CHECK_EQ(option_reply(fd, 3), 0x80000003);
	option(fd, 5, NULL, 0);				/* STARTTLS */
	CHECK_EQ(option_reply(fd, 5), 0x80000001);
	option(fd, 10, junk, 20);			/* SET_META_CONTEXT */
	CHECK_EQ(option_reply(fd, 10), 0x80000001);
	option(fd, 77, junk, sizeof(junk));		/* too long, skipped */
	CHECK_EQ(option_reply(fd, 77), 0x80000009);
	option_go(fd, 7, "nobody");
	CHECK_EQ(option_reply(fd, 7), 0x80000006);
	option(fd, 7, junk, 3);
	CHECK_EQ(option_reply(fd, 7), 0x80000003);
	option_go(fd, 6, "disk");			/* INFO */
	expect_go(fd, 6);
	option_go(fd, 7, "");
	expect_go(fd, 7);
	wait_clients(1);
	CHECK_EQ(do_other(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(fd);

	fd = greet(1);					/* the oldest way in */
	option(fd, 1, "disk", 4);
	CHECK_EQ(get64(fd), SIZE);
	CHECK_EQ(get16(fd) & 0x1f, 0xd);
	get(fd, zeroes, sizeof(zeroes));
	CHECK_EQ(do_other(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(fd);
	fd = greet(3);
	option(fd, 1, "nobody", 6);
	expect_end(fd);
	expect_end(greet(1 << 20));
	fd = greet(3);
	option(fd, 2, NULL, 0);				/* ABORT */
	CHECK_EQ(option_reply(fd, 2), 1);
	expect_end(fd);
	fd = greet(3);
	put(fd, junk, 16);
	expect_end(fd);
	end();
}

static void commands(void)
{
	static u8 buf[MIB], back[MIB];
	u64 cookie;
	int fd;

	begin_mem();
	fd = open_client(false);
	fill(buf, sizeof(buf));
	CHECK_EQ(do_write(fd, 0, 1, buf, MIB), 0);
	CHECK_EQ(do_write(fd, NBD_CMD_FLAG_FUA, 5 * MIB, buf, 7), 0);
	CHECK_EQ(do_read(fd, 1, back, MIB), 0);
	CHECK_MEM(back, buf, MIB);
	CHECK_EQ(do_other(fd, NBD_CMD_TRIM, NBD_CMD_FLAG_FUA, 1, 4096), 0);
	CHECK_EQ(do_other(fd, NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE, 10001, 100), 0);
	memset(buf, 0, 4096);
	memset(buf + 10000, 0, 100);
	CHECK_EQ(do_read(fd, 1, back, MIB), 0);
	CHECK_MEM(back, buf, MIB);
	CHECK_EQ(do_read(fd, 5, back, 0), 0);
	CHECK_EQ(do_write(fd, 0, 5, buf, 0), 0);
	CHECK_EQ(do_other(fd, NBD_CMD_TRIM, 0, 5, 0), 0);

	/* refused, with their payload read over */
	CHECK_EQ(do_write(fd, 0, SIZE - 1, buf, 100000), 28);
	CHECK_EQ(do_write(fd, NBD_CMD_FLAG_DF, 0, buf, 100000), 22);
	CHECK_EQ(do_read(fd, SIZE, back, 1), 22);
	CHECK_EQ(do_read(fd, ~0ull, back, 4096), 22);
	CHECK_EQ(do_other(fd, NBD_CMD_WRITE_ZEROES, 0, SIZE - 1, 2), 28);
	CHECK_EQ(do_other(fd, NBD_CMD_TRIM, 0, SIZE + 1, 0), 22);
	CHECK_EQ(do_other(fd, NBD_CMD_CACHE, 0, 0, 4096), 22);
	CHECK_EQ(do_other(fd, 4711, 0, 0, 0), 22);
	CHECK_EQ(do_other(fd, NBD_CMD_READ, 0, 0, NBD_MAX_IO + 1), 75);
	CHECK_EQ(do_read(fd, 1, back, MIB), 0);
	CHECK_MEM(back, buf, MIB);
	CHECK_EQ(brick_status("nbd").val[MARS_V_NBD_BYTES_WRITTEN], MIB + 7);

	/* too long a payload: an answer, then the end */
	ask(fd, NBD_CMD_WRITE, 0, 5, 0, NBD_MAX_IO + 1);
	CHECK_EQ(answer(fd, &cookie), 22);
	expect_end(fd);
	fd = open_client(false);
	put(fd, buf, NBD_REQUEST_SIZE);			/* no magic */
	expect_end(fd);
	fd = open_client(false);
	ask(fd, NBD_CMD_DISC, 0, 0, 0, 0);
	expect_end(fd);
	end();
}

static void structured(void)
{
	static u8 buf[3 * MIB], back[3 * MIB];
	u64 cookie;
	int fd;

	begin_mem();
	fd = open_client(true);
	fill(buf, sizeof(buf));
	CHECK_EQ(do_write(fd, 0, 77, buf, sizeof(buf)), 0);
	ask(fd, NBD_CMD_READ, NBD_CMD_FLAG_DF, 3, 77, sizeof(buf));
	CHECK_EQ(get32(fd), 0x668e33efu);
	CHECK_EQ(get16(fd), 1);
	CHECK_EQ(get16(fd), 1);
	get(fd, &cookie, 8);
	CHECK_EQ(cookie, 3);
	CHECK_EQ(get32(fd), 8 + sizeof(buf));
	CHECK_EQ(get64(fd), 77);
	get(fd, back, sizeof(back));
	CHECK_MEM(back, buf, sizeof(buf));
	ask(fd, NBD_CMD_READ, 0, 4, SIZE, 1);
	CHECK_EQ(get32(fd), 0x668e33efu);
	CHECK_EQ(get16(fd), 1);
	CHECK_EQ(get16(fd), 0x8001);
	get(fd, &cookie, 8);
	CHECK_EQ(get32(fd), 6);
	CHECK_EQ(get32(fd), 22);
	CHECK_EQ(get16(fd), 0);
	close(fd);
	end();
}

/* The longest requests, and many small ones in one go, against a model. */
static void sizes(void)
{
	enum { N = 500, LEN = 3000 };
	static u8 model[NBD_MAX_IO], back[NBD_MAX_IO], burst[N * (28 + LEN)];
	u8 *p = burst;
	int fd, i;

	begin_mem();
	fd = open_client(false);
	fill(model, sizeof(model));
	CHECK_EQ(do_write(fd, 0, 4321, model, NBD_MAX_IO), 0);
	CHECK_EQ(do_read(fd, 4321, back, NBD_MAX_IO), 0);
	CHECK_MEM(back, model, NBD_MAX_IO);

	for (i = 0; i < N; i++) {
		struct wire_request req = request(NBD_CMD_WRITE, 0, i, 4321 + i * LEN, LEN);

		fill(model + i * LEN, LEN);
		memcpy(p, &req, sizeof(req));
		memcpy(p + sizeof(req), model + i * LEN, LEN);
		p += sizeof(req) + LEN;
	}
	put(fd, burst, sizeof(burst));
	for (i = 0; i < N; i++) {
		u64 cookie;

		CHECK_EQ(answer(fd, &cookie), 0);
	}
	CHECK_EQ(do_read(fd, 4321, back, NBD_MAX_IO), 0);
	CHECK_MEM(back, model, NBD_MAX_IO);
	close(fd);
	end();
}

/* Bytes that come one at a time must not matter. */
static void dribble(void)
{
	struct wire_request req;
	u8 data[700], back[700];
	u64 cookie;
	size_t i;
	int fd;

	begin_mem();
	fd = open_client(false);
	fill(data, sizeof(data));
	req = request(NBD_CMD_WRITE, 0, 1, 100, sizeof(data));
	for (i = 0; i < sizeof(req); i++)
		put(fd, (u8 *)&req + i, 1);
	for (i = 0; i < sizeof(data); i++)
		put(fd, data + i, 1);
	CHECK_EQ(answer(fd, &cookie), 0);
	CHECK_EQ(do_read(fd, 100, back, sizeof(back)), 0);
	CHECK_MEM(back, data, sizeof(data));
	close(fd);
	end();
}

/* A client that does not read its replies holds up nobody, and loses nothing. */
static void slow_client(void)
{
	enum { N = 100 };
	static u8 model[MIB], back[MIB];
	int slow, fast, i;

	begin_mem();
	slow = open_client(false);
	fast = open_client(false);
	fill(model, MIB);
	CHECK_EQ(do_write(fast, 0, 0, model, MIB), 0);
	for (i = 0; i < N; i++)
		ask(slow, NBD_CMD_READ, 0, i, 0, MIB);
	for (i = 0; i < 20; i++)
		CHECK_EQ(do_read(fast, 0, back, MIB), 0);
	for (i = 0; i < N; i++) {
		u64 cookie;

		CHECK_EQ(answer(slow, &cookie), 0);
		get(slow, back, MIB);
		CHECK_MEM(back, model, MIB);
	}
	/* now one that goes away instead */
	for (i = 0; i < N; i++)
		ask(slow, NBD_CMD_READ, 0, i, 0, MIB);
	close(slow);
	CHECK_EQ(do_read(fast, 0, back, MIB), 0);
	wait_clients(1);
	close(fast);
	end();
}

/* A client vanishes while its requests are stuck below. */
static void vanished_client(void)
{
	struct faulty_image *image = faulty_image_new(MIB, 0);
	static const u8 data[4096];
	enum mars_reason reason;
	struct mars_brick *disk;
	int fd, i;

	begin();
	disk = faulty_create("disk", image, NULL);
	faulty_image_free(image);
	brick_on("disk");
	wire_up();
	brick_on("nbd");
	fd = open_client(false);
	CHECK_EQ(do_write(fd, 0, 0, data, sizeof(data)), 0);
	faulty_freeze(disk);
	for (i = 0; i < 20; i++) {
		ask(fd, NBD_CMD_WRITE, 0, i, i * 4096, sizeof(data));
		put(fd, data, sizeof(data));
	}
	ask(fd, NBD_CMD_WRITE, 0, i, 0, sizeof(data));
	put(fd, data, 100);				/* and an unfinished one */
	while (faulty_in_flight(disk) != 20)
		sched_yield();
	close(fd);
	CHECK_EQ(mars_brick_switch("nbd", false, &reason), -EBUSY);
	CHECK_EQ(reason, MARS_R_OPEN);
	CHECK_EQ(brick_status("nbd").val[MARS_V_NBD_CLIENTS], 1);
	faulty_kill(disk);
	end();
}

/* Errors from below reach the client, each its own request. */
static void lower_errors(void)
{
	struct faulty_image *image = faulty_image_new(4 * MIB, 0);
	static u8 data[3 * MIB];
	struct mars_brick *disk;
	int fd;

	begin();
	disk = faulty_create("disk", image, NULL);
	faulty_image_free(image);
	brick_on("disk");
	wire_up();
	brick_on("nbd");
	fd = open_client(false);
	CHECK_EQ(faulty_fail_range(disk, FAULTY_ALL, 2 * MIB, 512, -EIO), 0);
	CHECK_EQ(do_write(fd, 0, 0, data, sizeof(data)), 5);
	CHECK_EQ(do_read(fd, 0, data, sizeof(data)), 5);
	CHECK_EQ(do_read(fd, 0, data, 2 * MIB), 0);
	faulty_heal(disk);
	faulty_fail_nth(disk, FAULTY_OP(XIO_FLUSH), 0, 1, -ENOSPC);
	CHECK_EQ(do_other(fd, NBD_CMD_FLUSH, 0, 0, 0), 28);
	CHECK_EQ(do_other(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	CHECK_EQ(do_write(fd, 0, 0, data, sizeof(data)), 0);
	close(fd);
	end();
}

static void power(void)
{
	enum mars_reason reason;
	char deep[MARS_TEXT_MAX];
	struct stat st;
	int fd, half;

	begin_mem();
	CHECK_EQ(stat(socket_path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(mars_brick_set("nbd", MARS_K_NBD_READONLY, 1, "", 0, &reason), -EBUSY);
	CHECK_EQ(reason, MARS_R_NOT_NOW);
	half = greet(3);				/* never gets further */
	fd = open_client(false);
	CHECK_EQ(brick_status("nbd").val[MARS_V_NBD_CLIENTS], 1);
	CHECK_EQ(mars_brick_switch("nbd", false, &reason), -EBUSY);
	CHECK_EQ(reason, MARS_R_OPEN);
	CHECK_EQ(do_other(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);

	/* somebody listens: the second brick keeps its hands off */
	brick_create("nbd", "nbd2");
	CHECK_EQ(mars_brick_connect("nbd2", 0, "disk", &reason), 0);
	CHECK_EQ(mars_brick_switch("nbd2", true, &reason), -EINVAL);
	CHECK_EQ(reason, MARS_R_MISSING);
	brick_set_text("nbd2", MARS_K_NBD_SOCKET, socket_path);
	CHECK(mars_brick_switch("nbd2", true, &reason) < 0);
	CHECK_EQ(reason, MARS_R_IN_USE);
	CHECK_EQ(do_other(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	memset(deep, 'x', sizeof(deep));
	deep[0] = '/';
	CHECK_EQ(mars_brick_set("nbd2", MARS_K_NBD_SOCKET, 0, deep, 108, &reason), -EINVAL);
	CHECK_EQ(reason, MARS_R_BAD_VALUE);
	brick_destroy("nbd2");

	close(fd);
	wait_clients(0);
	brick_off("nbd");
	expect_end(half);
	brick_set_value("nbd", MARS_K_NBD_READONLY, 1);
	brick_on("nbd");
	fd = open_client(false);
	CHECK_EQ(do_write(fd, 0, 0, "x", 1), 1);
	CHECK_EQ(do_other(fd, NBD_CMD_TRIM, 0, 0, 1), 1);
	CHECK_EQ(do_read(fd, 0, deep, 1), 0);
	close(fd);
	end();
}

/* What a killed process leaves behind is in nobody's way; other files are. */
static void stale_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	enum mars_reason reason;

	strcpy(addr.sun_path, socket_path);
	CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(fd, 1), 0);
	close(fd);
	begin_mem();
	close(open_client(false));
	wait_clients(0);
	brick_off("nbd");
	close(creat(socket_path, 0600));
	CHECK(mars_brick_switch("nbd", true, &reason) < 0);
	CHECK_EQ(reason, MARS_R_IN_USE);
	unlink(socket_path);
	brick_on("nbd");
	end();
}

static void many_clients(void)
{
	int fd[NBD_CONNECTIONS], extra, i;
	u8 buf[8];

	begin_mem();
	for (i = 0; i < NBD_CONNECTIONS; i++)
		fd[i] = open_client(i & 1);
	CHECK_EQ(brick_status("nbd").val[MARS_V_NBD_CLIENTS], NBD_CONNECTIONS);
	extra = dial();
	CHECK(recv(extra, buf, 1, 0) <= 0);
	close(extra);
	for (i = 0; i < NBD_CONNECTIONS; i++)
		CHECK_EQ(do_write(fd[i], 0, i * 8, &i, 4), 0);
	for (i = 0; i < NBD_CONNECTIONS; i++)
		close(fd[i]);
	wait_clients(0);
	CHECK_EQ(do_read(fd[0] = open_client(false), 8 * 5, buf, 4), 0);
	CHECK_EQ(buf[0], 5);
	close(fd[0]);
	end();
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	strcpy(dir, "/tmp/mars-nbd-XXXXXX");
	CHECK(mkdtemp(dir));
	snprintf(socket_path, sizeof(socket_path), "%s/sock", dir);
	RUN(negotiations);
	RUN(commands);
	RUN(structured);
	RUN(sizes);
	RUN(dribble);
	RUN(slow_client);
	RUN(vanished_client);
	RUN(lower_errors);
	RUN(power);
	RUN(stale_socket);
	RUN(many_clients);
	CHECK_EQ(rmdir(dir), 0);
	return test_done();
}
