/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * files.cc - what node:fs lacks for bulk IO on disks and logs
 *
 * Reads, writes and syncs go through node:fs; here are aligned memory for
 * O_DIRECT, and sizes and block sizes of devices.  Nothing waits for a disk.
 */
#include "sys.h"
#include "util.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mars {

static const size_t kPage = 4096;
static const size_t kMaxBuffer = size_t(1) << 30;

/* alignedBuffer(size): zeroed, starts at a page boundary; freed by the collector. */
static Napi::Value AlignedBuffer(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	void *memory = nullptr;
	int64_t size;

	if (!TakeInt(info, 0, "size", &size))
		return env.Undefined();
	if (size <= 0 || static_cast<size_t>(size) > kMaxBuffer)
		return Throw(env, EINVAL, "posix_memalign");
	size_t bytes = static_cast<size_t>(size);
	int err = posix_memalign(&memory, kPage, (bytes + kPage - 1) & ~(kPage - 1));
	if (err)
		return Throw(env, err, "posix_memalign");
	memset(memory, 0, bytes);
	return Napi::Buffer<uint8_t>::New(env, static_cast<uint8_t *>(memory), bytes,
					  [](Napi::Env, uint8_t *data) { free(data); });
}

/* alignment(buffer): greatest power of two up to 4096 its memory is aligned to. */
static Napi::Value Alignment(const Napi::CallbackInfo &info)
{
	uint8_t *data;
	size_t size;

	if (!TakeBytes(info, 0, "buffer", &data, &size))
		return info.Env().Undefined();
	uintptr_t address = reinterpret_cast<uintptr_t>(data) | kPage;
	return Napi::Number::New(info.Env(), static_cast<double>(address & -address));
}

/*
 * fdGeometry(fd): {size, block, device}: bytes (of a block device too), and what
 * positions and lengths of O_DIRECT must be multiples of.
 */
static Napi::Value FdGeometry(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	struct stat st;
	int64_t fd;
	uint64_t size;
	int block = 512;

	if (!TakeInt(info, 0, "fd", &fd))
		return env.Undefined();
	if (fstat(static_cast<int>(fd), &st) < 0)
		return Throw(env, errno, "fstat");
	size = static_cast<uint64_t>(st.st_size);
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(static_cast<int>(fd), BLKGETSIZE64, &size) < 0 ||
		    ioctl(static_cast<int>(fd), BLKSSZGET, &block) < 0)
			return Throw(env, errno, "ioctl");
	}
#ifdef STATX_DIOALIGN
	struct statx stx;
	if (!S_ISBLK(st.st_mode) &&
	    !statx(static_cast<int>(fd), "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align)
		block = static_cast<int>(stx.stx_dio_offset_align);
#else
	/* No way to ask: a page satisfies every file system. */
	if (!S_ISBLK(st.st_mode))
		block = static_cast<int>(kPage);
#endif
	Napi::Object result = Napi::Object::New(env);
	result.Set("size", Napi::BigInt::New(env, size));
	result.Set("block", Napi::Number::New(env, block));
	result.Set("device", Napi::Boolean::New(env, S_ISBLK(st.st_mode)));
	return result;
}

void InitFiles(Napi::Env env, Napi::Object exports)
{
	Export(env, exports, "alignedBuffer", AlignedBuffer);
	Export(env, exports, "alignment", Alignment);
	Export(env, exports, "fdGeometry", FdGeometry);
}

} // namespace mars
