// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd_test.c - the nbd brick, spoken to in bytes
 *
 * Foreign clients have their turn in nbd_thirdparty_test.sh.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/errno.h>
#include <linux/kernel.h>

#include "bricks/faulty.h"
#include "bricks/nbd.h"
#include "engine/engine.h"
#include "nbd_client.h"
#include "source.h"
#include "test.h"

#define MIB	(1u << 20)
#define SIZE	(48ull * MIB)

static char dir[64], socket_path[100];

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

/* Off as soon as the last request of the last client has ended. */
static void export_off(void)
{
	enum mars_reason reason;

	wait_clients(0);
	while (mars_brick_switch("nbd", false, &reason)) {
		CHECK_EQ(reason, MARS_R_OPEN);
		source_wait_event();
	}
	brick_wait_off("nbd");
}

static void end(void)
{
	export_off();
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
	fd = greet(socket_path, 3);
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

	fd = greet(socket_path, 1);					/* the oldest way in */
	option(fd, 1, "disk", 4);
	CHECK_EQ(get64(fd), SIZE);
	CHECK_EQ(get16(fd) & 0x1f, 0xd);
	get(fd, zeroes, sizeof(zeroes));
	CHECK_EQ(do_other(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	close(fd);
	fd = greet(socket_path, 3);
	option(fd, 1, "nobody", 6);
	expect_end(fd);
	expect_end(greet(socket_path, 1 << 20));
	fd = greet(socket_path, 3);
	option(fd, 2, NULL, 0);				/* ABORT */
	CHECK_EQ(option_reply(fd, 2), 1);
	expect_end(fd);
	fd = greet(socket_path, 3);
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
	fd = open_client(socket_path, false);
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
	fd = open_client(socket_path, false);
	put(fd, buf, NBD_REQUEST_SIZE);			/* no magic */
	expect_end(fd);
	fd = open_client(socket_path, false);
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
	fd = open_client(socket_path, true);
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
	fd = open_client(socket_path, false);
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
	fd = open_client(socket_path, false);
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
	slow = open_client(socket_path, false);
	fast = open_client(socket_path, false);
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

static struct mars_brick *begin_faulty(u64 size)
{
	struct faulty_image *image = faulty_image_new(size, 0);
	struct mars_brick *disk;

	begin();
	disk = faulty_create("disk", image, NULL);
	faulty_image_free(image);
	brick_on("disk");
	wire_up();
	brick_on("nbd");
	return disk;
}

/*
 * A client vanishes while @n requests of it are stuck below: it counts no more, others go
 * on, but the brick stays on until the last request has ended.
 */
static void vanish(int n)
{
	struct mars_brick *disk = begin_faulty(MIB);
	static const u8 data[4096];
	enum mars_reason reason;
	int fd, other, i;

	fd = open_client(socket_path, false);
	CHECK_EQ(do_write(fd, 0, 0, data, sizeof(data)), 0);
	faulty_freeze(disk);
	for (i = 0; i < n; i++) {
		ask(fd, NBD_CMD_WRITE, 0, i, i * 4096, sizeof(data));
		put(fd, data, sizeof(data));
	}
	ask(fd, NBD_CMD_WRITE, 0, i, 0, sizeof(data));
	put(fd, data, 100);				/* and an unfinished one */
	while (faulty_in_flight(disk) != (unsigned int)min(n, NBD_REQUESTS))
		sched_yield();
	other = open_client(socket_path, false);
	wait_clients(2);
	close(fd);
	wait_clients(1);
	CHECK_EQ(do_read(other, 0, NULL, 0), 0);
	close(other);
	wait_clients(0);
	CHECK_EQ(mars_brick_switch("nbd", false, &reason), -EBUSY);
	CHECK_EQ(reason, MARS_R_OPEN);
	CHECK(brick_status("nbd").val[MARS_V_NBD_IN_FLIGHT]);
	faulty_kill(disk);
	export_off();
	CHECK_EQ(brick_status("nbd").val[MARS_V_NBD_IN_FLIGHT], 0);
	end();
}

static void vanished_client(void)
{
	vanish(20);
}

/* The same while its thread can't take another request and does not look at the socket. */
static void vanished_with_more(void)
{
	vanish(NBD_REQUESTS + 20);
}

/* Many clients that read a lot and look at nothing: memory is bounded for all together. */
static void shared_memory(void)
{
	enum { SLOW = 12, N = 60 };
	static u8 model[MIB], back[MIB];
	struct nbd_brick *nbd;
	int slow[SLOW], fast, i, k;

	begin_mem();
	nbd = to_nbd(mars_brick_find("nbd"));
	fast = open_client(socket_path, false);
	fill(model, MIB);
	CHECK_EQ(do_write(fast, 0, 0, model, MIB), 0);
	for (i = 0; i < SLOW; i++) {
		slow[i] = open_client(socket_path, false);
		for (k = 0; k < N; k++)
			ask(slow[i], NBD_CMD_READ, 0, k, 0, MIB);
	}
	while (!__atomic_load_n(&nbd->hungry, __ATOMIC_SEQ_CST))	/* they meet the limit */
		sched_yield();
	for (i = 0; i < 20; i++) {
		CHECK(__atomic_load_n(&nbd->shared, __ATOMIC_SEQ_CST) <= NBD_SHARED);
		CHECK_EQ(do_read(fast, 0, back, MIB), 0);
		CHECK_EQ(do_write(fast, 0, 2 * MIB, model, MIB), 0);
		CHECK_EQ(do_read(fast, 4 * MIB, back, MIB), 0);
	}
	for (i = 0; i < SLOW; i++) {
		for (k = 0; k < N && i < SLOW / 2; k++) {
			u64 cookie;

			CHECK_EQ(answer(slow[i], &cookie), 0);
			get(slow[i], back, MIB);
			CHECK_MEM(back, model, MIB);
		}
		close(slow[i]);			/* the rest goes away instead */
	}
	wait_clients(1);
	close(fast);
	wait_clients(0);
	end();
}

/* Errors from below reach the client, each its own request. */
static void lower_errors(void)
{
	struct mars_brick *disk = begin_faulty(4 * MIB);
	static u8 data[3 * MIB];
	int fd;

	fd = open_client(socket_path, false);
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

/* --- a disk that takes only short requests --- */

struct narrow {
	struct mars_brick brick;
	u32 max_io;
};

static void narrow_submit(struct mars_brick *brick, struct xio_request *rq)
{
	CHECK(rq->len <= container_of(brick, struct narrow, brick)->max_io);
	xio_forward(rq, 0);
}

static int narrow_get_info(struct mars_brick *brick, struct xio_info *info)
{
	int err = mars_input_info(&brick->input[0], info);

	info->max_io = container_of(brick, struct narrow, brick)->max_io;
	return err;
}

static const struct mars_brick_type narrow_type = {
	.name = "narrow",
	.nr_inputs = 1,
	.input_name = { "disk" },
	.has_output = true,
	.forwards = 1,
	.size = sizeof(struct narrow),
	.submit = narrow_submit,
	.get_info = narrow_get_info,
};

/* Long requests are cut to what the disk takes; one that takes crumbs is refused. */
static void short_requests(void)
{
	static u8 data[32 * MIB], back[32 * MIB];
	enum mars_reason reason;
	struct narrow *narrow;
	unsigned int i;
	int fd;

	begin_mem();
	CHECK_EQ(mars_type_register(&narrow_type), 0);
	brick_off("nbd");
	brick_create("narrow", "narrow");
	CHECK_EQ(mars_brick_connect("narrow", 0, "disk", &reason), 0);
	CHECK_EQ(mars_brick_connect("nbd", 0, "narrow", &reason), 0);
	brick_on("narrow");
	narrow = container_of(mars_brick_find("narrow"), struct narrow, brick);
	narrow->max_io = 64 << 10;
	CHECK_EQ(mars_brick_switch("nbd", true, &reason), -EINVAL);
	CHECK_EQ(reason, MARS_R_BAD_VALUE);
	narrow->max_io = 512 << 10;
	brick_on("nbd");
	fd = open_client(socket_path, false);
	for (i = 0; i < sizeof(data); i++)
		data[i] = i / 4096 * 7 + i;
	CHECK_EQ(do_write(fd, 0, 0, data, sizeof(data)), 0);
	CHECK_EQ(do_read(fd, 0, back, sizeof(back)), 0);
	CHECK_MEM(back, data, sizeof(data));
	CHECK_EQ(do_read(fd, 16 * MIB, back, sizeof(back)), 0);
	CHECK_MEM(back, data + 16 * MIB, 16 * MIB);
	close(fd);
	export_off();
	CHECK_EQ(mars_brick_connect("nbd", 0, "disk", &reason), 0);
	brick_off("narrow");
	brick_destroy("narrow");
	brick_on("nbd");
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
	CHECK(mars_brick_disconnect("nbd", 0, &reason) < 0);
	CHECK_EQ(reason, MARS_R_NOT_NOW);
	half = greet(socket_path, 3);				/* never gets further */
	fd = open_client(socket_path, false);
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
	export_off();
	expect_end(half);
	brick_set_value("nbd", MARS_K_NBD_READONLY, 1);
	brick_on("nbd");
	fd = open_client(socket_path, false);
	CHECK_EQ(do_write(fd, 0, 0, "x", 1), 1);
	CHECK_EQ(do_other(fd, NBD_CMD_TRIM, 0, 0, 1), 1);
	CHECK_EQ(do_read(fd, 0, deep, 1), 0);
	close(fd);
	end();
}

/* Off is reported however busy the service is at that moment. */
static void off_at_any_moment(void)
{
	int fd, i;

	begin_mem();
	for (i = 0; i < 1000; i++) {
		fd = dial(socket_path);
		if (i % 2)
			close(fd);
		brick_off("nbd");
		if (i % 2 == 0)
			close(fd);
		brick_on("nbd");
	}
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
	close(open_client(socket_path, false));
	export_off();
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
		fd[i] = open_client(socket_path, i & 1);
	CHECK_EQ(brick_status("nbd").val[MARS_V_NBD_CLIENTS], NBD_CONNECTIONS);
	extra = dial(socket_path);
	CHECK(recv(extra, buf, 1, 0) <= 0);
	close(extra);
	for (i = 0; i < NBD_CONNECTIONS; i++)
		CHECK_EQ(do_write(fd[i], 0, i * 8, &i, 4), 0);
	for (i = 0; i < NBD_CONNECTIONS; i++)
		close(fd[i]);
	wait_clients(0);
	CHECK_EQ(do_read(fd[0] = open_client(socket_path, false), 8 * 5, buf, 4), 0);
	CHECK_EQ(buf[0], 5);
	close(fd[0]);
	end();
}

/*
 * Vanished clients take nobody's place, although their requests are stuck below; but there
 * is a limit to them, too.
 */
static void places_of_the_vanished(void)
{
	struct mars_brick *disk = begin_faulty(MIB);
	static const u8 data[4096];
	int fd[NBD_CONNECTIONS], i;

	faulty_freeze(disk);
	for (i = 0; i < NBD_CONNECTIONS; i++) {
		fd[i] = open_client(socket_path, false);
		ask(fd[i], NBD_CMD_WRITE, 0, i, i * sizeof(data), sizeof(data));
		put(fd[i], data, sizeof(data));
	}
	while (faulty_in_flight(disk) != NBD_CONNECTIONS)
		sched_yield();
	for (i = 0; i < NBD_CONNECTIONS; i++)
		close(fd[i]);
	wait_clients(0);
	for (i = 0; i < NBD_THREADS - NBD_CONNECTIONS; i++)
		fd[i] = open_client(socket_path, false);
	expect_end(dial(socket_path));
	for (i = 0; i < NBD_THREADS - NBD_CONNECTIONS; i++)
		close(fd[i]);
	faulty_kill(disk);
	end();
}

/* Without descriptors new clients are turned away, and welcome again later. */
static void no_descriptors(void)
{
	struct rlimit old, limit;
	int last;

	begin_mem();
	last = dup(0);			/* the lowest free one will be the client's */
	close(last);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = last + 1;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	expect_end(dial(socket_path));
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(open_client(socket_path, false));
	end();
}

/* A read that finds no memory says so; the next one may go better. */
static void no_memory(void)
{
	static u8 data[3 * MIB];
	unsigned int refused = 0;
	long n;

	begin_mem();
	for (n = 1; n <= 12; n++) {
		int fd = open_client(socket_path, false);
		u32 err;

		exec_fail_alloc_at(n);
		err = do_read(fd, 0, data, sizeof(data));
		exec_fail_alloc_at(-1);
		CHECK(err == 0 || err == 12);
		refused += err == 12;
		CHECK_EQ(do_read(fd, 0, data, sizeof(data)), 0);
		close(fd);
	}
	CHECK(refused);
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
	RUN(vanished_with_more);
	RUN(shared_memory);
	RUN(lower_errors);
	RUN(short_requests);
	RUN(power);
	RUN(off_at_any_moment);
	RUN(stale_socket);
	RUN(many_clients);
	RUN(places_of_the_vanished);
	RUN(no_descriptors);
	RUN(no_memory);
	CHECK_EQ(rmdir(dir), 0);
	return test_done();
}
